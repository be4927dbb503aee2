//! What callers and the thread of a log share: pending records, what is durable, and the one commit at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use tokio::sync::watch;

use super::commit::{CURE, Failure, Folder, Synced, Writer};
use super::records::Records;
use super::{Committed, Lsn, Stats, lock};
use crate::files::Lock;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Something is to be done for the thread.
    pub(super) work: Condvar,
    /// More is durable, or nothing will be.
    pub(super) progress: Condvar,
    /// The same, for tasks.
    pub(super) progress_seen: watch::Sender<Progress>,
    /// Held during a commit.
    pub(super) writer: Mutex<Writer>,
    /// What stands on the disk; none for a log in memory.
    pub(super) disk: Option<Disk>,
}

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) folder: Folder,
    pub(super) other_bytes: AtomicU64,
    pub(super) reserve: Mutex<bool>,
    pub(super) _lock: Lock,
}

/// What waiters wait for.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) durable: Lsn,
    pub(super) ended: Option<Error>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pending: Records,
    /// What records take that are not durable, those that are being written too.
    pub(super) pending_bytes: u64,
    pub(super) next: Lsn,
    pub(super) progress: Progress,
    /// Why no segment can be begun at the moment, and what helps.
    pub(super) full: Option<String>,
    pub(super) closing: bool,
    pub(super) closed: bool,
    /// A sync has failed.
    pub(super) lost: bool,
    pub(super) stats: Stats,
}

impl Shared {
    /// What the thread does.
    pub(super) fn run(&self) {
        loop {
            let mut state = lock(&self.state);
            if let (Some(disk), true) = (&self.disk, state.full.is_some()) {
                let pause = disk.folder.options.full_pause;
                let waited = self.work.wait_timeout_while(state, pause, |state| !state.closing);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let idle = |state: &mut State| state.pending.is_done() && state.full.is_none();
            let waited = self.work.wait_while(state, |state| idle(state) && !state.closing);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let closing = state.closing;
            if closing && idle(&mut state) {
                return;
            }
            drop(state);
            match self.commit() {
                Ok(Committed::All) => {}
                Ok(Committed::Waiting) if !closing => {}
                Ok(Committed::Waiting) | Err(_) => return,
            }
        }
    }

    pub(super) fn commit(&self) -> Result<Committed> {
        let Some(disk) = &self.disk else { return Ok(Committed::All) };
        let mut writer = lock(&self.writer);
        // What found no space comes first.
        let rounds = if writer.batch.is_done() { 1 } else { 2 };
        for _ in 0..rounds {
            {
                let mut state = lock(&self.state);
                if let Some(error) = &state.progress.ended {
                    return Err(error.clone());
                }
                if writer.batch.is_done() {
                    std::mem::swap(&mut state.pending, &mut writer.batch);
                }
            }
            match writer.write(&disk.folder, |synced| self.publish(synced)) {
                Ok(()) => {}
                Err(Failure::Full(message)) => {
                    lock(&self.state).full = Some(message);
                    self.progress.notify_all();
                    return Ok(Committed::Waiting);
                }
                Err(Failure::Lost(error)) => {
                    drop(writer);
                    self.lose(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(Committed::All)
    }

    /// Tells waiters what a sync made durable.
    fn publish(&self, synced: Synced) {
        let mut state = lock(&self.state);
        state.progress.durable = synced.durable;
        // What waited for a segment has one.
        state.full = None;
        state.pending_bytes = state.pending_bytes.saturating_sub(synced.bytes);
        state.stats.synced(&synced);
        self.progress_seen.send_replace(state.progress.clone());
        drop(state);
        self.progress.notify_all();
    }

    /// Nothing is acknowledged any more. A log that was closed can still be lost: whoever closed it is told.
    pub(super) fn lose(&self, error: Error) {
        if self.finish(error.clone(), true)
            && let Some(disk) = &self.disk
        {
            (disk.folder.options.on_lost)(&error);
        }
    }

    /// Ends the log for all who use it; whether that is news.
    fn finish(&self, error: Error, lost: bool) -> bool {
        let mut state = lock(&self.state);
        if state.lost || (state.progress.ended.is_some() && !lost) {
            return false;
        }
        state.lost = lost;
        state.progress.ended = Some(error);
        self.progress_seen.send_replace(state.progress.clone());
        drop(state);
        self.progress.notify_all();
        self.work.notify_all();
        true
    }

    pub(super) fn close(&self) -> Result<()> {
        {
            let mut state = lock(&self.state);
            if std::mem::replace(&mut state.closed, true) {
                return Ok(());
            }
            if let Some(error) = &state.progress.ended {
                return Err(error.clone());
            }
        }
        let committed = self.commit()?;
        if committed == Committed::All {
            let (next, durable) = {
                let state = lock(&self.state);
                (state.next, state.progress.durable)
            };
            if next == durable
                && let Err(Failure::Lost(error)) = lock(&self.writer).seal(next)
            {
                self.lose(error.clone());
                return Err(error);
            }
        }
        let state = lock(&self.state);
        let left = state.next - state.progress.durable;
        drop(state);
        self.finish(Error::overload("the log is closed: send again later"), false);
        if left > 0 {
            return Err(Error::storage(format!(
                "the log was closed while {left} records waited for space on the disk"
            )));
        }
        Ok(())
    }
}

impl Progress {
    pub(super) fn is_open_at(&self, lsn: Lsn) -> bool {
        self.durable <= lsn && self.ended.is_none()
    }

    pub(super) fn outcome(&self, lsn: Lsn) -> Result<()> {
        match &self.ended {
            Some(error) if self.durable <= lsn => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl Disk {
    /// Refuses new data on a disk that is full: no segment can be begun, or what is left is needed for the end of the epoch.
    pub(super) fn has_space(&self, state: &State) -> Result<()> {
        if let Some(full) = &state.full {
            return Err(Error::overload(full.clone()));
        }
        if self.folder.is_scarce.load(Ordering::Relaxed) {
            let (folder, free) = (self.folder.options.folder.display(), self.folder.free_text());
            return Err(Error::overload(format!(
                "the log takes nothing new into {folder}{free}: what is left on the disk is needed for the end of the epoch; {CURE}"
            )));
        }
        Ok(())
    }

    /// Refuses new data where the log and others have as much as they may; how much they have.
    pub(super) fn below_soft(&self) -> Result<u64> {
        let (used, soft) = (self.used_bytes(), self.folder.options.disk_soft_bytes);
        if used < soft {
            return Ok(used);
        }
        Err(Error::overload(format!(
            "the log and the staged files have {used} bytes on the disk, and log.disk_soft is {soft}: send again later"
        )))
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let log: u64 = self.folder.segments().values().sum();
        log.saturating_add(self.other_bytes.load(Ordering::Relaxed))
    }
}
