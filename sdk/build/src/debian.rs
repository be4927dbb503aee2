//! Debian's Rust, for machines that reach package registries but not rustup's servers.
//!
//! Debian 12 carries a current Rust for its browsers (`rustc-web`). It has no WebAssembly target but the sources of the
//! standard library, from which cargo builds it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command;
use crate::toolchain::{Toolchain, sysroot_of};

/// The compiler, cargo and the sources of the standard library.
pub(crate) const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// The linker's package for today's `rustc-web`, for messages; what is installed follows the compiler's own version.
pub(crate) const LINKER_PACKAGE_NOW: &str = "lld-22";

const PROBE_LIMIT: Duration = Duration::from_secs(30);
const APT_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Debian's Rust, if all of it is installed.
pub(crate) fn find(_: &mut dyn FnMut(&str)) -> Result<Toolchain, String> {
    let (rustc, cargo) = (PathBuf::from("/usr/bin/rustc"), PathBuf::from("/usr/bin/cargo"));
    if !rustc.is_file() || !cargo.is_file() {
        return Err(format!("Debian's Rust ({}) is not installed", PACKAGES.join(", ")));
    }
    let sysroot = sysroot_of(command::clean(&mut Command::new(&rustc)))?;
    if !sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file() {
        return Err(format!("{} has no sources of the standard library (package rust-web-src)", sysroot.display()));
    }
    let linker = linker(llvm_version(&rustc)?)?;
    Ok(Toolchain { cargo, rustc, sysroot, linker: Some(linker), build_std: true })
}

/// Installs Debian's Rust with apt-get, as root or by a sudo that asks no password.
pub(crate) fn install(say: &mut dyn FnMut(&str)) -> Result<Toolchain, String> {
    let sudo = privileges()?;
    let mut apt = |arguments: &[&str]| -> Result<(), String> {
        say(&format!("{}apt-get {}", if sudo { "sudo " } else { "" }, arguments.join(" ")));
        let mut command = if sudo { Command::new("sudo") } else { Command::new("apt-get") };
        if sudo {
            command.args(["-n", "apt-get"]);
        }
        let output = command::run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"), APT_LIMIT)?;
        let failed = || format!("apt-get {} failed: {}", arguments.join(" "), output.last_line());
        if output.success { Ok(()) } else { Err(failed()) }
    };
    // Nothing may be removed for it: `rustc-web` conflicts with Debian's `rustc`, which may be in use.
    let install = ["install", "--yes", "--no-install-recommends", "--no-remove"];
    apt(&["update"])?;
    apt(&[install.as_slice(), PACKAGES.as_slice()].concat())?;
    let linker = format!("lld-{}", llvm_version(Path::new("/usr/bin/rustc"))?);
    apt(&[install.as_slice(), [linker.as_str()].as_slice()].concat())?;
    find(say)
}

/// Whether sudo is needed; an error where apt-get cannot be used at all.
fn privileges() -> Result<bool, String> {
    if !Path::new("/usr/bin/apt-get").is_file() {
        return Err("no apt-get on this machine to install Debian's Rust with".into());
    }
    let succeeds = |command: &mut Command| command::run(command, PROBE_LIMIT).is_ok_and(|output| output.success);
    let root = command::run(Command::new("id").arg("-u"), PROBE_LIMIT).is_ok_and(|output| output.stdout.trim() == "0");
    if root {
        Ok(false)
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        Ok(true)
    } else {
        Err("Debian's Rust is not installed, and apt-get needs root (or a sudo that asks no password)".into())
    }
}

/// The linker of the LLVM that the compiler was built with. It is named explicitly: the `rust-lld` that rustc would call
/// is a link which Debian's packages do not all bring.
fn linker(llvm: u32) -> Result<PathBuf, String> {
    let places = [format!("/usr/lib/llvm-{llvm}/bin/wasm-ld"), format!("/usr/bin/wasm-ld-{llvm}")];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| format!("no linker for WebAssembly at {} (package lld-{llvm})", places[0]))
}

fn llvm_version(rustc: &Path) -> Result<u32, String> {
    let output = command::run(command::clean(Command::new(rustc).arg("-vV")), PROBE_LIMIT)?;
    parse_llvm_version(&output.stdout).ok_or_else(|| format!("{} -vV names no LLVM version", rustc.display()))
}

fn parse_llvm_version(text: &str) -> Option<u32> {
    let version = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_follows_the_compilers_llvm() {
        let text =
            "rustc 1.96.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(parse_llvm_version(text), Some(22));
        assert_eq!(parse_llvm_version("rustc 1.96.0\n"), None);
    }

    #[test]
    fn a_missing_linker_names_its_package() {
        let error = linker(9999).err().unwrap_or_default();
        assert!(error.contains("(package lld-9999)"), "{error}");
    }
}
