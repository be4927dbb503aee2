//! The staging folder looked at without changing it, and without failing on what is in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::partition::Staged;
use super::record::{self, Record, sha256};
use super::{Destination, WriteOptions, staging, state};
use crate::Result;
use crate::files::{Files, failed};

/// What is in a staging folder.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// The records of epochs, the oldest first.
    pub records: Vec<RecordReport>,
    /// The files with the state of plugins that the last sound record names, a whole one first.
    pub state: Vec<StateReport>,
    /// Files of the writer that no sound record names.
    pub unnamed: Vec<Unnamed>,
}

/// A record.
#[derive(Clone, Debug)]
pub struct RecordReport {
    /// The file.
    pub path: PathBuf,
    /// The epoch in its name.
    pub epoch: u64,
    /// What it says; or why it cannot be believed.
    pub content: std::result::Result<RecordContent, String>,
}

/// What a record says.
#[derive(Clone, Debug)]
pub struct RecordContent {
    /// The first record of the log that the epoch has.
    pub from: u64,
    /// The first one that it has no more.
    pub to: u64,
    /// Its files.
    pub files: Vec<FileReport>,
}

/// A file that a record names.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Its table.
    pub table: String,
    /// Where it is in staging until it is published.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What became of it.
    pub state: FileState,
}

/// What became of a file that a record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It is in staging, whole.
    Staged,
    /// It is in staging, and not what was recorded.
    Damaged(String),
    /// It has left staging, as a file does that is published.
    Published,
    /// It has left staging, and is not where it was published.
    Missing(PathBuf),
    /// It was published, and is not what was recorded any more.
    Changed(PathBuf, String),
}

/// A file with the state of plugins.
#[derive(Clone, Debug)]
pub struct StateReport {
    /// The file.
    pub path: PathBuf,
    /// What it has; or why it cannot be believed.
    pub content: std::result::Result<Vec<u8>, String>,
}

/// A file of the writer that no sound record names.
#[derive(Clone, Debug)]
pub struct Unnamed {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Its epoch, where its name has one.
    pub epoch: Option<u64>,
}

impl Inspection {
    /// The last record that can be believed, with its epoch.
    pub fn last(&self) -> Option<(u64, &RecordContent)> {
        self.records.iter().rev().find_map(|record| Some((record.epoch, record.content.as_ref().ok()?)))
    }
}

/// Looks at the staging folder of that writer. `tables` is the local folder of the tables; where they are in an object store,
/// a file that has left staging counts as published. It fails only if the folder cannot be read; one that is not there is
/// empty.
pub fn inspect(files: &Arc<dyn Files>, staging: &Path, writer: &str, tables: Option<&Path>) -> Result<Inspection> {
    let stat = files.stat(staging).map_err(|error| failed("cannot look at", staging, &error))?;
    if stat.is_none() {
        return Ok(Inspection::default());
    }
    let options = looking(files, staging, writer);
    let entries = files.list(staging).map_err(|error| failed("cannot list", staging, &error))?;
    let mut found = Vec::new();
    for entry in &entries {
        if let Some(epoch) = record::epoch_of(&entry.name, writer) {
            let path = staging.join(&entry.name);
            if let Some(content) = read(&options, &path, epoch) {
                found.push((path, epoch, content));
            }
        }
    }
    found.sort_by_key(|(_, epoch, _)| *epoch);
    refuse_those_that_do_not_follow(&mut found);
    let sound: Vec<&Record> = found.iter().filter_map(|(_, _, content)| content.as_ref().ok()).collect();
    let is_named = |name: &str| {
        let state = sound.last().is_some_and(|last| last.state.iter().any(|file| file.name == name));
        state || sound.iter().any(|record| record.files.iter().any(|file| file.staged_name() == name))
    };
    let unnamed = entries.iter().filter(|entry| is_writers(&entry.name, writer) && !is_named(&entry.name));
    let unnamed = unnamed.map(|entry| Unnamed {
        path: staging.join(&entry.name),
        bytes: entry.stat.bytes,
        epoch: staging::epoch_of(&entry.name, writer).or_else(|| state::epoch_of(&entry.name, writer)),
    });
    Ok(Inspection {
        unnamed: unnamed.collect(),
        state: sound.last().map(|last| states(&options, last)).unwrap_or_default(),
        records: found
            .iter()
            .map(|(path, epoch, content)| RecordReport {
                path: path.clone(),
                epoch: *epoch,
                content: content.as_ref().map_err(Clone::clone).map(|record| RecordContent {
                    from: record.from,
                    to: record.to,
                    files: record.files.iter().map(|file| file_report(&options, file, tables)).collect(),
                }),
            })
            .collect(),
    })
}

/// Options that are good for reading records and state, and for nothing else.
pub(super) fn looking(files: &Arc<dyn Files>, staging: &Path, writer: &str) -> WriteOptions {
    let mut options = WriteOptions::new(Destination::Local(staging.to_owned()), staging);
    options.files = Arc::clone(files);
    writer.clone_into(&mut options.writer_name);
    options
}

type Found = (PathBuf, u64, std::result::Result<Record, String>);

/// Nothing where the record was removed since the folder was listed.
fn read(options: &WriteOptions, path: &Path, epoch: u64) -> Option<std::result::Result<Record, String>> {
    let record = match options.files.read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
        Ok(bytes) => record::parse(options, &bytes),
    };
    Some(match record {
        Ok(record) if record.epoch != epoch => Err(format!("it is the record of epoch {}", record.epoch)),
        record => record,
    })
}

/// A start refuses what does not follow; so does this, from the first such record on.
fn refuse_those_that_do_not_follow(found: &mut [Found]) {
    let mut before: Option<Record> = None;
    for (_, _, content) in found {
        let Ok(record) = content else { continue };
        match &before {
            Some(one) if record.epoch == one.epoch + 1 && !record.follows(one) => {
                *content = Err(format!("it does not follow the record of epoch {}", one.epoch));
            }
            Some(one) if record.epoch != one.epoch + 1 => {
                *content = Err(format!("the records after epoch {} and before it are missing or damaged", one.epoch));
            }
            _ => before = Some(record.clone()),
        }
    }
}

/// Whether a name in the staging folder is one that this writer gives.
fn is_writers(name: &str, writer: &str) -> bool {
    let plain = name.strip_suffix(".new").unwrap_or(name);
    let merged = plain.strip_suffix(".merged").map(|name| format!("{name}.parquet"));
    let staged = |name: &str| staging::epoch_of(name, writer).is_some();
    let is_record = plain != name && record::epoch_of(plain, writer).is_some();
    is_record || staged(plain) || merged.is_some_and(|name| staged(&name)) || state::epoch_of(plain, writer).is_some()
}

fn states(options: &WriteOptions, last: &Record) -> Vec<StateReport> {
    let report = |file: &record::StateFile| {
        let path = options.staging.join(&file.name);
        let content = match options.files.read(&path) {
            Err(error) => Err(error.to_string()),
            Ok(bytes) if sha256(&bytes) != file.sha256 => Err("its digest is not the recorded one".to_owned()),
            Ok(bytes) => Ok(bytes),
        };
        StateReport { path, content }
    };
    last.state.iter().map(report).collect()
}

fn file_report(options: &WriteOptions, file: &Staged, tables: Option<&Path>) -> FileReport {
    let state = match compare(options, &file.path, file) {
        Some(Ok(())) => FileState::Staged,
        Some(Err(why)) => FileState::Damaged(why),
        // Rows that were merged into the file of their day, or an object store: nothing is left to be compared.
        None => match tables.filter(|_| file.key.is_none()) {
            None => FileState::Published,
            Some(tables) => {
                let path = tables.join(&file.folder).join(&file.name);
                match compare(options, &path, file) {
                    Some(Ok(())) => FileState::Published,
                    Some(Err(why)) => FileState::Changed(path, why),
                    None => FileState::Missing(path),
                }
            }
        },
    };
    let (rows, bytes, path) = (file.rows, file.bytes, file.path.clone());
    FileReport { table: file.table.to_string(), path, rows, bytes, state }
}

/// Whether a file is what was recorded; none where there is none.
fn compare(options: &WriteOptions, path: &Path, file: &Staged) -> Option<std::result::Result<(), String>> {
    match options.files.read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
        Ok(bytes) if bytes.len() as u64 != file.bytes => {
            Some(Err(format!("it has {} bytes, and {} were recorded", bytes.len(), file.bytes)))
        }
        Ok(bytes) if sha256(&bytes) != file.sha256 => Some(Err("its digest is not the recorded one".to_owned())),
        Ok(_) => Some(Ok(())),
    }
}
