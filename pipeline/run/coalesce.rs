//! Small requests become batches: rows gather per signal until there are enough of them, or they have waited enough.
//!
//! A request enters the log and the rows that gather in one step, so that at any moment the rows of all records below a
//! position, and of no others, are in the batches and the builders. That is what lets an epoch end at a position.

use super::queue::Queue;
use crate::batch::Batch;
use crate::decode::{Builder, Decoded, decode};
use crate::log::Lsn;
use crate::receive::Permit;
use crate::{Error, Result, Signal};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Bytes at which a batch is full even if its rows are few, so that an arena stays small.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Rows that gather.
struct Open {
    builder: Builder,
    permits: Vec<Permit>,
    since: Option<Instant>,
}

/// The rows that gather, for each signal in as many places as requests are decoded at once.
pub(super) struct Coalescer {
    shards: Vec<[Mutex<Open>; 3]>,
    rows_max: usize,
    delay_max: Duration,
    /// Written with every shard locked, read with one.
    closed: AtomicBool,
}

/// What lies before a moment: everything up to a position is in the queue, and nothing later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// The position in the log.
    pub(super) position: Lsn,
    /// The watermark that was told up to there.
    pub(super) watermark: Option<i64>,
}

impl Coalescer {
    pub(super) fn new(shards: usize, rows_max: usize, delay_max: Duration) -> Self {
        let open = |signal| Mutex::new(Open { builder: Builder::new(signal), permits: Vec::new(), since: None });
        let shards = (0..shards.max(1)).map(|_| Signal::ALL.map(open)).collect();
        Self { shards, rows_max, delay_max, closed: AtomicBool::new(false) }
    }

    /// A shard that nobody uses now, or the first one.
    fn lock(&self, signal: Signal) -> MutexGuard<'_, Open> {
        for shard in &self.shards {
            match shard[signal.index()].try_lock() {
                Ok(open) => return open,
                Err(TryLockError::Poisoned(open)) => return open.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.shards[0][signal.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes a request, lets it enter the log with `append`, and adds its rows; what is full goes to the queue. A refused
    /// request adds nothing and enters nothing, one without rows does not enter either. `append` must not block: it runs under
    /// a lock.
    pub(super) fn add<T>(
        &self,
        signal: Signal,
        body: &[u8],
        mut permit: Permit,
        queue: &Queue,
        append: impl FnOnce(&Decoded) -> Result<T>,
    ) -> Result<(Decoded, Option<T>)> {
        let mut open = self.lock(signal);
        if self.closed.load(Relaxed) {
            return Err(Error::overload("weir is stopping; retry later"));
        }
        let before = open.builder.bytes();
        let decoded = decode(body, &mut open.builder)?;
        if decoded.rows == 0 {
            return Ok((decoded, None));
        }
        // Rows take more memory than the request did: many columns for few bytes, as with data points.
        permit.grow(open.builder.bytes().saturating_sub(before));
        // An error here means that the log is lost, and with it the pipeline: no epoch will end any more.
        let appended = append(&decoded)?;
        open.permits.push(permit);
        open.since.get_or_insert_with(Instant::now);
        if open.builder.rows() >= self.rows_max || open.builder.bytes() >= BATCH_BYTES_MAX {
            self.seal(&mut open, queue);
        }
        Ok((decoded, Some(appended)))
    }

    fn seal(&self, open: &mut Open, queue: &Queue) {
        let batch = open.builder.finish();
        let permits = std::mem::take(&mut open.permits);
        open.since = None;
        queue.push(self.pieces(batch), permits);
    }

    /// As many batches as are full, of nearly the same size. A slice copies attributes: what is more than full by less than
    /// another batch stays with it.
    fn pieces(&self, batch: Batch) -> Vec<Batch> {
        let (rows, pieces) = (batch.rows(), batch.rows() / self.rows_max);
        if pieces <= 1 {
            return vec![batch];
        }
        let start = |piece| piece * rows / pieces;
        (0..pieces).map(|piece| batch.slice(start(piece), start(piece + 1) - start(piece))).collect()
    }

    /// How many rows gather.
    pub(super) fn rows(&self) -> u64 {
        let rows = |slot: &Mutex<Open>| slot.lock().unwrap_or_else(PoisonError::into_inner).builder.rows() as u64;
        self.shards.iter().flatten().map(rows).sum()
    }

    /// Sends on what has waited for long enough, or everything.
    pub(super) fn flush(&self, everything: bool, queue: &Queue) {
        for slot in self.shards.iter().flatten() {
            let mut open = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if open.since.is_some_and(|since| everything || since.elapsed() >= self.delay_max) {
                self.seal(&mut open, queue);
            }
        }
    }

    /// Sends on everything, and lets what comes later wait in the queue until [`Queue::resume`]. `position` is asked while no
    /// request can enter.
    pub(super) fn cut(&self, queue: &Queue, position: impl FnOnce() -> Lsn) -> Cut {
        let _all = self.seal_all(queue);
        Cut { position: position(), watermark: queue.hold() }
    }

    /// Sends on everything, and takes nothing more: a request that comes later would be in the log and in no batch.
    pub(super) fn close(&self, queue: &Queue) {
        let _all = self.seal_all(queue);
        self.closed.store(true, Relaxed);
    }

    fn seal_all(&self, queue: &Queue) -> Vec<MutexGuard<'_, Open>> {
        let mut all: Vec<_> =
            self.shards.iter().flatten().map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        for open in all.iter_mut().filter(|open| open.since.is_some()) {
            self.seal(open, queue);
        }
        all
    }
}
