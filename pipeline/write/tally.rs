//! The tables of a local folder, counted file by file from the footers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::staging;
use crate::{Error, Result};

/// Folders beside the tables that are none: theirs begin with this.
const APART: char = '_';

/// The one of them that holds tables.
const DEAD_LETTERS: &str = "_dead_letter";

/// What a table has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableTally {
    /// Its name.
    pub table: String,
    /// Its files that can be read.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The newest day, as its folder says it: `2026-01-31`.
    pub newest_day: Option<String>,
    /// Files of this writer that are no Parquet.
    pub unreadable: Vec<UnreadableFile>,
    /// Files of others that are no Parquet.
    pub foreign: u64,
    /// Files of this writer that are of an epoch after the last recorded one.
    pub unrecorded: Vec<PathBuf>,
}

/// A file of a table that is no Parquet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableFile {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Why it cannot be read.
    pub reason: String,
}

/// The tables in a folder, by name. With `deep` every row is read, else what each file says of itself at its end. A folder
/// that is not there has none. `recorded` is the last epoch of which there is a record.
///
/// # Errors
///
/// `Storage` where a folder cannot be read.
pub fn tally(to: &Path, writer: &str, recorded: Option<u64>, deep: bool) -> Result<Vec<TableTally>> {
    let mut names = Vec::new();
    for name in folders(to)? {
        if name == DEAD_LETTERS {
            names.extend(folders(&to.join(&name))?.into_iter().map(|signal| format!("{name}/{signal}")));
        } else if !name.starts_with(APART) {
            names.push(name);
        }
    }
    let tables = names.into_iter().map(|name| table(to, name, writer, recorded, deep));
    let mut tables = tables.collect::<Result<Vec<_>>>()?;
    tables.retain(|table| table.files + table.foreign > 0 || !table.unreadable.is_empty());
    Ok(tables)
}

fn table(to: &Path, name: String, writer: &str, recorded: Option<u64>, deep: bool) -> Result<TableTally> {
    let mut tally = TableTally { table: name, ..TableTally::default() };
    walk(&to.join(&tally.table), None, &mut |path, day| {
        let epoch = path.file_name().and_then(|name| staging::epoch_of(name.to_str()?, writer));
        if recorded.is_some() && epoch > recorded {
            tally.unrecorded.push(path.to_owned());
        }
        let bytes = match fs::metadata(path) {
            // Replaced or removed since the folder was read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(|error| failed(path, &error))?.len(),
        };
        match rows(path, deep) {
            Ok(rows) => {
                tally.files += 1;
                tally.rows += rows;
                tally.bytes += bytes;
                if day > tally.newest_day.as_deref() {
                    tally.newest_day = day.map(str::to_owned);
                }
            }
            Err(reason) if is_writers(path, writer) => {
                tally.unreadable.push(UnreadableFile { path: path.to_owned(), bytes, reason });
            }
            Err(_) => tally.foreign += 1,
        }
        Ok(())
    })?;
    Ok(tally)
}

fn rows(path: &Path, deep: bool) -> std::result::Result<u64, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    if deep {
        for batch in builder.build().map_err(|error| error.to_string())? {
            batch.map_err(|error| error.to_string())?;
        }
    }
    Ok(rows)
}

/// Whether this writer gives files such names: `<writer>-<epoch>-<n>.parquet`, or `<writer>.parquet` for a day's one file.
fn is_writers(path: &Path, writer: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    staging::epoch_of(name, writer).is_some() || name.strip_suffix(".parquet") == Some(writer)
}

/// Visits the Parquet files of a folder and of those in it, in the order of their names, each with the day it is of.
fn walk(folder: &Path, day: Option<&str>, see: &mut dyn FnMut(&Path, Option<&str>) -> Result<()>) -> Result<()> {
    for (name, is_folder) in entries(folder)? {
        let path = folder.join(&name);
        if is_folder {
            walk(&path, name.strip_prefix("day=").or(day), see)?;
        } else if name.ends_with(".parquet") {
            see(&path, day)?;
        }
    }
    Ok(())
}

fn folders(folder: &Path) -> Result<Vec<String>> {
    Ok(entries(folder)?.into_iter().filter(|(_, is_folder)| *is_folder).map(|(name, _)| name).collect())
}

fn entries(folder: &Path) -> Result<Vec<(String, bool)>> {
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| failed(folder, &error))?,
    };
    let mut entries = Vec::new();
    for entry in read {
        let entry = entry.map_err(|error| failed(folder, &error))?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path().is_dir()));
        }
    }
    entries.sort();
    Ok(entries)
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::storage(format!("cannot look at {}: {error}", path.display()))
}
