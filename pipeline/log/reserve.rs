//! The reserved file: space that is given up when the disk is full, so that commits still drain.

use std::io;
use std::path::PathBuf;

use super::commit::Folder;
use crate::files::{failed, remove_if_there};
use crate::{Error, Result};

fn path(folder: &Folder) -> PathBuf {
    folder.options.folder.join("reserve")
}

/// Whether the reserve is there as a whole.
pub(super) fn is_taken(folder: &Folder) -> bool {
    let found = folder.files.stat(&path(folder)).ok().flatten();
    folder.options.reserve_bytes > 0 && found.is_some_and(|stat| stat.bytes == folder.options.reserve_bytes)
}

/// Takes the reserve, if there is space; whether it is there.
pub(super) fn take(folder: &Folder) -> Result<bool> {
    let path = path(folder);
    if is_taken(folder) {
        return Ok(true);
    }
    let clear = || remove_if_there(&*folder.files, &path);
    clear().map_err(|error| failed("cannot remove", &path, &error))?;
    if folder.options.reserve_bytes == 0 {
        return Ok(false);
    }
    let made = || -> io::Result<()> {
        let mut file = folder.files.create(&path)?;
        file.allocate(folder.options.reserve_bytes)?;
        file.sync()
    };
    match made() {
        Ok(()) => Ok(true),
        // Part of it would be of no use, and take what is needed elsewhere.
        Err(_) => clear().map(|()| false).map_err(|error| failed("cannot remove", &path, &error)),
    }
}

/// Gives the reserve up; whether there was one.
pub(super) fn release(folder: &Folder) -> Result<bool> {
    let path = path(folder);
    let found = folder.files.stat(&path).map_err(|error| failed("cannot look at", &path, &error))?;
    if found.is_none() {
        return Ok(false);
    }
    let removed = folder.files.remove(&path).and_then(|()| folder.files.sync_folder(&folder.options.folder));
    removed.map(|()| true).map_err(|error: io::Error| -> Error { failed("cannot give up the reserve", &path, &error) })
}
