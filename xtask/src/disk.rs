//! Whether the disk has room for what a build and the tests write: on a full disk one test after the other fails by its timeout,
//! and none says why.

use std::path::{Path, PathBuf};
use std::process::Command;

const GIB: u64 = 1 << 30;

/// What `target/` comes to from nothing, lints and tests of every kind together, and what a build adds to one that is there.
const COLD_BYTES: u64 = 12 * GIB;
const WARM_BYTES: u64 = 3 * GIB;

/// What tests have in the folder for temporary files at a time; each Weir that they start wants 192 MiB of it.
const TESTS_BYTES: u64 = 3 * GIB;

/// What is missing, and what helps, a line for each disk that has too little room.
pub(crate) fn shortage(root: &Path) -> Vec<String> {
    let target = root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let build = if target.join("debug/deps").is_dir() { WARM_BYTES } else { COLD_BYTES };
    // The folder itself is not there before the first build.
    let of_target = target.ancestors().find(|folder| folder.is_dir()).unwrap_or(root).to_owned();
    let needs = [(of_target, build, "builds"), (std::env::temp_dir(), TESTS_BYTES, "the tests")];
    needs.into_iter().filter_map(|(folder, wanted, who)| said(&folder, free(&folder)?, wanted, who)).collect()
}

fn said(folder: &Path, free: u64, wanted: u64, who: &str) -> Option<String> {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / GIB as f64);
    (free < wanted).then(|| {
        format!(
            "the disk of {} has {} free, and {who} may need {}: make room there, or set {} to a folder on another disk",
            folder.display(),
            gib(free),
            gib(wanted),
            if who == "builds" { "CARGO_TARGET_DIR" } else { "TMPDIR" }
        )
    })
}

/// Bytes that are free on the disk of a folder, as `df` says; none where it does not.
fn free(folder: &PathBuf) -> Option<u64> {
    let out = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    available(&String::from_utf8_lossy(&out.stdout))
}

/// The fourth column of the second line is what is available, in KiB.
fn available(said: &str) -> Option<u64> {
    said.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_read_from_df() {
        let said = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 263174212 55 38797312 61% /\n";
        assert_eq!(available(said), Some(37 * GIB));
        assert_eq!(available("df: no file systems processed\n"), None);
        assert!(free(&std::env::temp_dir()).is_some());
    }

    #[test]
    fn a_disk_with_too_little_room_is_named_with_what_is_found_needed_and_the_cure() {
        let said = |free| said(Path::new("/x"), free, 3 * GIB, "the tests");
        assert_eq!(said(3 * GIB), None);
        let short = "the disk of /x has 1.5 GiB free, and the tests may need 3.0 GiB: make room there, or set TMPDIR to a folder \
                     on another disk";
        assert_eq!(said(3 * GIB / 2).as_deref(), Some(short));
    }
}
