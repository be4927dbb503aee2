//! The staging folder: the lock, the number of the epoch, folders brought to the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use super::encode::disk;
use super::partition::Lost;
use crate::{Error, Result};

/// Takes the lock of a folder; it is let go when the file is closed, also by a crash.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("_lock");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(|error| disk("cannot open the lock", &path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Best effort: the refusal stands with or without the holder's number.
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "unknown" } else { holder };
            return Err(Error::storage(format!(
                "{} is in use by another writer, process {holder}: stop that one, or write to another folder",
                folder.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(disk("cannot lock", &path, &error)),
    }
    let written = file.set_len(0).and_then(|()| file.rewind());
    let written = written.and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| disk("cannot write", &path, &error))?;
    Ok(file)
}

/// Makes a folder and those above it, each entry brought to the disk.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_folder(above)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(above.unwrap_or(Path::new("."))),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(disk("cannot make the folder", folder, &error)),
    }
}

/// Brings the names in a folder to the disk.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    let opened = File::open(folder).map_err(|error| disk("cannot open the folder", folder, &error))?;
    opened.sync_all().map_err(|error| Lost::error(&disk("cannot bring to the disk the folder", folder, &error)))
}

/// Writes a small file whole or not at all.
pub(super) fn replace(path: &Path, content: &str) -> Result<()> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| disk("cannot write", path, &error))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Keeps the number of the epoch in which names are given from now on, before the first is.
pub(super) fn keep_epoch(staging: &Path, writer: &str, epoch: u64) -> Result<()> {
    replace(&staging.join(format!("{writer}.epoch")), &format!("{epoch}\n"))
}

/// The number of the epoch in which names were given last; none where none was kept.
pub(super) fn kept_epoch(staging: &Path, writer: &str) -> Result<Option<u64>> {
    let path = staging.join(format!("{writer}.epoch"));
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(epoch) => Ok(Some(epoch)),
            Err(_) => Err(Error::storage(format!(
                "{} should hold the number of an epoch: remove it, and it is found from the names of the files",
                path.display()
            ))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk("cannot read", &path, &error)),
    }
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

/// Deletes what that writer staged and no record names; returns the largest epoch among all that it staged.
pub(super) fn clear(staging: &Path, writer: &str, recorded: &[&str]) -> Result<Option<u64>> {
    let entries = fs::read_dir(staging).map_err(|error| disk("cannot list", staging, &error))?;
    let mut largest = None;
    for entry in entries {
        let entry = entry.map_err(|error| disk("cannot list", staging, &error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(epoch) = epoch_of(name, writer) {
            largest = largest.max(Some(epoch));
            if recorded.contains(&name) {
                continue;
            }
            fs::remove_file(entry.path()).map_err(|error| disk("cannot remove", &entry.path(), &error))?;
        }
    }
    Ok(largest)
}

/// The largest epoch among the files of that writer in a folder and those below it.
pub(super) fn largest_epoch(folder: &Path, writer: &str) -> Result<Option<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk("cannot list", folder, &error)),
    };
    let mut largest = None;
    for entry in entries {
        let entry = entry.map_err(|error| disk("cannot list", folder, &error))?;
        let below = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            largest_epoch(&entry.path(), writer)?
        } else {
            entry.file_name().to_str().and_then(|name| epoch_of(name, writer))
        };
        largest = largest.max(below);
    }
    Ok(largest)
}
