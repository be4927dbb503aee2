//! The record of an epoch: the files that are staged, and where each goes. What is recorded is published, by this run or
//! by the next; what is staged and not recorded is cleared away at the start.
//!
//! One file an epoch, `<writer>-<epoch>.record` in the staging folder, JSON, replaced as a whole.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::partition::Staged;
use super::{WriteOptions, staging};
use crate::{Error, Result};

fn path(options: &WriteOptions, epoch: u64) -> PathBuf {
    options.staging.join(format!("{}-{epoch}.record", options.writer_name))
}

pub(super) fn write(options: &WriteOptions, epoch: u64, staged: &[Staged]) -> Result<()> {
    let file = |file: &Staged| {
        json!({
            "table": &*file.table, "folder": file.folder, "name": file.name, "rows": file.rows, "bytes": file.bytes,
            "staged": file.staged_name(), "pending": file.pending, "key": file.key,
        })
    };
    let record = json!({ "epoch": epoch, "files": staged.iter().map(file).collect::<Vec<_>>() });
    staging::replace(&path(options, epoch), &format!("{record}\n"))
}

/// Removes the record of an epoch whose files are all published, for good: were it there again after a power cut, an old
/// file of a day would replace the one of a later epoch. Gone already is as good.
pub(super) fn remove(options: &WriteOptions, epoch: u64) -> Result<()> {
    let path = path(options, epoch);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(disk("cannot be removed", &path, &error)),
        _ => staging::sync_folder(&options.staging),
    }
}

/// The epochs that are recorded, with those of their files that are still in staging, the oldest first.
pub(super) fn read_all(options: &WriteOptions) -> Result<Vec<(u64, Vec<Staged>)>> {
    let mut records = Vec::new();
    let entries =
        std::fs::read_dir(&options.staging).map_err(|error| disk("cannot be listed", &options.staging, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| disk("cannot be listed", &options.staging, &error))?;
        let name = entry.file_name();
        let epoch = name.to_str().and_then(|name| {
            name.strip_suffix(".record")?.strip_prefix(&*options.writer_name)?.strip_prefix('-')?.parse::<u64>().ok()
        });
        if let Some(epoch) = epoch {
            records.push((epoch, read(options, &entry.path())?));
        }
    }
    records.sort_by_key(|(epoch, _)| *epoch);
    Ok(records)
}

fn read(options: &WriteOptions, path: &Path) -> Result<Vec<Staged>> {
    let text = std::fs::read_to_string(path).map_err(|error| disk("cannot be read", path, &error))?;
    let broken = || {
        Error::storage(format!(
            "{} is no record of an epoch; move it away, and the files beside it that it should name, to start without them",
            path.display()
        ))
    };
    let record: Value = serde_json::from_str(&text).map_err(|_| broken())?;
    let mut files = Vec::new();
    for file in record["files"].as_array().ok_or_else(broken)? {
        let text = |key: &str| file[key].as_str().map(str::to_owned).ok_or_else(broken);
        let number = |key: &str| file[key].as_u64().ok_or_else(broken);
        let name = text("name")?;
        // Before days were merged, files had one name, and all of them the rows that were taken for them.
        let (rows, path) = (number("rows")?, options.staging.join(file["staged"].as_str().unwrap_or(&name)));
        let column = |column: &Value| column.as_str().map(str::to_owned).ok_or_else(broken);
        let key = file["key"].as_array().map(|key| key.iter().map(column).collect::<Result<_>>()).transpose()?;
        // A file that is not in staging any more is at its destination.
        if path.is_file() {
            files.push(Staged {
                table: Arc::from(text("table")?),
                path,
                folder: text("folder")?,
                name,
                key,
                rows,
                pending: file["pending"].as_u64().unwrap_or(rows),
                bytes: number("bytes")?,
            });
        }
    }
    Ok(files)
}

fn disk(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::storage(format!("{} {what}: {error}", path.display()))
}
