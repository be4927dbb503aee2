//! Which Rust builds the modules: the one in use if it has the target, or gets it from rustup; otherwise Debian's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{TARGET, command, debian};

/// Environment variable that narrows the choice: `rustup` for the Rust in use only, `debian` for Debian's packages only.
pub const TOOLCHAIN_VARIABLE: &str = "WEIR_WASM_TOOLCHAIN";

const PROBE_LIMIT: Duration = Duration::from_secs(30);
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// A Rust that builds for [`TARGET`].
#[derive(Debug, Clone)]
pub struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) rustc: PathBuf,
    pub(crate) sysroot: PathBuf,
    /// The linker, where the compiler cannot be trusted to find its own.
    pub(crate) linker: Option<PathBuf>,
    /// Whether the standard library has to be built from its sources first.
    pub(crate) build_std: bool,
}

impl Toolchain {
    /// Finds a Rust that builds for WebAssembly, or installs what is missing: `rustup target add`, then Debian's
    /// packages. What changes the machine is announced through `say` before it happens.
    ///
    /// What is there is taken before anything is fetched, so that a machine that cannot reach rustup's servers does not
    /// wait for them at every build.
    ///
    /// # Errors
    ///
    /// Nothing was found and nothing could be installed: what was tried, why it failed, and what to do.
    pub fn find_or_install(say: &mut dyn FnMut(&str)) -> Result<Self, String> {
        let choice = Choice::from_environment()?;
        let attempts: &[Attempt] = match choice {
            Choice::Any => &[in_use, debian::find, add_with_rustup, debian::install],
            Choice::Rustup => &[in_use, add_with_rustup],
            Choice::Debian => &[debian::find, debian::install],
        };
        let mut tried = Vec::new();
        for attempt in attempts {
            match attempt(say) {
                Ok(found) => return Ok(found),
                Err(reason) => tried.push(reason),
            }
        }
        Err(nothing_found(&tried))
    }

    /// One line for people: which compiler it is, and how it comes by the standard library.
    pub fn summary(&self) -> String {
        let standard_library = if self.build_std { ", which builds the standard library too" } else { "" };
        format!("{} for {TARGET}{standard_library}", self.rustc.display())
    }
}

/// A way to a toolchain. It announces what changes the machine.
type Attempt = fn(&mut dyn FnMut(&str)) -> Result<Toolchain, String>;

enum Choice {
    Any,
    Rustup,
    Debian,
}

impl Choice {
    fn from_environment() -> Result<Self, String> {
        match std::env::var(TOOLCHAIN_VARIABLE).as_deref() {
            Err(_) | Ok("") => Ok(Self::Any),
            Ok("rustup") => Ok(Self::Rustup),
            Ok("debian") => Ok(Self::Debian),
            Ok(other) => {
                Err(format!("{TOOLCHAIN_VARIABLE} is \"{other}\"; expected \"rustup\" or \"debian\", or unset"))
            }
        }
    }
}

/// The Rust in use, if it has the target.
fn in_use(_: &mut dyn FnMut(&str)) -> Result<Toolchain, String> {
    let sysroot = sysroot_in_use()?;
    if !has_target(&sysroot) {
        return Err(format!("the Rust in use, {}, has no {TARGET}", sysroot.display()));
    }
    // The programs themselves, not rustup's shims: those would choose a toolchain again, by directory and environment.
    let program = |name: &str| Some(sysroot.join("bin").join(name)).filter(|path| path.is_file());
    let cargo = program("cargo").unwrap_or_else(|| "cargo".into());
    let rustc = program("rustc").unwrap_or_else(|| "rustc".into());
    Ok(Toolchain { cargo, rustc, sysroot, linker: None, build_std: false })
}

fn add_with_rustup(say: &mut dyn FnMut(&str)) -> Result<Toolchain, String> {
    say(&format!("rustup target add {TARGET}"));
    let output = command::run(Command::new("rustup").args(["--quiet", "target", "add", TARGET]), RUSTUP_LIMIT)?;
    if !output.success {
        return Err(format!("rustup target add {TARGET} failed: {}", output.last_line()));
    }
    in_use(say).map_err(|reason| format!("rustup added {TARGET}, yet {reason}"))
}

/// The sysroot of the `rustc` on the path. `RUSTUP_TOOLCHAIN` is left in place here: it says which one is in use.
fn sysroot_in_use() -> Result<PathBuf, String> {
    sysroot_of(&mut Command::new("rustc")).map_err(|reason| format!("no Rust in use: {reason}"))
}

pub(crate) fn sysroot_of(rustc: &mut Command) -> Result<PathBuf, String> {
    let output = command::run(rustc.args(["--print", "sysroot"]), PROBE_LIMIT)?;
    match output.stdout.trim() {
        sysroot if output.success && !sysroot.is_empty() => Ok(sysroot.into()),
        _ => Err(output.last_line()),
    }
}

fn has_target(sysroot: &Path) -> bool {
    let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    library.read_dir().is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("libstd-")))
    })
}

fn nothing_found(tried: &[String]) -> String {
    let tried: String = tried.iter().map(|reason| format!("  - {}\n", reason.replace('\n', "\n    "))).collect();
    format!(
        "found no Rust that builds for {TARGET}, and could not install one:\n{tried}\
         either of these puts it right:\n  \
         rustup target add {TARGET}    (where static.rust-lang.org can be reached)\n  \
         sudo apt-get update && sudo apt-get install {} {}    (Debian 12)",
        debian::PACKAGES.join(" "),
        debian::LINKER_PACKAGE_NOW,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_lists_what_was_tried_and_what_to_do() {
        let message = nothing_found(&["rustup cannot reach its server".into(), "not root\nand no sudo".into()]);
        for part in [
            "  - rustup cannot reach its server\n",
            "  - not root\n    and no sudo\n",
            "rustup target add wasm32-unknown-unknown",
            "apt-get install rustc-web cargo-web rust-web-src lld-22",
        ] {
            assert!(message.contains(part), "{part:?} is not in:\n{message}");
        }
    }

    #[test]
    fn a_sysroot_has_the_target_only_with_its_standard_library() {
        let sysroot = std::env::temp_dir().join(format!("weir-sysroot-{}", std::process::id()));
        let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        std::fs::create_dir_all(&library).expect("a temporary directory");
        assert!(!has_target(&sysroot));
        std::fs::write(library.join("libstd-0123.rlib"), "").expect("a temporary file");
        assert!(has_target(&sysroot));
        std::fs::remove_dir_all(&sysroot).expect("it was just made");
    }
}
