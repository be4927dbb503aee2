//! The queue between the receivers and the workers: batches in the order in which their rows were accepted, and between
//! them how far event time has come.
//!
//! It needs no limit of its own: every batch in it holds its bytes of the memory budget, and who finds the budget spent
//! is refused before a row is decoded.

use super::watermark::{Watermark, newest};
use crate::batch::Batch;
use crate::receive::Permit;
use crate::watch;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Plugins that ask for it are told the same time again this often at most, and less often while batches wait.
const AGAIN: Duration = Duration::from_millis(200);
const AGAIN_BUSY: Duration = Duration::from_secs(1);

/// A batch on its way, with the memory that it holds until its rows are written.
pub(super) struct Job {
    /// The place of the batch among all batches.
    pub(super) sequence: u64,
    /// The batch; none where time went on without rows.
    pub(super) batch: Option<Batch>,
    /// How far event time has come with this batch, if that is to be told.
    pub(super) watermark: Option<i64>,
    /// Held for as long as the job lives.
    pub(super) _permits: Vec<Permit>,
}

impl Job {
    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.batch.as_ref().map_or(0, Batch::rows)
    }
}

struct State {
    jobs: VecDeque<Job>,
    next: u64,
    finished: u64,
    /// Rows of batches that wait or that a worker has.
    rows: u64,
    /// While an epoch ends: batches from this number on wait.
    held_from: Option<u64>,
    watermark: Watermark,
    /// When plugins were last told the same time again.
    again: Instant,
    closed: bool,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// An empty queue; `watermark` is what an earlier run has told.
    pub(super) fn new(watermark: Option<i64>) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            next: 0,
            finished: 0,
            rows: 0,
            held_from: None,
            watermark: Watermark::new(watermark, Instant::now()),
            again: Instant::now(),
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends batches that share the memory of `permits`; the last of them gives it back.
    pub(super) fn push(&self, batches: Vec<Batch>, permits: Vec<Permit>) {
        let now_ns = watch::clock::now_ns();
        let newest: Vec<_> = batches.iter().map(|batch| newest(batch, now_ns)).collect();
        let mut state = self.state();
        let count = batches.len();
        let mut permits = Some(permits);
        for (index, (batch, newest)) in batches.into_iter().zip(newest).enumerate() {
            let held = if index + 1 == count { permits.take().unwrap_or_default() } else { Vec::new() };
            let watermark = state.watermark.seen(newest, Instant::now());
            state.push(Some(batch), watermark, held);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Lets event time go on where no rows come.
    pub(super) fn idle(&self) {
        let mut state = self.state();
        if state.jobs.is_empty()
            && let Some(watermark) = state.watermark.idle(Instant::now())
        {
            state.push(None, Some(watermark), Vec::new());
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Event time has come this far, whatever rows say.
    pub(super) fn advance(&self, to: i64) {
        let mut state = self.state();
        state.watermark.reach(to);
        state.push(None, Some(to), Vec::new());
        drop(state);
        self.changed.notify_all();
    }

    /// Has the plugins told once more how far event time has come, now and then and not in the way of batches.
    pub(super) fn again(&self) {
        let mut state = self.state();
        let pause = if state.jobs.is_empty() { AGAIN } else { AGAIN_BUSY };
        if state.again.elapsed() >= pause {
            state.tell_again();
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The same at once, and with the last step of event time, after the last batch; tells whether any time is known.
    pub(super) fn again_at_end(&self) -> bool {
        let mut state = self.state();
        _ = state.watermark.last();
        let told = state.tell_again();
        drop(state);
        self.changed.notify_all();
        told
    }

    /// The next batch; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            let held_from = state.held_from.unwrap_or(u64::MAX);
            if state.jobs.front().is_some_and(|job| job.sequence < held_from) {
                return state.jobs.pop_front();
            }
            if state.closed && state.jobs.is_empty() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A batch that was popped is done with.
    pub(super) fn finished(&self, rows: usize) {
        let mut state = self.state();
        state.finished += 1;
        state.rows -= rows as u64;
        drop(state);
        self.changed.notify_all();
    }

    /// From now on no batch that is pushed later begins, until [`Queue::resume`]. Gives the watermark that was told up to
    /// here.
    pub(super) fn hold(&self) -> Option<i64> {
        let mut state = self.state();
        state.held_from = Some(state.next);
        state.watermark.told()
    }

    /// Waits until every batch that was pushed before [`Queue::hold`] is done with.
    pub(super) fn settle(&self) {
        let mut state = self.state();
        while state.held_from.is_some_and(|until| state.finished < until) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends what [`Queue::hold`] began.
    pub(super) fn resume(&self) {
        self.state().held_from = None;
        self.changed.notify_all();
    }

    /// Waits until every batch pushed so far is done with, or the time is over; tells which.
    pub(super) fn drained(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        let until = state.next;
        while state.finished < until {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How many rows are in batches that wait or that a worker has.
    pub(super) fn rows_under_way(&self) -> u64 {
        self.state().rows
    }

    /// How many batches wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().jobs.len()
    }

    /// What was told last of how far event time has come.
    pub(super) fn watermark(&self) -> Option<i64> {
        self.state().watermark.told()
    }

    /// No further batch will come: the workers end when the queue is empty.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}

impl State {
    /// Tells whether there is a time to tell.
    fn tell_again(&mut self) -> bool {
        self.again = Instant::now();
        let told = self.watermark.told();
        if told.is_some() {
            self.push(None, told, Vec::new());
        }
        told.is_some()
    }

    fn push(&mut self, batch: Option<Batch>, watermark: Option<i64>, permits: Vec<Permit>) {
        self.rows += batch.as_ref().map_or(0, Batch::rows) as u64;
        self.jobs.push_back(Job { sequence: self.next, batch, watermark, _permits: permits });
        self.next += 1;
    }
}
