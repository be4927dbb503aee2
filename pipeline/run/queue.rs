//! The queue between the receivers and the workers: batches in the order in which their rows were accepted.
//!
//! It needs no limit of its own: every batch in it holds its bytes of the memory budget, and who finds the budget spent
//! is refused before a row is decoded.

use crate::batch::Batch;
use crate::receive::Permit;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A batch on its way, with the memory that it holds until its rows are written.
pub(super) struct Job {
    /// The place of the batch among all batches.
    pub(super) sequence: u64,
    pub(super) batch: Batch,
    /// Held for as long as the job lives.
    pub(super) _permits: Vec<Permit>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    next: u64,
    finished: u64,
    /// Rows of batches that wait or that a worker has.
    rows: u64,
    closed: bool,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends batches that share the memory of `permits`; the last of them gives it back.
    pub(super) fn push(&self, batches: Vec<Batch>, permits: Vec<Permit>) {
        let mut state = self.state();
        let count = batches.len();
        let mut permits = Some(permits);
        for (index, batch) in batches.into_iter().enumerate() {
            let sequence = state.next;
            state.rows += batch.rows() as u64;
            state.next += 1;
            let held = if index + 1 == count { permits.take().unwrap_or_default() } else { Vec::new() };
            state.jobs.push_back(Job { sequence, batch, _permits: held });
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The next batch; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
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

    /// No further batch will come: the workers end when the queue is empty.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}
