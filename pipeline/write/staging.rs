//! The staging folder: names of files, and clearing away what no record names.

use std::path::Path;

use super::WriteOptions;
use crate::Result;
use crate::files::{self, Files, failed};

/// Brings the names in the staging folder to the disk.
pub(super) fn sync_folder(options: &WriteOptions) -> Result<()> {
    files::sync_folder(&*options.files, &options.staging)
}

/// The name of a file: writer, epoch, number within the epoch.
pub(super) fn file_name(writer: &str, epoch: u64, number: u64) -> String {
    format!("{writer}-{epoch}-{number}.parquet")
}

/// The epoch in a file's name, if that writer gave it.
pub(super) fn epoch_of(name: &str, writer: &str) -> Option<u64> {
    let (epoch, number) = name.strip_suffix(".parquet")?.strip_prefix(writer)?.strip_prefix('-')?.split_once('-')?;
    number.parse::<u64>().ok()?;
    epoch.parse().ok()
}

/// Deletes what that writer staged and no record names.
pub(super) fn clear(options: &WriteOptions, recorded: &[&str]) -> Result<()> {
    let staging = &options.staging;
    for entry in options.files.list(staging).map_err(|error| failed("cannot list", staging, &error))? {
        let merged = entry.name.strip_suffix(".merged").map(|name| format!("{name}.parquet"));
        let ours = |name: &str| epoch_of(name, &options.writer_name).is_some();
        let left = ours(&entry.name) && !recorded.contains(&&*entry.name);
        if left || merged.is_some_and(|name| ours(&name)) || entry.name.ends_with(".new") {
            let path = staging.join(&entry.name);
            files::remove_if_there(&*options.files, &path).map_err(|error| failed("cannot remove", &path, &error))?;
        }
    }
    Ok(())
}

/// The largest epoch among the files of that writer in a folder and those below it.
pub(super) fn largest_epoch(files: &dyn Files, folder: &Path, writer: &str) -> Result<Option<u64>> {
    let mut largest = None;
    for entry in files.list(folder).map_err(|error| failed("cannot list", folder, &error))? {
        let found = if entry.stat.is_folder {
            largest_epoch(files, &folder.join(&entry.name), writer)?
        } else {
            epoch_of(&entry.name, writer)
        };
        largest = largest.max(found);
    }
    Ok(largest)
}
