//! What durable code does with a file system, as a trait: the operating system's ([`Real`]), or one in memory that loses
//! power and fails on demand ([`Simulated`]).
//!
//! Two things become durable apart: the bytes and length of a file by [`File::sync`], its name by
//! [`Files::sync_folder`] of the folder it is in. Until then a power cut may keep any part of either.

mod aligned;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod direct;
mod real;
mod simulated;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

pub(crate) use aligned::Aligned;
pub use aligned::BLOCK;
pub use real::Real;
#[doc(hidden)]
pub use simulated::{Fault, Random, Simulated};

use crate::{Error, Result};

/// A file system. Errors are the operating system's, so that a caller can tell a full disk from a broken one.
pub trait Files: Send + Sync + fmt::Debug {
    /// Makes a new file and opens it for writing from its beginning; a file of that name must not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// The same, where the system knows of owners, for a file that only the owner of the process may read.
    fn create_private(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.create(path)
    }

    /// The same, for a file that is written in multiples of [`BLOCK`] and not read soon. Where the system can do that, the bytes go
    /// to the disk past its cache, without a copy if they lie in blocks of memory.
    fn create_direct(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.create_private(path)
    }

    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// `len` bytes of a file from `offset` on, fewer where the file ends before.
    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Gives a file another name; a file that had that name is gone, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// What is in a folder, ordered by name. Names that are not UTF-8 are left out: nothing here makes such.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// Makes one folder; one that exists is as good. Its name is durable after [`sync_folder`](Files::sync_folder) of the
    /// one above: see [`make_folders`].
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable: what was created, renamed or removed in it.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Cuts a file, or extends it by zeros. Durable when it returns.
    fn set_len(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// What is at a path; none where nothing is.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// How many bytes are free on the disk of a folder; none where that is not known.
    fn free(&self, folder: &Path) -> io::Result<Option<u64>> {
        let _ = folder;
        Ok(None)
    }

    /// Whether a file can be renamed from one folder into the other.
    fn are_together(&self, one: &Path, other: &Path) -> io::Result<bool> {
        let _ = (one, other);
        Ok(true)
    }

    /// Takes a folder for this process alone, until the lock is dropped or the process ends. While another has it, an error of
    /// the kind [`ErrorKind::WouldBlock`] names the holder.
    fn lock(&self, folder: &Path) -> io::Result<Lock>;

    /// The process that has a folder for itself, if one has, without taking it or changing anything.
    fn holder(&self, folder: &Path) -> io::Result<Option<String>> {
        let _ = folder;
        Ok(None)
    }
}

/// A file that is open for writing, from its beginning on.
pub trait File: Send + fmt::Debug {
    /// Writes all the bytes behind those written before. After an error any part of them may have been written.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The same for many pieces, one behind the other.
    fn write_pieces(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        pieces.iter().try_for_each(|piece| self.write_all(piece))
    }

    /// The next bytes are written from this one of the file on.
    fn seek(&mut self, to: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable, not the name. After an error nothing is known of what was written since the
    /// last sync that succeeded, and another sync that succeeds says nothing about it.
    fn sync(&mut self) -> io::Result<()>;

    /// Reserves space, so that writes up to this length do not meet a full disk. The file then has this length and reads as
    /// zeros where nothing was written.
    fn allocate(&mut self, bytes: u64) -> io::Result<()>;
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// A folder, not a file.
    pub is_folder: bool,
    /// The length of a file; without meaning for a folder.
    pub bytes: u64,
}

/// One thing in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name within the folder.
    pub name: String,
    /// What it is.
    pub stat: Stat,
}

/// A folder held for this process alone; dropping it lets the folder go.
pub struct Lock {
    _held: Box<dyn Any + Send + Sync>,
}

impl Lock {
    fn new(held: impl Any + Send + Sync) -> Self {
        Self { _held: Box::new(held) }
    }

    fn refused(folder: &Path, holder: &str) -> io::Error {
        let holder = if holder.is_empty() { "unknown" } else { holder };
        let message = format!(
            "{} is in use by another process, {holder}: stop that one, or use another folder",
            folder.display()
        );
        io::Error::new(ErrorKind::WouldBlock, message)
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

/// An error of a file system as Weir's: what could not be done, with which path, why, and what helps where that is known.
pub fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let cure = if is_full(error) { MAKE_ROOM } else { "" };
    Error::storage(format!("{what} {}: {error}{cure}", path.display()))
}

const MAKE_ROOM: &str = "; make room on its disk";

/// Whether an error is [of a full disk](failed).
pub fn was_full(error: &Error) -> bool {
    error.message().ends_with(MAKE_ROOM)
}

/// Whether an error says that there is no room: on the disk, or within what this user may have of it.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// A sync that failed: the kernel may have dropped what it had, so that no retry can tell what is on the disk.
pub struct Lost;

impl Lost {
    const CURE: &str = "what was written may be lost; look at the disk, then restart";

    /// The error for what a failed sync should have made durable.
    pub fn error(path: &Path, error: &io::Error) -> Error {
        Error::storage(format!("{}: {}", failed("cannot bring to the disk", path, error), Self::CURE))
    }

    /// Whether an error is of a sync that failed.
    pub fn is(error: &Error) -> bool {
        error.message().ends_with(Self::CURE)
    }
}

/// Makes the names in a folder durable. A failure is [`Lost`].
pub fn sync_folder(files: &dyn Files, folder: &Path) -> Result<()> {
    files.sync_folder(folder).map_err(|error| Lost::error(folder, &error))
}

/// Makes a folder and those above it, each name durable.
pub fn make_folders(files: &dyn Files, folder: &Path) -> Result<()> {
    let stat = files.stat(folder).map_err(|error| failed("cannot look at", folder, &error))?;
    let above = above(folder);
    if stat.is_none_or(|stat| !stat.is_folder) {
        if above != folder && above != Path::new(".") {
            make_folders(files, above)?;
        }
        files.make_folder(folder).map_err(|error| failed("cannot make the folder", folder, &error))?;
    }
    // Also of one that is there: who made it may have been killed before its name was durable.
    match files.sync_folder(above) {
        // Who may not look into the folder above has not made this one.
        Err(error) if error.kind() == ErrorKind::PermissionDenied && stat.is_some() => Ok(()),
        synced => synced.map_err(|error| Lost::error(above, &error)),
    }
}

/// Writes a small file whole or not at all, in place of one of that name; durable when it returns.
pub fn replace(files: &dyn Files, path: &Path, content: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let write = || {
        remove_if_there(files, temporary)?;
        let mut file = files.create_private(temporary)?;
        file.write_all(content)?;
        Ok(file)
    };
    let mut file = write().map_err(|error| failed("cannot write", path, &error))?;
    file.sync().map_err(|error| Lost::error(path, &error))?;
    files.rename(temporary, path).map_err(|error| failed("cannot write", path, &error))?;
    sync_folder(files, above(path))
}

/// Removes a file; one that is gone already is as good.
pub fn remove_if_there(files: &dyn Files, path: &Path) -> io::Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The folder that a path is in.
fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
