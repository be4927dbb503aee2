//! `weir plugin …`: make, build, test and look into plugins.

use clap::Subcommand;
use std::path::{Path, PathBuf};
use weir::config::{Plugin, SHIPPED, Source};
use weir::{Error, Result};
use weir_build::Toolchain;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a new plugin that builds and passes its own test.
    New {
        /// The plugin's name: small letters, digits and dashes. Also the folder, made in the current one.
        name: String,
        /// The language to write it in.
        #[arg(long, default_value = "rust", value_parser = ["rust"])]
        lang: String,
        /// Where the SDK is, if not in the sources that this program was built from.
        #[arg(long, value_name = "FOLDER")]
        sdk: Option<PathBuf>,
    },
    /// Build the plugin in a folder for WebAssembly.
    Build {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Run the plugin's own tests, then build it and load it into the sandbox.
    Test {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Show what a plugin is, does and imports.
    Inspect {
        /// A .wasm file, or the name of a shipped plugin.
        plugin: String,
        /// The configuration to show it with, as JSON.
        #[arg(long, value_name = "JSON", default_value = "{}")]
        config: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::New { name, lang: _, sdk } => new(&name, sdk.as_deref()),
        Command::Build { folder } => build(&folder).map(|module| println!("built {}", module.display())),
        Command::Test { folder } => test(&folder),
        Command::Inspect { plugin, config, json } => inspect(&plugin, &config, json),
    }
}

/// The files of a new plugin, with `{{name}}` and `{{sdk}}` to fill in.
const TEMPLATE: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../sdk/template/Cargo.toml")),
    ("src/lib.rs", include_str!("../../sdk/template/src/lib.rs")),
    ("README.md", include_str!("../../sdk/template/README.md")),
    (".gitignore", include_str!("../../sdk/template/gitignore")),
];

fn new(name: &str, sdk: Option<&Path>) -> Result<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > 64 || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(good) {
        return Err(Error::config(format!(
            "{name:?} cannot be the name of a plugin: at most 64 small letters, digits and dashes, a letter first; \
             try `weir plugin new my-plugin`"
        )));
    }
    let folder = Path::new(name);
    if folder.exists() {
        return Err(Error::config(format!("{name} exists already; choose another name, or remove it first")));
    }
    let dependency = match sdk {
        Some(path) => sdk_at(path)?,
        None => {
            let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
            if built_from.join("Cargo.toml").is_file() {
                sdk_at(&built_from)?
            } else {
                format!("\"{}\"", env!("CARGO_PKG_VERSION"))
            }
        }
    };
    for (path, text) in TEMPLATE {
        let path = folder.join(path);
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            std::fs::write(&path, text.replace("{{name}}", name).replace("{{sdk}}", &dependency))
        };
        write().map_err(|error| Error::storage(format!("{} could not be written: {error}", path.display())))?;
    }
    println!("made {name}/\n\n  cd {name}\n  weir plugin test      its own tests, then a build for WebAssembly\n");
    println!("then load it:\n\n  [[plugin]]\n  path = \"{name}/target/weir/{name}.wasm\"");
    Ok(())
}

fn sdk_at(path: &Path) -> Result<String> {
    let full = path.canonicalize().ok().filter(|path| path.join("Cargo.toml").is_file()).ok_or_else(|| {
        Error::config(format!("--sdk {}: there is no SDK; it is the folder `sdk` of Weir's sources", path.display()))
    })?;
    Ok(format!("{{ path = {:?} }}", full.display().to_string()))
}

/// Builds the plugin and leaves it as `target/weir/NAME.wasm` in its folder.
fn build(folder: &Path) -> Result<PathBuf> {
    let manifest = manifest(folder)?;
    let toolchain = Toolchain::find_or_install(&mut |line| eprintln!("{line}")).map_err(Error::config)?;
    eprintln!("building with {}", toolchain.summary());
    let target = folder.join("target").join("weir");
    let module = toolchain.build(&manifest, None, &target).map_err(Error::plugin)?;
    let name = module.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-")).unwrap_or_default();
    let name = name.strip_prefix("weir-plugin-").unwrap_or(&name).to_owned();
    let to = target.join(format!("{name}.wasm"));
    std::fs::copy(&module, &to).map_err(|error| Error::storage(format!("{}: {error}", to.display())))?;
    Ok(to)
}

fn manifest(folder: &Path) -> Result<PathBuf> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Error::config(format!(
            "{} is no plugin: it has no Cargo.toml; name the plugin's folder, or make one with `weir plugin new NAME`",
            folder.display()
        )));
    }
    Ok(manifest)
}

fn test(folder: &Path) -> Result<()> {
    let manifest = manifest(folder)?;
    let status = std::process::Command::new("cargo")
        .args(["test", "--manifest-path"])
        .arg(&manifest)
        .status()
        .map_err(|error| Error::config(format!("cargo could not be started: {error}; install Rust")))?;
    if !status.success() {
        return Err(Error::plugin(format!("the tests of {} failed ({status})", folder.display())));
    }
    let module = build(folder)?;
    inspect(&module.display().to_string(), "{}", false)
}

fn inspect(plugin: &str, config: &str, json: bool) -> Result<()> {
    let settings = serde_json::from_str(config).map_err(|error| {
        Error::config(format!("--config is no JSON object: {error}; for example '{{\"keep\": 0.1}}'"))
    })?;
    let mut described = if SHIPPED.contains(&plugin) {
        Plugin::shipped(plugin)
    } else if Path::new(plugin).is_file() {
        let name = Path::new(plugin).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Plugin::file(name, plugin)
    } else {
        return Err(Error::config(format!(
            "{plugin} is neither a file nor a shipped plugin; the shipped ones are {}",
            SHIPPED.join(", ")
        )));
    };
    described.config = settings;
    if let Source::File(path) = &described.source {
        described.source = Source::File(path.canonicalize().unwrap_or_else(|_| path.clone()));
    }
    let checked = weir::run::check_plugin(&described, Path::new("."))?;
    if json {
        println!("{:#}", super::check::as_json(std::slice::from_ref(&checked)));
    } else {
        print!("{}", super::check::describe(&checked));
    }
    Ok(())
}
