//! A partition: the rows of one folder of one table in one epoch, in memory and in the file that they go to.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;

use super::encode::{Encoder, OpenFile};
use super::folder::{self, Folder};
use super::helped::Helped;
use super::order::ordered;
use super::{WriteOptions, staging};
use crate::files::Lost;
use crate::tables::Table;
use crate::{Error, Result};

/// Locks; a thread that panicked with the lock has left whole values behind, as every change here is one assignment.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An epoch: what gives files their names, and the files that are complete.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    pub(super) number: u64,
    pub(super) next: AtomicU64,
    pub(super) staged: Mutex<Vec<Staged>>,
    /// Partitions that were closed before the epoch, because too many were open, and whose files are not staged yet.
    pub(super) evicted: Mutex<Vec<Arc<Partition>>>,
}

impl Epoch {
    pub(super) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self { number, ..Self::default() })
    }
}

/// A file that is complete and on the disk, on its way to its destination.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    pub(super) table: Arc<str>,
    /// Where it is, under a name that is never used twice.
    pub(super) path: PathBuf,
    /// Where it goes: the folder below the destination, and its name there.
    pub(super) folder: String,
    pub(super) name: String,
    /// The columns of the key, where the file has not the rows of its destination but those that change them.
    pub(super) key: Option<Vec<String>>,
    pub(super) rows: u64,
    /// Rows that were taken and wait for this file: as many as it has, or more, where newer ones have replaced some.
    pub(super) pending: u64,
    pub(super) bytes: u64,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub(super) sha256: String,
}

impl Staged {
    /// The name of the file in the staging folder.
    pub(super) fn staged_name(&self) -> &str {
        self.path.file_name().and_then(OsStr::to_str).unwrap_or_default()
    }
}

/// What all partitions share.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Bytes of rows in memory, those included that are encoded and wait for the disk.
    pub(super) memory: AtomicUsize,
    /// Bytes in the staging folder.
    pub(super) staged: AtomicU64,
    /// Rows that were taken and are not published.
    pub(super) rows: AtomicU64,
}

#[derive(Default)]
struct Buffer {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

/// The rows of one folder of one table in one epoch.
pub(super) struct Partition {
    table: Arc<Table>,
    encoder: Arc<Encoder>,
    folder: Folder,
    epoch: Arc<Epoch>,
    account: Arc<Account>,
    /// Locked for moments. Whoever takes rows out holds `file`, so that rows are always in one of the two.
    buffer: Mutex<Buffer>,
    /// Bytes of the rows that are being encoded; changed by who holds `file`. They are in the buffer or here at any time.
    under_way: AtomicUsize,
    /// Bytes that are encoded and are not brought to the disk; changed by who holds `file`.
    held: AtomicUsize,
    file: Helped<Option<OpenFile>>,
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.table.name, folder::path(self.table.layout, self.folder))
    }
}

impl Partition {
    pub(super) fn new(
        table: &Arc<Table>,
        encoder: &Arc<Encoder>,
        folder: Folder,
        epoch: &Arc<Epoch>,
        account: &Arc<Account>,
    ) -> Self {
        Self {
            table: Arc::clone(table),
            encoder: Arc::clone(encoder),
            folder,
            epoch: Arc::clone(epoch),
            account: Arc::clone(account),
            buffer: Mutex::default(),
            under_way: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            file: Helped::default(),
        }
    }

    /// Adds rows; returns how many are buffered now.
    pub(super) fn push(&self, batch: RecordBatch) -> usize {
        let bytes = batch.get_array_memory_size();
        self.account.memory.fetch_add(bytes, Relaxed);
        self.account.rows.fetch_add(batch.num_rows() as u64, Relaxed);
        let mut buffer = locked(&self.buffer);
        buffer.rows += batch.num_rows();
        buffer.bytes += bytes;
        buffer.batches.push(batch);
        buffer.rows
    }

    /// Rows in the buffer.
    pub(super) fn rows(&self) -> usize {
        locked(&self.buffer).rows
    }

    /// Bytes in the buffer.
    pub(super) fn buffered(&self) -> usize {
        locked(&self.buffer).bytes
    }

    /// Bytes of rows that are not encoded.
    pub(super) fn bytes(&self) -> usize {
        self.buffered() + self.under_way.load(Relaxed)
    }

    /// Bytes that are encoded and are not brought to the disk.
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Encodes what is buffered as a row group, if that is `needed` still once nobody else encodes rows of the file: they may
    /// have been taken along, or there may be room again. A file that has become large enough is staged. After an error every
    /// row is still here.
    pub(super) fn flush(&self, options: &WriteOptions, needed: impl Fn() -> bool) -> Result<()> {
        let Some(mut file) = self.file.lock_if(&needed) else { return Ok(()) };
        self.settle(&mut file)?;
        if needed() {
            self.encode(&mut file, options)?;
        }
        if file.as_ref().is_some_and(|file| file.bytes() >= options.file_bytes_max) {
            self.stage(&mut file)?;
        }
        Ok(())
    }

    /// Encodes what is buffered and stages the file.
    pub(super) fn finish(&self, options: &WriteOptions) -> Result<()> {
        let mut file = self.file.lock();
        self.settle(&mut file)?;
        self.encode(&mut file, options)?;
        self.stage(&mut file)
    }

    /// Completes what an earlier error left half done.
    fn settle(&self, file: &mut Option<OpenFile>) -> Result<()> {
        if self.under_way.load(Relaxed) > 0 {
            return Err(Error::bug(format!(
                "a thread panicked while it encoded rows of {self:?}: nothing of their epoch is recorded any more, and the log keeps \
                 what was acknowledged; start again, and report the panic"
            )));
        }
        match file {
            Some(open) if open.is_finished() => self.stage(file),
            Some(open) => self.drain(open),
            None => Ok(()),
        }
    }

    fn encode(&self, file: &mut Option<OpenFile>, options: &WriteOptions) -> Result<()> {
        let taken = {
            let mut buffer = locked(&self.buffer);
            self.under_way.store(buffer.bytes, Relaxed);
            std::mem::take(&mut *buffer)
        };
        if taken.rows == 0 {
            return Ok(());
        }
        // A panic from here on leaves `under_way` behind: a partition that has lost its rows is never taken for an empty one.
        if let Err(error) = self.encode_rows(file, &taken.batches, options) {
            let mut buffer = locked(&self.buffer);
            buffer.rows += taken.rows;
            buffer.bytes += taken.bytes;
            buffer.batches.splice(0..0, taken.batches);
            self.under_way.store(0, Relaxed);
            // A file that is there has its beginning in memory.
            let held = file.as_ref().map_or(0, OpenFile::held);
            self.account.memory.fetch_add(held - self.held.swap(held, Relaxed), Relaxed);
            return Err(error);
        }
        let Some(open) = file else { return Ok(()) };
        self.held.store(open.held(), Relaxed);
        self.under_way.store(0, Relaxed);
        let bytes = taken.bytes;
        // Before the disk is waited for.
        drop(taken);
        self.account.memory.fetch_add(open.held(), Relaxed);
        self.account.memory.fetch_sub(bytes, Relaxed);
        self.file.news();
        self.drain(open)
    }

    fn encode_rows(&self, file: &mut Option<OpenFile>, batches: &[RecordBatch], options: &WriteOptions) -> Result<()> {
        if file.is_none() {
            let number = self.epoch.next.fetch_add(1, Relaxed);
            let name = staging::file_name(&options.writer_name, self.epoch.number, number);
            *file = Some(OpenFile::create(
                &*options.files,
                &options.staging.join(name),
                self.table.private,
                &self.encoder,
                batches.iter().map(RecordBatch::num_rows).sum(),
            )?);
        }
        let Some(open) = file else { return Ok(()) };
        let order = ordered(&self.table, batches, options.sort)?;
        open.encode(batches, order, |group| self.file.offer(group))
    }

    /// Brings to the disk what the file holds in memory; `memory` counts that until it is there.
    fn drain(&self, open: &mut OpenFile) -> Result<()> {
        let held = open.held();
        open.drain()?;
        self.held.store(0, Relaxed);
        self.account.memory.fetch_sub(held, Relaxed);
        self.account.staged.fetch_add(held as u64, Relaxed);
        Ok(())
    }

    fn stage(&self, file: &mut Option<OpenFile>) -> Result<()> {
        let Some(open) = file else { return Ok(()) };
        let (held, written) = (open.held(), open.written());
        let finished = open.finish();
        // The footer is new, so that what is held now is not what was counted before.
        let (held_now, new) = (open.held(), open.written() - written);
        self.held.store(held_now, Relaxed);
        self.account.memory.fetch_add(held_now, Relaxed);
        self.account.memory.fetch_sub(held, Relaxed);
        self.account.staged.fetch_add(new, Relaxed);
        finished?;
        open.sync().map_err(|error| Lost::error(open.path(), &error))?;
        let path = open.path().to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = format!("{}/{}", self.table.name, folder::path(self.table.layout, self.folder));
        let (rows, bytes, sha256) = (open.rows, open.bytes(), open.sha256());
        locked(&self.epoch.staged).push(Staged {
            table: Arc::clone(&self.table.name),
            path,
            folder,
            name,
            key: None,
            rows,
            pending: rows,
            bytes,
            sha256,
        });
        *file = None;
        Ok(())
    }
}
