//! The modules of Weir's own repository: its shipped plugins and the guests of its tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::{Toolchain, source_digest};

/// Environment variable with a folder of modules that are up to date: [`guests`] then builds nothing. The full test
/// command sets it, having just built them.
pub const MODULES_VARIABLE: &str = "WEIR_TEST_MODULES";

/// A checkout of Weir.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
}

/// A crate of the repository that becomes a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of its folder, and of its module.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The name of its cargo package.
    pub package: String,
    /// The digest of everything that it is built from.
    pub digest: String,
}

/// The modules that the tests run, all built from the sources beside them.
#[derive(Debug, Clone)]
pub struct Guests {
    folder: PathBuf,
}

/// The module of the guest in `tests/guests/<name>`: see [`guests`].
///
/// # Errors
///
/// There is no such guest, or it does not build.
pub fn guest(name: &str) -> Result<PathBuf, String> {
    guests()?.guest(name)
}

/// The module of the shipped plugin in `plugins/<name>`, built from source: see [`guests`].
///
/// # Errors
///
/// There is no such plugin, or it does not build.
pub fn plugin(name: &str) -> Result<PathBuf, String> {
    guests()?.plugin(name)
}

/// The modules for the tests of this repository, in `target/guests`. What is stale there, by the digest of its sources,
/// is built first, so that a plain `cargo test` works too; test programs that run side by side wait for the first.
///
/// # Errors
///
/// The working directory is in no checkout, there is no WebAssembly toolchain, or something does not build.
pub fn guests() -> Result<Guests, String> {
    if let Some(folder) = std::env::var_os(MODULES_VARIABLE).filter(|folder| !folder.is_empty()) {
        return Ok(Guests { folder: folder.into() });
    }
    Repository::find()?.refresh_guests(&mut |line| eprintln!("{line}"))
}

impl Guests {
    /// The folder in which they are: guests directly, plugins in `plugins`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The module of the guest in `tests/guests/<name>`.
    ///
    /// # Errors
    ///
    /// There is no such guest.
    pub fn guest(&self, name: &str) -> Result<PathBuf, String> {
        existing(&self.folder, name, "tests/guests")
    }

    /// The module of the shipped plugin in `plugins/<name>`, built from source rather than the checked-in one.
    ///
    /// # Errors
    ///
    /// There is no such plugin.
    pub fn plugin(&self, name: &str) -> Result<PathBuf, String> {
        existing(&self.folder.join("plugins"), name, "plugins")
    }
}

fn existing(folder: &Path, name: &str, sources: &str) -> Result<PathBuf, String> {
    let module = folder.join(format!("{name}.wasm"));
    if module.is_file() {
        return Ok(module);
    }
    Err(format!("no module {}: is there a crate in {sources}/{name}?", module.display()))
}

impl Repository {
    /// The checkout around the running cargo package, or around the working directory.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find() -> Result<Self, String> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let start = package.map_or_else(std::env::current_dir, Ok).map_err(|error| format!("no directory: {error}"))?;
        Self::around(&start).ok_or_else(|| format!("{} is not in a checkout of Weir", start.display()))
    }

    fn around(start: &Path) -> Option<Self> {
        let root = start.ancestors().find(|folder| folder.join("sdk/wit/plugin.wit").is_file())?;
        Some(Self { root: root.to_owned() })
    }

    /// The folder of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The shipped plugins, `plugins/*`. The digest is of the plugin's folder, the SDK and the contract.
    ///
    /// # Errors
    ///
    /// A `Cargo.toml` that cannot be read or names no package.
    pub fn plugins(&self) -> Result<Vec<Source>, String> {
        let sdk = ["sdk/src", "sdk/macros/src", "sdk/wit"].map(|folder| self.root.join(folder));
        let sdk: Vec<&Path> = sdk.iter().map(PathBuf::as_path).collect();
        sources_in(&self.root.join("plugins"), |folder| source_digest(folder, &sdk))
    }

    /// The guests of the tests, `tests/guests/*`; none where that folder is missing. They may share code, so that the
    /// digest is of all of them, the SDK, the contract and this crate.
    ///
    /// # Errors
    ///
    /// A `Cargo.toml` that cannot be read or names no package.
    pub fn guests(&self) -> Result<Vec<Source>, String> {
        let folder = self.root.join("tests/guests");
        let beside = ["sdk/src", "sdk/macros/src", "sdk/wit", "sdk/build/src"].map(|folder| self.root.join(folder));
        let beside: Vec<&Path> = beside.iter().map(PathBuf::as_path).collect();
        let digest = source_digest(&folder, &beside);
        sources_in(&folder, |_| digest.clone())
    }

    /// Builds one of them and returns the path of its module, in `target/wasm`.
    ///
    /// # Errors
    ///
    /// What cargo says.
    pub fn build(&self, toolchain: &Toolchain, source: &Source) -> Result<PathBuf, String> {
        let target_dir = self.root.join("target/wasm");
        toolchain.build(&source.folder.join("Cargo.toml"), Some(&source.package), &target_dir)
    }

    /// Builds what is stale in `target/guests`: the guests, and the shipped plugins from source.
    ///
    /// # Errors
    ///
    /// There is no WebAssembly toolchain, or something does not build.
    pub fn refresh_guests(&self, say: &mut dyn FnMut(&str)) -> Result<Guests, String> {
        let folder = self.root.join("target/guests");
        let _lock = lock(&folder)?;
        let mut toolchain = None;
        for (sources, folder) in [(self.guests()?, folder.clone()), (self.plugins()?, folder.join("plugins"))] {
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            remove_others(&folder, &sources)?;
            for source in sources {
                if is_current(&folder, &source) {
                    continue;
                }
                let toolchain = match &toolchain {
                    Some(found) => found,
                    None => toolchain.insert(Toolchain::find_or_install(say)?),
                };
                say(&format!("building {} for WebAssembly", source.package));
                store(&self.build(toolchain, &source)?, &folder, &source)?;
            }
        }
        Ok(Guests { folder })
    }
}

/// Whether `<folder>/<name>.wasm` was built from what the sources are now.
pub(crate) fn is_current(folder: &Path, source: &Source) -> bool {
    let digest = fs::read_to_string(folder.join(format!("{}.digest", source.name)));
    digest.is_ok_and(|digest| digest.trim() == source.digest) && folder.join(format!("{}.wasm", source.name)).is_file()
}

/// Puts a module and its digest into `folder`; the digest last, so that a half-written module is never taken for current.
fn store(module: &Path, folder: &Path, source: &Source) -> Result<(), String> {
    let wasm = folder.join(format!("{}.wasm", source.name));
    let digest = folder.join(format!("{}.digest", source.name));
    let fail = |error: std::io::Error| format!("cannot write {}: {error}", wasm.display());
    match fs::remove_file(&digest) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let bytes = fs::read(module).map_err(|error| format!("cannot read {}: {error}", module.display()))?;
    let whole = folder.join(format!("{}.wasm.new", source.name));
    fs::write(&whole, bytes).and_then(|()| fs::rename(&whole, &wasm)).map_err(fail)?;
    fs::write(&digest, format!("{}\n", source.digest)).map_err(fail)
}

impl Source {
    /// Whether the module in its own folder was built from what the sources are now.
    pub fn is_current(&self) -> bool {
        is_current(&self.folder, self)
    }

    /// Puts its module, with the digest, into its own folder.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written.
    pub fn store(&self, module: &Path) -> Result<(), String> {
        store(module, &self.folder, self)
    }
}

/// Held until it is dropped.
fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join(".lock");
    let fail = |error: std::io::Error| format!("cannot lock {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(fail)?;
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
    file.lock().map_err(fail)?;
    Ok(file)
}

/// Removes modules whose crate is gone, so that a test cannot pass with one.
fn remove_others(folder: &Path, sources: &[Source]) -> Result<(), String> {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default();
        let module = path.extension().is_some_and(|extension| extension == "wasm" || extension == "digest");
        if module && !sources.iter().any(|source| name == source.name.as_str()) {
            fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn sources_in(folder: &Path, digest: impl Fn(&Path) -> String) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let folder = entry.path();
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        let text = fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
        let package = package_name(&text).ok_or_else(|| format!("{} names no package", manifest.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        sources.push(Source { name, package: package.to_owned(), digest: digest(&folder), folder });
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

/// The name in the `[package]` section of a manifest.
fn package_name(manifest: &str) -> Option<&str> {
    let package = manifest.lines().skip_while(|line| line.trim() != "[package]").skip(1);
    let mut package = package.take_while(|line| !line.trim_start().starts_with('['));
    package.find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let quoted = value.trim().strip_prefix('"')?;
        (key.trim() == "name").then(|| quoted.split('"').next()).flatten()
    })
}

#[cfg(test)]
mod tests;
