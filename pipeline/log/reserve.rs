//! The reserved file: space that is given up when the disk is full, so that commits still drain.

use std::io;
use std::path::PathBuf;

use super::commit::{Folder, TRIED_BYTES};
use super::format::BLOCK;
use crate::files::{failed, is_full, remove_if_there};
use crate::{Error, Result};

/// With less than this no epoch could end.
const BYTES_MIN: u64 = 64 << 10;

fn path(folder: &Folder) -> PathBuf {
    folder.options.folder.join("reserve")
}

/// How long the reserve is; 0 if there is none.
pub(super) fn bytes(folder: &Folder) -> u64 {
    folder.files.stat(&path(folder)).ok().flatten().map_or(0, |stat| stat.bytes)
}

/// Takes the reserve, if there is space; whether it is there. On a disk that is nearly full it is half of what is free: the log
/// has the other half.
pub(super) fn take(folder: &Folder) -> Result<bool> {
    let (path, have, whole) = (path(folder), bytes(folder), folder.options.reserve_bytes);
    if have == whole {
        return Ok(whole > 0);
    }
    let half = folder.free().map_or(whole, |free| free.saturating_add(have) / 2);
    let wanted = (half / BLOCK * BLOCK).max(TRIED_BYTES).min(whole);
    // One that is nearly as long as it could be is not made anew each time, nor is it given up for a shorter one.
    if wanted < whole && have >= wanted / 2 {
        return Ok(true);
    }
    let clear = || remove_if_there(&*folder.files, &path).map_err(|error| failed("cannot remove", &path, &error));
    let mut bytes = wanted;
    clear()?;
    while bytes > 0 && bytes >= BYTES_MIN.min(whole) {
        let made = || -> io::Result<()> {
            let mut file = folder.files.create(&path)?;
            file.allocate(bytes)?;
            file.sync()
        };
        let Err(error) = made() else { return Ok(true) };
        // Part of it would be of no use, and take what is needed elsewhere.
        clear()?;
        bytes = if is_full(&error) { bytes / 2 / BLOCK * BLOCK } else { 0 };
    }
    Ok(false)
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
