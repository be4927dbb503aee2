//! The state of plugins on the disk: a whole one, and files with what changed since, each named by a record.

use super::WriteOptions;
use super::record::{Record, StateFile, sha256};
use crate::files::{self, failed};
use crate::{Error, Result};

/// So many files with changes, and the next one is whole.
const CHANGES_MAX: usize = 32;

/// The changes may be larger than the whole by this much before the next one is whole.
const CHANGES_BYTES: u64 = 1 << 20;

/// The epoch of a file with state, if it is that writer's.
pub(super) fn epoch_of(name: &str, writer: &str) -> Option<u64> {
    name.strip_suffix(".state")?.strip_prefix(writer)?.strip_prefix('-')?.parse().ok()
}

/// Whether the next state should be written whole.
pub(super) fn wants_whole(last: &Record) -> bool {
    let Some((whole, changes)) = last.state.split_first() else { return true };
    let bytes: u64 = changes.iter().map(|file| file.bytes).sum();
    changes.len() >= CHANGES_MAX || bytes > whole.bytes + CHANGES_BYTES
}

/// Writes what an epoch has of the state; gives the files that make it up.
pub(super) fn write(
    options: &WriteOptions,
    epoch: u64,
    state: Option<&[u8]>,
    whole: bool,
    last: &Record,
) -> Result<Vec<StateFile>> {
    let Some(state) = state else { return Ok(last.state.clone()) };
    let name = format!("{}-{epoch}.state", options.writer_name);
    files::replace(&*options.files, &options.staging.join(&name), state)?;
    let file = StateFile { name, bytes: state.len() as u64, sha256: sha256(state) };
    let mut all = if whole { Vec::new() } else { last.state.clone() };
    all.push(file);
    Ok(all)
}

/// The state as of a record: a whole one, and what changed since, in their order.
pub(super) fn read(options: &WriteOptions, record: &Record) -> Result<Vec<Vec<u8>>> {
    let read = |file: &StateFile| {
        let path = options.staging.join(&file.name);
        let bytes = options.files.read(&path).map_err(|error| failed("cannot read", &path, &error))?;
        if sha256(&bytes) != file.sha256 {
            return Err(Error::storage(format!(
                "{} is damaged: its digest is not the one in the record of epoch {}; restore it from a copy, or discard the \
                 state of the plugins with `weir repair`",
                path.display(),
                record.epoch
            )));
        }
        Ok(bytes)
    };
    record.state.iter().map(read).collect()
}

/// Removes the files with state that a record does not name.
pub(super) fn clear(options: &WriteOptions, record: &Record) -> Result<()> {
    let staging = &options.staging;
    for entry in options.files.list(staging).map_err(|error| failed("cannot list", staging, &error))? {
        let ours = epoch_of(&entry.name, &options.writer_name).is_some();
        if ours && !record.state.iter().any(|file| file.name == entry.name) {
            let path = staging.join(&entry.name);
            files::remove_if_there(&*options.files, &path).map_err(|error| failed("cannot remove", &path, &error))?;
        }
    }
    Ok(())
}
