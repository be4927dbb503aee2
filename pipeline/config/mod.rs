//! Settings: TOML text → [`Config`].
//!
//! Every key is optional and has a default ([`SECTIONS`] lists them all), unknown keys are refused, and what is wrong
//! is said as a compiler would say it: file, line, caret, what was expected, the cure ([`Faults`]). Reading text touches
//! no file; only [`Config::from_file`] and [`Plugin::configuration_json`] do.
//!
//! A program that embeds Weir fills in the same structures in code:
//!
//! ```
//! use weir::config::{Config, Destination, Plugin};
//!
//! let mut config = Config::default();
//! config.write.to = Destination::Local("./telemetry".into());
//! config.plugins = vec![Plugin::shipped("enrich")];
//! ```

mod batch;
mod depth;
mod fault;
mod keys;
mod log;
mod nearest;
mod plugin;
mod promoted;
mod receive;
mod table;
mod values;
mod watch;
mod write;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use batch::Batch;
pub use fault::{Fault, Faults, Place};
pub use keys::{Key, SECTIONS, Section};
pub use log::{Durability, Log};
pub use plugin::{Limits, OnError, Plugin, SHIPPED, Source};
pub use promoted::{ColumnType, Promoted};
pub use receive::Receive;
pub use watch::Watch;
pub use write::{Attributes, Compression, Destination, S3, Secret, Write};

use table::Reader;

/// The largest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// All settings of a pipeline. `Config::default()` is what an empty file means.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where OTLP comes in.
    pub receive: Receive,
    /// The write-ahead log.
    pub log: Log,
    /// How rows are gathered into batches and how many threads work on them.
    pub batch: Batch,
    /// The chain: the plugins in the order in which a batch passes them.
    pub plugins: Vec<Plugin>,
    /// Where and how tables are written.
    pub write: Write,
    /// Weir's own telemetry.
    pub watch: Watch,
    /// The folder that relative paths of plugins and of their files start from: the one of the configuration file.
    pub directory: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receive: Receive::default(),
            log: Log::default(),
            batch: Batch::default(),
            // Both change nothing until they are configured. `redact` changes what is stored: it has to be asked for.
            plugins: vec![Plugin::shipped("enrich"), Plugin::shipped("sample")],
            write: Write::default(),
            watch: Watch::default(),
            directory: PathBuf::new(),
        }
    }
}

impl Config {
    /// Where the log is.
    pub fn log_folder(&self) -> PathBuf {
        match (&self.log.folder, &self.write.to) {
            (Some(folder), _) => folder.clone(),
            (None, Destination::Local(folder)) => folder.join("_log"),
            (None, Destination::S3 { .. }) => Path::new("./data").join("_log"),
        }
    }

    /// Reads settings from TOML. `name` is what faults call the text: the path of its file.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, Faults> {
        let mut reader = Reader::new(name, text);
        if let Some(key) = depth::long_key(text) {
            let fault = Fault::new("a key has very many parts");
            reader.fault(
                key,
                fault.expected("a key of at most 16 parts").help("write tables within tables, or flatten it"),
            );
            return Err(reader.into_faults());
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // A file whose grammar is broken is not searched for wrong values: half of what that finds is not there.
            reader.syntax(&errors);
            return Err(reader.into_faults());
        }
        let mut config = Self::default();
        let root = reader.root(document.get_ref());
        config.receive.read(&mut reader, &root);
        config.log.read(&mut reader, &root);
        config.batch.read(&mut reader, &root);
        if let Some(plugins) = plugin::read_chain(&mut reader, &root) {
            config.plugins = plugins;
        }
        config.write.read(&mut reader, &root);
        config.watch.read(&mut reader, &root);
        config.watch.read_conflicts(&mut reader, &root, &config.receive);
        if reader.has_faults() { Err(reader.into_faults()) } else { Ok(config) }
    }

    /// Reads settings from a file, and remembers its folder as [`Config::directory`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Faults> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let mut config = Self::from_toml(&name, &read_text(path, &name)?)?;
        config.directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(config)
    }
}

fn read_text(path: &Path, name: &str) -> Result<String, Faults> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(|error| {
        Fault::new(format!("cannot read the configuration file `{name}`: {error}"))
            .help("give its path with `-c`; without a file every setting has its default")
    })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Fault::new(format!("the configuration file `{name}` is larger than 1 MiB"))
            .help("move large contents to files of their own and name them in `files` of their plugin")
            .into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        Fault::new(format!("the configuration file `{name}` is not UTF-8 text, from line {line} on"))
            .help("save it as UTF-8")
            .into()
    })
}
