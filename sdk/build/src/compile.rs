//! Compiling a plugin: one cargo call whose result depends on the sources and the compiler alone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::{self, Output};
use crate::{TARGET, Toolchain};

const QUERY_LIMIT: Duration = Duration::from_secs(60);
const FETCH_LIMIT: Duration = Duration::from_secs(10 * 60);
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The release profile of every module, whatever the workspace says: fast code in one piece, no debug information (names
/// of functions stay, for the backtrace of a trap), and a panic is a trap.
const PROFILE: [(&str, &str); 7] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

/// How large a function may be that LLVM inlines unasked, for the crate that all others are linked into; its default is
/// 225. A module is compiled when Weir starts, and with this one a fifth of its code is not there. What is marked
/// `#[inline]` has a limit of its own, as have calls within loops that run often.
const INLINE: &str = "-Cllvm-args=--inline-threshold=100";

impl Toolchain {
    /// Builds a plugin and returns the path of its module, under `target_dir`.
    ///
    /// `manifest` is the plugin's `Cargo.toml`, or a workspace's together with `package`. The crate needs no
    /// `crate-type`. Where the network is away, what cargo has already downloaded is used.
    ///
    /// # Errors
    ///
    /// What cargo says, if it fails.
    pub fn build(&self, manifest: &Path, package: Option<&str>, target_dir: &Path) -> Result<PathBuf, String> {
        let name = package.map_or_else(|| manifest.display().to_string(), str::to_owned);
        let (manifest, target_dir) = (absolute(manifest)?, absolute(target_dir)?);
        let folder = manifest.parent().unwrap_or(Path::new("/"));
        let workspace = self.workspace(&manifest, folder)?;
        let fetched = self.fetch(&manifest, folder)?;

        let mut build = self.cargo(folder, "rustc");
        build.arg("--manifest-path").arg(&manifest).arg("--target-dir").arg(&target_dir);
        build.args(["--lib", "--crate-type", "cdylib", "--release", "--target", TARGET]);
        // For cargo itself, as JSON on stdout, with the diagnostics as people read them on stderr.
        build.args(["--message-format", "json-render-diagnostics"]);
        if let Some(package) = package {
            build.args(["--package", package]);
        }
        if self.build_std {
            build.args(["-Z", "build-std=std,panic_abort"]);
        }
        if !fetched.success {
            build.arg("--offline");
        }
        build.envs(PROFILE).env("CARGO_ENCODED_RUSTFLAGS", self.flags(&workspace));
        build.args(["--", INLINE]);
        if let Some(linker) = &self.linker {
            build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }

        let output = command::run(&mut build, BUILD_LIMIT)?;
        if !output.success {
            let mut message = format!("building {name} for {TARGET} failed:\n{}", output.reason());
            if !fetched.success {
                message +=
                    &format!("\nwithout the network, because fetching its dependencies failed:\n{}", fetched.reason());
            }
            return Err(message);
        }
        // Dependencies that are plugins too lie in `release/deps`.
        let folder = target_dir.join(TARGET).join("release");
        let mut modules = output.stdout.lines().flat_map(modules_in);
        let module = modules.rfind(|module| module.parent() == Some(&folder));
        module.ok_or_else(|| format!("{name} was built, but cargo names no module: is it a library?"))
    }

    /// A cargo command in `folder` that knows only this toolchain.
    fn cargo(&self, folder: &Path, subcommand: &str) -> Command {
        let mut cargo = Command::new(&self.cargo);
        command::clean(&mut cargo).current_dir(folder).arg(subcommand).env("RUSTC", &self.rustc);
        if self.build_std {
            // An outer cargo of rustup puts its own libraries in front; Debian's programs need no such help.
            cargo.env_remove("LD_LIBRARY_PATH");
            cargo.env("RUSTC_BOOTSTRAP", "1").env("PATH", command::path_with("/usr/bin".as_ref()));
        }
        cargo
    }

    fn workspace(&self, manifest: &Path, folder: &Path) -> Result<PathBuf, String> {
        let mut locate = self.cargo(folder, "locate-project");
        locate.args(["--workspace", "--message-format", "plain", "--manifest-path"]).arg(manifest);
        let output = command::run(&mut locate, QUERY_LIMIT)?;
        match Path::new(output.stdout.trim()).parent() {
            Some(workspace) if output.success => Ok(workspace.to_owned()),
            _ => Err(format!("no cargo package at {}: {}", manifest.display(), output.reason())),
        }
    }

    /// Downloads the dependencies first, so that their folders are known when the flags that hide them are made.
    fn fetch(&self, manifest: &Path, folder: &Path) -> Result<Output, String> {
        let mut fetch = self.cargo(folder, "fetch");
        fetch.args(["--target", TARGET, "--manifest-path"]).arg(manifest);
        command::run(&mut fetch, FETCH_LIMIT)
    }

    /// The compiler's flags, as cargo wants them encoded. They must not change between two builds of a checkout, or
    /// everything would be built again.
    fn flags(&self, workspace: &Path) -> OsString {
        let mut flags = OsString::from("-Ctarget-feature=+simd128,+bulk-memory");
        for (path, name) in self.hidden_paths(workspace) {
            flags.push("\x1f--remap-path-prefix=");
            flags.push(path);
            flags.push("=");
            flags.push(name);
        }
        flags
    }

    /// Paths of this machine and what stands for them in a module. The last that fits a path is the one that applies.
    fn hidden_paths(&self, workspace: &Path) -> Vec<(PathBuf, &'static str)> {
        let mut hidden = Vec::new();
        let home = command::home();
        let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home = cargo_home.or_else(|| home.as_ref().map(|home| home.join(".cargo")));
        hidden.extend(home.map(|home| (home, "~")));
        if let Some(cargo_home) = cargo_home {
            // One folder a registry, named after its host.
            let registries = subfolders(&cargo_home.join("registry/src"));
            hidden.push((cargo_home, "cargo"));
            hidden.extend(registries.into_iter().map(|registry| (registry, "crates")));
        }
        let library = self.sysroot.join("lib/rustlib/src/rust");
        let real = fs::canonicalize(&library).ok().filter(|real| *real != library);
        hidden.push((library, "rust"));
        hidden.extend(real.map(|real| (real, "rust")));
        hidden.push((repository_of(workspace), ""));
        hidden
    }
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The folder of the repository around a workspace, so that crates beside it are named relative to the same place;
/// the workspace itself where there is none.
fn repository_of(workspace: &Path) -> PathBuf {
    let repository = workspace.ancestors().find(|folder| folder.join(".git").exists());
    repository.unwrap_or(workspace).to_owned()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The modules that a line of cargo's JSON messages names as an artifact's files.
fn modules_in(line: &str) -> Vec<PathBuf> {
    if !line.contains(r#""reason":"compiler-artifact""#) {
        return Vec::new();
    }
    let Some((_, files)) = line.split_once(r#""filenames":["#) else {
        return Vec::new();
    };
    strings(files).into_iter().filter(|file| file.ends_with(".wasm")).map(PathBuf::from).collect()
}

/// The strings of a JSON array of strings, from behind its bracket. Paths escape nothing but quotes and backslashes.
fn strings(array: &str) -> Vec<String> {
    let (mut strings, mut current) = (Vec::new(), None::<String>);
    let mut characters = array.chars();
    while let Some(character) = characters.next() {
        match (character, &mut current) {
            (']', None) => break,
            ('"', None) => current = Some(String::new()),
            ('"', Some(_)) => strings.extend(current.take()),
            ('\\', Some(text)) => text.extend(characters.next()),
            (other, Some(text)) => text.push(other),
            (_, None) => {}
        }
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_read_from_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"p"},"features":["x.wasm"],"filenames":["/t/p.wasm","/t/p.rlib"],"executable":null,"fresh":true}"#;
        assert_eq!(modules_in(line), [PathBuf::from("/t/p.wasm")]);
        assert!(modules_in(r#"{"reason":"build-finished","success":true}"#).is_empty());
    }

    #[test]
    fn odd_paths_survive_the_message() {
        assert_eq!(strings(r#""/a \"b\"/c,d].wasm","/x\\y"],"more":["no"]"#), [r#"/a "b"/c,d].wasm"#, r"/x\y"]);
    }

    #[test]
    fn the_checkout_has_the_last_word_about_its_paths() {
        let toolchain = Toolchain {
            cargo: "cargo".into(),
            rustc: "rustc".into(),
            sysroot: "/sysroot".into(),
            linker: None,
            build_std: false,
        };
        let workspace = std::env::temp_dir();
        let hidden = toolchain.hidden_paths(&workspace);
        assert_eq!(hidden.last(), Some(&(workspace, "")));
        assert!(hidden.contains(&("/sysroot/lib/rustlib/src/rust".into(), "rust")), "{hidden:?}");
    }
}
