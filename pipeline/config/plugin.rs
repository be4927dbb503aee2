//! `[[plugin]]`: the chain, a section for each plugin of it.

mod json;
mod read;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::keys::{Key, Section};
use super::values::MIB;
use crate::{Error, Result, Signal};

pub(super) use read::read_chain;

/// The plugins that are part of Weir: what `use` can name.
pub const SHIPPED: [&str; 6] = ["enrich", "sample", "redact", "kpi", "utilization", "tail-sample"];

/// The largest file that a plugin can be granted, in bytes.
const GRANTED_BYTES_MAX: u64 = 16 * MIB;

pub(super) static SECTION: Section = Section {
    path: "plugin",
    header: "[[plugin]]",
    keys: &[
        Key::unset("use", "\"sample\"", "a shipped plugin: \"enrich\", \"sample\", \"redact\", \"kpi\", \"utilization\" or \"tail-sample\""),
        Key::unset("path", "\"./mine.wasm\"", "a plugin of your own, instead of `use`; relative to this file"),
        Key::unset("name", "\"sample-shop\"", "what it is called; not set: `use`, or the file's name without `.wasm`"),
        Key::unset("signals", "[\"spans\"]", "of \"spans\", \"logs\" and \"metrics\"; not set: all that it takes"),
        Key::new("config", "{}", "its own settings, any table; dates and times become text").example("{ keep = 0.1 }"),
        Key::new(
            "files",
            "{}",
            "files granted to it: their content, as text, reaches it under these names among its settings; 16 MiB each, \
             relative to this file",
        )
        .example("{ inventory = \"owners.csv\" }"),
        Key::unset(
            "on_error",
            "\"pass\"",
            "rows that it fails on: \"pass\", \"drop\", \"dead_letter\" or \"stop\"; not set: what it says itself",
        ),
        Key::section("limits"),
    ],
};

pub(super) static LIMITS: Section = Section {
    path: "plugin.limits",
    header: "[plugin.limits]",
    keys: &[
        Key::new("memory", "\"64MiB\"", "memory of an instance"),
        Key::new("time", "\"100ms\"", "time that a call may have a processor"),
        Key::new("rows_emitted", "100000", "rows a call may emit into the plugin's own tables"),
        Key::new("state", "\"64MiB\"", "keys and values that it may keep"),
        Key::new("held_rows", "500000", "rows that it may hold back"),
        Key::new("held", "\"64MiB\"", "bytes that the rows it holds back may take"),
        Key::new("held_age", "\"10m\"", "how long, in event time, it may hold a row back"),
        Key::new(
            "held_overflow",
            "\"pass\"",
            "what becomes of held rows over one of these limits, the oldest first: \"pass\" (they go on) or \"drop\"",
        ),
        Key::new("log_lines", "100", "messages a second; more are counted and not shown"),
        Key::new("component", "\"16MiB\"", "size of the file of the plugin"),
    ],
};

/// Where the code of a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One of [`SHIPPED`].
    Shipped(String),
    /// A file, relative to [`Config::directory`](super::Config::directory).
    File(PathBuf),
}

/// What becomes of the rows of a batch that a plugin fails on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnError {
    /// They go on as they were.
    Pass,
    /// They are dropped, and counted.
    Drop,
    /// They are set aside among the dead letters, and counted.
    DeadLetter,
    /// Weir stops.
    Stop,
}

/// What a plugin may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of an instance, in bytes.
    pub memory_bytes_max: u64,
    /// Time a call may take.
    pub call_time_max: Duration,
    /// Rows a call may emit.
    pub rows_emitted_max: u64,
    /// Bytes of keys and values that it may keep.
    pub state_bytes_max: u64,
    /// Rows that it may hold back.
    pub held_rows_max: u64,
    /// Bytes that they may take.
    pub held_bytes_max: u64,
    /// How long, in event time, it may hold one.
    pub held_age_max: Duration,
    /// Whether held rows over a limit go on; if not, they are dropped.
    pub held_overflow_passes: bool,
    /// Messages a second.
    pub log_lines_per_second_max: u32,
    /// Size of its component in bytes.
    pub component_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 * MIB,
            call_time_max: Duration::from_millis(100),
            rows_emitted_max: 100_000,
            state_bytes_max: 64 * MIB,
            held_rows_max: 500_000,
            held_bytes_max: 64 * MIB,
            held_age_max: Duration::from_secs(600),
            held_overflow_passes: true,
            log_lines_per_second_max: 100,
            component_bytes_max: 16 * MIB,
        }
    }
}

/// A plugin of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// What it is called in messages, metrics and rows; no two of a chain have the same name.
    pub name: String,
    /// Where its code comes from.
    pub source: Source,
    /// The signals that it is given; none: all that it takes.
    pub signals: Option<Vec<Signal>>,
    /// Its own settings.
    pub config: Map<String, Json>,
    /// Files whose content reaches it among its settings, by their names there.
    pub files: BTreeMap<String, PathBuf>,
    /// What becomes of rows that it fails on; none: what it says itself.
    pub on_error: Option<OnError>,
    /// What it may take.
    pub limits: Limits,
}

impl Plugin {
    /// A plugin that is part of Weir, with the settings that it has by default.
    pub fn shipped(name: impl Into<String>) -> Self {
        let name = name.into();
        Self::new(name.clone(), Source::Shipped(name))
    }

    /// A plugin in a file, with the settings that it has by default.
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self::new(name, Source::File(path.into()))
    }

    fn new(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            source,
            signals: None,
            config: Map::new(),
            files: BTreeMap::new(),
            on_error: None,
            limits: Limits::default(),
        }
    }

    /// The file of its code, if it is in one. `directory` is what relative paths start from.
    pub fn component_path(&self, directory: &Path) -> Option<PathBuf> {
        match &self.source {
            Source::Shipped(_) => None,
            Source::File(path) => Some(directory.join(path)),
        }
    }

    /// Its configuration as the plugin gets it: a JSON object of its settings and the contents of its files, which are
    /// read here. `directory` is what relative paths start from.
    pub fn configuration_json(&self, directory: &Path) -> Result<String> {
        let mut object = self.config.clone();
        for (key, path) in &self.files {
            if object.contains_key(key) {
                let message = format!("`{key}` is both in `config` and in `files`: rename one of them");
                return Err(Error::config(message).within(format_args!("plugin `{}`", self.name)));
            }
            let content = read_granted(&directory.join(path))
                .map_err(|error| error.within(format_args!("plugin `{}`: files.{key}", self.name)))?;
            object.insert(key.clone(), Json::String(content));
        }
        Ok(Json::Object(object).to_string())
    }
}

fn read_granted(path: &Path) -> Result<String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(GRANTED_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(|error| {
        Error::config(format!("cannot read `{shown}`: {error}; the path is relative to the configuration file"))
    })?;
    if bytes.len() as u64 > GRANTED_BYTES_MAX {
        return Err(Error::config(format!(
            "`{shown}` is larger than 16 MiB, the most that a plugin is handed: leave out the columns that it does not use"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::config(format!("`{shown}` is not UTF-8 text, from byte {at} on: save it as UTF-8"))
    })
}
