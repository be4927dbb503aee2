//! Instructions per row of the hot path, counted by callgrind and compared with those noted in the repository. A machine may
//! be as noisy as it likes: the same program on the same input has the same instructions.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use weir_build::Repository;

use crate::{cargo, command_line, run, say};

/// Where the counts are that must be kept.
const NOTED: &str = "benches/instructions/counts.txt";
/// Rows of a round.
const ROWS: u64 = 8192;
/// Few and many rounds: what they differ in are rounds alone.
const ROUNDS: [u64; 2] = [2, 6];
/// By which a count may exceed the noted one, in percent: what another libc or processor makes of `memcpy`, and no more.
const MARGIN: u64 = 10;

/// Counts, and compares with what is noted. Where valgrind is missing nothing is compared, which is said.
pub(crate) fn check(repository: &Repository) -> Result<(), String> {
    let root = repository.root();
    let path = root.join(NOTED);
    if Command::new("valgrind").arg("--version").output().is_err() {
        say(
            "SKIPPED: instructions per row are not checked, because valgrind is not installed (Debian: apt-get install valgrind)",
        );
        return Ok(());
    }
    let noted = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let counts = counts(root)?;
    let mut faults = Vec::new();
    for (what, count) in &counts {
        let line = noted.lines().find_map(|line| line.strip_prefix(what)?.trim().parse::<u64>().ok());
        let Some(kept) = line else {
            faults.push(format!("{what} has no count in {NOTED}"));
            continue;
        };
        let change = 100.0 * *count as f64 / kept as f64 - 100.0;
        say(&format!("{what:<20} {count:>6} instructions a row, {kept} noted: {change:+.1} %"));
        if count * 100 > kept * (100 + MARGIN) {
            faults.push(format!(
                "{what} takes {count} instructions a row; {kept} are noted, and {MARGIN} % more are allowed"
            ));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let compiler = noted.lines().find_map(|line| line.strip_prefix("# rustc ")).unwrap_or("unknown");
    Err(format!(
        "{}\n  the counts are of rustc {compiler}, this is {}\n  make it cheaper, or note the new counts: cargo xtask instructions --bless",
        faults.join("\nerror: "),
        rustc()?,
    ))
}

/// Notes the counts as they are now.
pub(crate) fn bless(repository: &Repository) -> Result<(), String> {
    let root = repository.root();
    let mut text = format!(
        "# Instructions a row, counted by callgrind. A change that exceeds one by more than {MARGIN} % does not pass.\n\
         # Written by `cargo xtask instructions --bless`; the reason for more belongs into the commit.\n# rustc {}\n",
        rustc()?
    );
    for (what, count) in counts(root)? {
        let _ = writeln!(text, "{what:<20} {count}");
    }
    say(&text);
    std::fs::write(root.join(NOTED), text).map_err(|error| format!("{NOTED}: {error}"))
}

fn counts(root: &Path) -> Result<Vec<(String, u64)>, String> {
    let mut build = cargo(root);
    build.args(["build", "--release", "--locked", "--manifest-path", "benches/instructions/Cargo.toml"]);
    run(build.args(["--target-dir", "target/instructions"]))?;
    let program = root.join("target/instructions/release/instructions");
    let output = Command::new(&program).output().map_err(|error| format!("{}: {error}", program.display()))?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    names.lines().map(|what| Ok((what.to_owned(), count(&program, what)?))).collect()
}

/// Instructions a row of one kind of work.
fn count(program: &Path, what: &str) -> Result<u64, String> {
    let [few, many] = ROUNDS.map(|rounds| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        valgrind.args([what, &rounds.to_string()]);
        let output = valgrind.output().map_err(|error| format!("`{}`: {error}", command_line(&valgrind)))?;
        let said = String::from_utf8_lossy(&output.stderr);
        // As `==123== Collected : 4567`.
        let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
        collected.filter(|_| output.status.success()).ok_or_else(|| format!("`{}`: {said}", command_line(&valgrind)))
    });
    Ok((many? - few?) / ((ROUNDS[1] - ROUNDS[0]) * ROWS))
}

fn rustc() -> Result<String, String> {
    let output =
        Command::new("rustc").arg("--version").output().map_err(|error| format!("`rustc --version`: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("rustc ").to_owned())
}
