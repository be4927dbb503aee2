//! The write-ahead log: what is acknowledged is in it, durably, until an epoch has it.
//!
//! Records get their LSNs in memory ([`Log::append`]); one thread makes everything that came meanwhile durable with one write
//! and one sync ([group commit](Log::commit_pending)); who waits for an LSN is told ([`Log::durable`]). Segments below the
//! position of an epoch are removed ([`Log::trim`]). A start reads what is left ([`Recovered`]). The bytes are described in
//! `docs/log-format.md`.
//!
//! What holds: a record that was told to be durable is recovered with the same bytes, in order, once. A failed write or sync
//! loses the log for good. Damage is an error that names the place, and never a shorter log.

mod commit;
mod format;
mod inspect;
mod options;
mod quarantine;
mod records;
mod recover;
mod reserve;
mod shared;
mod stats;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::files::{Files, failed, make_folders, sync_folder};
use crate::{Error, Result, Signal};
use commit::Writer;
use format::{Content, Head, PAYLOAD_BYTES_MAX};
use records::Records;
use shared::{Disk, Progress, Shared, State};

pub use inspect::{SegmentReport, State as SegmentState, inspect};
pub use options::{OnLost, Options};
pub use quarantine::Quarantined;
pub use recover::{Record, Recovered};
pub use stats::Stats;

/// The number of a record: 0, 1, 2 and so on, over the life of a log. As a position it means everything below.
pub type Lsn = u64;

/// A write-ahead log. Dropping it commits what is pending and closes it.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Everything that was pending when it began is durable.
    All,
    /// There is no space for another segment; records wait for it.
    Waiting,
}

impl Log {
    /// Opens the log in a folder, or makes one there. `from` is the position of the last committed epoch: what is below is not
    /// needed any more, and the records from there on are [`Recovered`]. A log without records begins at `from`.
    ///
    /// Errors are of the kind storage: a folder that another process uses, damage, a disk without space for the last records.
    pub fn open(files: Arc<dyn Files>, options: Options, from: Lsn) -> Result<(Self, Recovered)> {
        options.check()?;
        make_folders(&*files, &options.folder)?;
        let lock = files.lock(&options.folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Error::storage(error.to_string()),
            _ => failed("cannot lock the folder", &options.folder, &error),
        })?;
        let background = options.background;
        let found = recover::find(&files, options, from)?;
        let reserve = Mutex::new(false);
        let disk = Disk { folder: found.folder, other_bytes: AtomicU64::new(0), reserve, _lock: lock };
        let log = Self::new(Some(disk), found.next);
        log.take_reserve()?;
        if background {
            log.start()?;
        }
        Ok((log, found.recovered))
    }

    /// A log that has LSNs only: everything is durable at once and gone with the process. It begins at `from`.
    pub fn memory(from: Lsn) -> Self {
        Self::new(None, from)
    }

    fn new(disk: Option<Disk>, next: Lsn) -> Self {
        let progress = Progress { durable: next, ended: None };
        let state = State {
            pending: Records::default(),
            pending_bytes: 0,
            next,
            progress: progress.clone(),
            full: None,
            closing: false,
            closed: false,
            lost: false,
            stats: Stats::default(),
        };
        let shared = Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: Condvar::new(),
            progress_seen: watch::Sender::new(progress),
            writer: Mutex::new(Writer::default()),
            disk,
        };
        Self { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    fn start(&self) -> Result<()> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("weir-log".to_owned()).spawn(move || shared.run());
        let thread = thread.map_err(|error| Error::overload(format!("cannot start the thread weir-log: {error}")))?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Gives a record the next LSN and keeps a copy of it, to be made durable. It fails once the log is lost or closed, and for
    /// a payload of more than 1 GiB, which is an error of the kind data.
    pub fn append(&self, signal: Signal, received_ns: i64, payload: &[u8]) -> Result<Lsn> {
        if payload.len() as u64 > PAYLOAD_BYTES_MAX {
            return Err(Error::data(format!(
                "a record of {} bytes is larger than the log takes, {PAYLOAD_BYTES_MAX} bytes: send less at once",
                payload.len()
            )));
        }
        let mut state = lock(&self.shared.state);
        if let Some(error) = &state.progress.ended {
            return Err(error.clone());
        }
        let lsn = state.next;
        state.next += 1;
        state.stats.records += 1;
        state.stats.payload_bytes += payload.len() as u64;
        if self.shared.disk.is_none() {
            state.progress.durable = state.next;
            return Ok(lsn);
        }
        let head = Head {
            content: Content::Payload(signal),
            lsn,
            durable: lsn,
            received_ns,
            tenant: 0,
            is_last: false,
            payload_bytes: payload.len() as u32,
        };
        state.pending.push(head, payload);
        state.pending_bytes += head.bytes();
        drop(state);
        self.shared.work.notify_one();
        Ok(lsn)
    }

    /// Whether so many bytes more may be taken: asked before a request is decoded. A refusal is of the kind overload, so that the
    /// sender comes again.
    pub fn admit(&self, bytes: u64) -> Result<()> {
        let Some(disk) = &self.shared.disk else { return Ok(()) };
        let options = &disk.folder.options;
        let state = lock(&self.shared.state);
        if let Some(error) = &state.progress.ended {
            return Err(error.clone());
        }
        disk.has_space(&state)?;
        if state.pending_bytes >= options.pending_bytes_max {
            return Err(Error::overload(format!(
                "{} bytes wait to be brought to the disk, and {} is the limit: the disk is slow, send again later",
                state.pending_bytes, options.pending_bytes_max
            )));
        }
        drop(state);
        let used = disk.below_soft()?;
        if used.saturating_add(bytes) > options.disk_hard_bytes {
            return Err(Error::overload(format!(
                "{bytes} bytes more would bring the log and the staged files from {used} bytes over log.disk_hard, \
                 {}: send less at once, or again later",
                options.disk_hard_bytes
            )));
        }
        Ok(())
    }

    /// Why every request is refused at the moment for want of space, if that is so: the disk is full, or the log and others have
    /// as much of it as they may.
    pub fn shortage(&self) -> Option<Error> {
        let disk = self.shared.disk.as_ref()?;
        let has_space = disk.has_space(&lock(&self.shared.state));
        has_space.and_then(|()| disk.below_soft()).err()
    }

    /// What an operator should know of a disk that has less room than the log should have, if that is so.
    pub fn nearly_full(&self) -> Option<String> {
        let folder = &self.shared.disk.as_ref()?.folder;
        let (free, options, reserve) = (folder.free()?, &folder.options, reserve::bytes(folder));
        (reserve < options.reserve_bytes || free < options.segment_bytes.saturating_mul(2)).then(|| {
            format!(
                "the disk of {} is nearly full: {free} bytes are free, beside {reserve} of {} that log.reserve keeps for the end \
                 of an epoch. Epochs end early to make room, and senders may be told to come back; make room there, or set \
                 log.folder to a folder on another disk",
                options.folder.display(),
                options.reserve_bytes
            )
        })
    }

    /// Whether the disk is full: new data is refused until an epoch has ended, or somebody else has made room.
    pub fn is_full(&self) -> bool {
        let disk = self.shared.disk.as_ref();
        disk.is_some_and(|disk| disk.has_space(&lock(&self.shared.state)).is_err())
    }

    /// Bytes that an epoch that ends now would free: those of the segments, but the one that is written, that have records which
    /// no epoch has. `recorded` is the position of the last one.
    pub fn bytes_to_free(&self, recorded: Lsn) -> u64 {
        let Some(disk) = &self.shared.disk else { return 0 };
        let segments = disk.folder.segments();
        let ends = segments.keys().skip(1);
        segments.values().zip(ends).filter(|(_, end)| **end > recorded).map(|(bytes, _)| *bytes).sum()
    }

    /// Sets how many bytes other files of the same store take on the disk, which count towards its limits.
    pub fn set_other_bytes(&self, bytes: u64) {
        if let Some(disk) = &self.shared.disk {
            disk.other_bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Blocks until a record is durable, or never will be.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        let state = lock(&self.shared.state);
        let waiting = |state: &mut State| state.progress.is_open_at(lsn);
        let state = self.shared.progress.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        state.progress.outcome(lsn)
    }

    /// Blocks until a record is durable, or never will be, or the log waits for space; whether it is durable.
    pub fn wait_durable_or_full(&self, lsn: Lsn) -> Result<bool> {
        let state = lock(&self.shared.state);
        let waiting = |state: &mut State| state.progress.is_open_at(lsn) && state.full.is_none();
        let state = self.shared.progress.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        state.progress.outcome(lsn).map(|()| !state.progress.is_open_at(lsn))
    }

    /// Whether a record is durable now; an error if it never will be.
    pub fn is_durable(&self, lsn: Lsn) -> Result<bool> {
        let progress = &lock(&self.shared.state).progress;
        progress.outcome(lsn).map(|()| !progress.is_open_at(lsn))
    }

    /// Ends when a record is durable, or never will be. Dropping it changes nothing.
    pub fn durable(&self, lsn: Lsn) -> impl Future<Output = Result<()>> + Send + use<> {
        let now = lock(&self.shared.state).progress.clone();
        let mut seen = self.shared.progress_seen.subscribe();
        async move {
            if !now.is_open_at(lsn) {
                return now.outcome(lsn);
            }
            let changed = seen.wait_for(|progress| !progress.is_open_at(lsn)).await;
            let gone = |_| Error::bug("the log ended and told nobody");
            changed.map_err(gone)?.outcome(lsn)
        }
    }

    /// Makes everything durable that is pending now. The thread does this all the time; without it, this must be called.
    pub fn commit_pending(&self) -> Result<Committed> {
        self.shared.commit()
    }

    /// Removes the segments of which every record is below a position, and makes that durable. The segment that is written stays.
    pub fn trim(&self, below: Lsn) -> Result<()> {
        let Some(disk) = &self.shared.disk else { return Ok(()) };
        let folder = &disk.folder;
        let firsts: Vec<Lsn> = folder.segments().keys().copied().collect();
        let old: Vec<Lsn> = firsts.windows(2).filter(|pair| pair[1] <= below).map(|pair| pair[0]).collect();
        if old.is_empty() {
            return Ok(());
        }
        for first in old {
            let path = folder.path(first);
            let removed = crate::files::remove_if_there(&*folder.files, &path);
            removed.map_err(|error| failed("cannot remove the segment", &path, &error))?;
            folder.segments().remove(&first);
        }
        // It may be about the name of a new segment, too.
        self.sync_folder(folder)
    }

    fn sync_folder(&self, folder: &commit::Folder) -> Result<()> {
        sync_folder(&*folder.files, &folder.options.folder).inspect_err(|error| self.shared.lose(error.clone()))
    }

    /// Removes the segments of a log that is closed, if nothing in it is needed any more: all its records are below this
    /// position. What was received is then in the tables alone, as the plugins left it.
    pub fn clear(&self, below: Lsn) -> Result<()> {
        let Some(disk) = self.shared.disk.as_ref().filter(|_| self.next_lsn() <= below) else { return Ok(()) };
        let folder = &disk.folder;
        let mut segments = folder.segments();
        for &first in segments.keys() {
            let path = folder.path(first);
            let removed = crate::files::remove_if_there(&*folder.files, &path);
            removed.map_err(|error| failed("cannot remove the segment", &path, &error))?;
        }
        segments.clear();
        drop(segments);
        self.sync_folder(folder)
    }

    /// The LSN that the next record gets.
    pub fn next_lsn(&self) -> Lsn {
        lock(&self.shared.state).next
    }

    /// Everything below is durable.
    pub fn durable_lsn(&self) -> Lsn {
        lock(&self.shared.state).progress.durable
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Stats {
        let state = lock(&self.shared.state);
        let mut stats = Stats { pending_bytes: state.pending_bytes, ..state.stats.clone() };
        if let Some(disk) = &self.shared.disk {
            stats.is_full = disk.has_space(&state).is_err();
            drop(state);
            let segments = disk.folder.segments();
            stats.segments = segments.len() as u64;
            stats.segment_bytes = segments.values().sum();
            drop(segments);
            stats.has_reserve = *lock(&disk.reserve);
            stats.free_bytes = disk.folder.free();
        }
        stats
    }

    /// Takes the reserve again, or more of it, if there is space; whether it is there. Until then nothing new is taken.
    pub fn take_reserve(&self) -> Result<bool> {
        self.shared.disk.as_ref().map_or(Ok(false), |disk| {
            let mut reserve = lock(&disk.reserve);
            *reserve = reserve::take(&disk.folder)?;
            disk.folder.is_scarce.store(!*reserve && disk.folder.options.reserve_bytes > 0, Ordering::Relaxed);
            Ok(*reserve)
        })
    }

    /// Gives the reserve up, so that what must be written to drain the log finds space; whether there was one.
    pub fn release_reserve(&self) -> Result<bool> {
        self.shared.disk.as_ref().map_or(Ok(false), |disk| {
            let mut reserve = lock(&disk.reserve);
            *reserve = false;
            disk.folder.is_scarce.store(true, Ordering::Relaxed);
            reserve::release(&disk.folder)
        })
    }

    /// Commits what is pending, marks the end and refuses everything from then on. An error says what is not durable.
    pub fn close(&self) -> Result<()> {
        lock(&self.shared.state).closing = true;
        self.shared.work.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // A thread that panicked leaves records that are not durable, which is told below.
            let _ = thread.join();
        }
        self.shared.close()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`. What is not durable was not acknowledged.
        let _ = self.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
