//! The file system of the operating system.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::{Entry, File, Files, Lock, Stat};

/// The name of the file in a folder that holds its lock and the number of the process that has it.
const LOCK: &str = "_lock";

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Real;

#[derive(Debug)]
pub(super) struct Open(pub(super) fs::File);

impl Files for Real {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(Open(file)))
    }

    fn create_private(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Open(private().open(path)?)))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn create_direct(&self, path: &Path) -> io::Result<Box<dyn File>> {
        match super::direct::Direct::create(&mut private(), path) {
            Ok(file) => Ok(Box::new(file)),
            // A file system that does not know it. It may have made the file.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                super::remove_if_there(self, path)?;
                self.create_private(path)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(found) => entries.push(Entry { name, stat: stat(&found) }),
                // Removed since the folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            other => other,
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }

    fn set_len(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(stat(&found))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[cfg(unix)]
    fn free(&self, folder: &Path) -> io::Result<Option<u64>> {
        let found = rustix::fs::statvfs(folder)?;
        // Some file systems, of networks above all, do not say.
        Ok((found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)))
    }

    fn are_together(&self, one: &Path, other: &Path) -> io::Result<bool> {
        Ok(fs::metadata(one)?.dev() == fs::metadata(other)?.dev())
    }

    fn lock(&self, folder: &Path) -> io::Result<Lock> {
        let path = folder.join(LOCK);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Best effort: the refusal stands with or without the holder's number.
                let _ = file.read_to_string(&mut holder);
                return Err(Lock::refused(folder, holder.trim()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Lock::new(file))
    }

    fn holder(&self, folder: &Path) -> io::Result<Option<String>> {
        let path = folder.join(LOCK);
        let mut file = match fs::File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        let holder = holder.trim().to_owned();
        let is_held = match fs::read_to_string("/proc/locks") {
            // The number alone may be that of another process by now, and so may the file's alone on another disk.
            Ok(locks) => is_locked(&locks, &holder, file.metadata()?.ino()),
            // Where locks cannot be looked at, one is tried, which keeps a start away for this moment.
            Err(_) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        };
        Ok(is_held.then_some(holder))
    }
}

/// How a new file that only the owner may read is opened.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}

/// Whether that process has a lock on the file with that number, in the words of `/proc/locks`:
/// `1: FLOCK ADVISORY WRITE <process> <device>:<file> 0 EOF`.
fn is_locked(locks: &str, process: &str, file: u64) -> bool {
    let file = file.to_string();
    locks.lines().any(|line| {
        let mut parts = line.split_whitespace().skip_while(|part| *part != "WRITE").skip(1);
        parts.next() == Some(process) && parts.next().and_then(|place| place.rsplit(':').next()) == Some(&file)
    })
}

impl File for Open {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(to)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        reserve(&self.0, bytes)?;
        // Where reserving does not set the length, or is not known.
        if self.0.metadata()?.len() < bytes { self.0.set_len(bytes) } else { Ok(()) }
    }
}

/// Reserves the space on the disk, on file systems that can; others meet a full disk at a write.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn reserve(file: &fs::File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn reserve(_file: &fs::File, _bytes: u64) -> io::Result<()> {
    Ok(())
}

fn stat(found: &fs::Metadata) -> Stat {
    Stat { is_folder: found.is_dir(), bytes: found.len() }
}
