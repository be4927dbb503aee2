//! Looks at what a pipeline has on the disk, says what is wrong, and mends what can be mended.
//!
//! [`examine`] changes nothing and takes nothing for itself. [`repair`] does what the [`Mend`]s of its problems say, with every
//! folder locked. Nothing is deleted that holds rows: what cannot be read is set aside in `_quarantine`.

mod diagnose;
mod problem;
mod repair;

pub use problem::{Mend, Problem};
pub use repair::{Repaired, discard_state, repair};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Destination, Durability};
use crate::files::{Files, Real, failed};
use crate::log::{self, Lsn, SegmentReport};
use crate::write::{self, FileState, Inspection, TableTally};
use crate::{Result, chain};

/// How often to look again while a weir runs, and after which pause.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// Where a pipeline has what it writes.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the log; none where there is no log.
    pub log: Option<PathBuf>,
    /// The staging folder, with the records and the state of plugins.
    pub staging: PathBuf,
    /// The folder of the tables; none where they are in an object store.
    pub tables: Option<PathBuf>,
    /// The writer in the names of files.
    pub writer: String,
}

impl Places {
    /// The places of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            log: (config.log.durability == Durability::Fsync).then(|| config.log_folder()),
            staging: config.write.staging_folder(),
            tables: match &config.write.to {
                Destination::Local(folder) => Some(folder.clone()),
                Destination::S3 { .. } => None,
            },
            writer: config.write.writer.clone(),
        }
    }

    /// Every folder, each once.
    pub(super) fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<&Path> = vec![&self.staging];
        for folder in self.tables.iter().chain(&self.log) {
            if !folders.contains(&folder.as_path()) {
                folders.push(folder);
            }
        }
        folders
    }
}

/// What there is, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where it was looked for.
    pub places: Places,
    /// The process that uses the folders now, if one does.
    pub running: Option<String>,
    /// Bytes that are free on the disk of the log; none where that is not known, or there is no log.
    pub free_bytes: Option<u64>,
    /// Whether that is less than the log should have.
    pub is_nearly_full: bool,
    /// The segments of the log, the oldest first.
    pub segments: Vec<SegmentReport>,
    /// The first record of the log that no epoch has.
    pub position: Lsn,
    /// Records of the log, that is requests, that no epoch has yet: the next start takes them. None where no record of an epoch
    /// can be read, and so it is not known which they are.
    pub waiting: Option<u64>,
    /// Records of epochs, files in staging, state.
    pub store: Inspection,
    /// The state of each plugin.
    pub states: Vec<StateTally>,
    /// The tables of a local folder.
    pub tables: Vec<TableTally>,
    /// What is wrong, in the order in which it should be mended.
    pub problems: Vec<Problem>,
}

/// The state of a plugin, as of the last record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTally {
    /// The plugin, by its name in the chain.
    pub plugin: String,
    /// Keys with a value.
    pub entries: u64,
    /// Bytes of keys, values and held rows.
    pub bytes: u64,
    /// Rows that it holds back; none where they cannot be read.
    pub held_rows: Option<u64>,
    /// Whether the configuration has a plugin of that name.
    pub is_configured: bool,
}

impl Report {
    /// Files that wait in staging to be published, and their rows.
    pub fn staged(&self) -> (u64, u64) {
        let contents = self.store.records.iter().filter_map(|record| record.content.as_ref().ok());
        let staged = contents.flat_map(|record| &record.files).filter(|file| file.state == FileState::Staged);
        staged.fold((0, 0), |(files, rows), file| (files + 1, rows + file.rows))
    }
}

/// Looks at everything that a configuration names. With `deep` every row of every table is read, else the end of each file.
///
/// # Errors
///
/// `Storage` where a folder cannot be read, `Config` where there is none.
pub fn examine(config: &Config, deep: bool) -> Result<Report> {
    let mut report = look(config, deep)?;
    // Files come and go while a weir runs: what is wrong is wrong at a second look, too.
    for _ in 0..LOOKS {
        if report.running.is_none() || report.problems.is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
        report = look(config, deep)?;
    }
    Ok(report)
}

fn look(config: &Config, deep: bool) -> Result<Report> {
    let files: Arc<dyn Files> = Arc::new(Real);
    let places = Places::of(config);
    let exists = |folder: &Path| files.stat(folder).map_err(|error| failed("cannot look at", folder, &error));
    let mut there = Vec::new();
    for folder in places.folders() {
        if exists(folder)?.is_some() {
            there.push(folder);
        }
    }
    if there.is_empty() {
        let all: Vec<_> = places.folders().iter().map(|folder| folder.display().to_string()).collect();
        return Err(crate::Error::config(format!(
            "there is nothing to look at: none of {} exists; run it where weir ran, or name its configuration with `-c`",
            all.join(", ")
        )));
    }
    let mut running = None;
    for folder in there {
        let holder = files.holder(folder).map_err(|error| failed("cannot look at the lock of", folder, &error))?;
        // A repair has them itself.
        running = running.or(holder.filter(|holder| *holder != std::process::id().to_string()));
    }
    let store = write::inspect(&files, &places.staging, &places.writer, places.tables.as_deref())?;
    let position = store.last().map_or(0, |(_, record)| record.to);
    let segments = match &places.log {
        Some(folder) if exists(folder)?.is_some() => log::inspect(&files, folder)?,
        _ => Vec::new(),
    };
    let recorded = store.last().map(|(epoch, _)| epoch);
    let tables = match &places.tables {
        Some(folder) => write::tally(folder, &places.writer, recorded, deep)?,
        None => Vec::new(),
    };
    let (states, unreadable) = states(config, &store);
    let free_bytes = places.log.as_deref().and_then(|folder| files.free(folder).ok().flatten());
    let mut report = Report {
        places,
        running,
        free_bytes,
        is_nearly_full: free_bytes.is_some_and(|free| free < config.log.segment_bytes.saturating_mul(2)),
        waiting: (store.records.is_empty() || store.last().is_some()).then(|| waiting(&segments, position)),
        segments,
        position,
        store,
        states,
        tables,
        problems: Vec::new(),
    };
    report.problems = diagnose::problems(&report, unreadable.as_deref());
    Ok(report)
}

/// Records from a position on.
fn waiting(segments: &[SegmentReport], position: Lsn) -> u64 {
    let of = |segment: &SegmentReport| {
        let (first, last) = segment.lsns?;
        // Those that are damaged are within the numbers, and not among the records.
        Some((last + 1).saturating_sub(first.max(position)).min(segment.records))
    };
    segments.iter().filter_map(of).sum()
}

/// The state of each plugin; or why it cannot be read.
fn states(config: &Config, store: &Inspection) -> (Vec<StateTally>, Option<String>) {
    let contents: std::result::Result<Vec<Vec<u8>>, ()> =
        store.state.iter().map(|state| state.content.clone().map_err(drop)).collect();
    // What is wrong with the files is said of the files.
    let Ok(contents) = contents else { return (Vec::new(), None) };
    match chain::fold_kept(&contents) {
        Err(error) => (Vec::new(), Some(error.to_string())),
        Ok(kept) => {
            let tally = |kept: &chain::Kept| StateTally {
                plugin: kept.plugin.clone(),
                entries: kept.entries.len() as u64,
                bytes: kept.bytes(),
                held_rows: kept.held_rows().ok(),
                is_configured: config.plugins.iter().any(|plugin| plugin.name == kept.plugin),
            };
            (kept.iter().map(tally).collect(), None)
        }
    }
}
