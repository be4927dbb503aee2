//! Trouble that passes: why rows wait to be written, each kind with an end of its own.

use super::Shared;
use crate::Error;
use std::sync::{Mutex, PoisonError};

/// A step on the way into the tables. The end of trouble with one says nothing about another: epochs are committed while a store is
/// away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The workers' rows cannot be taken.
    Write,
    /// The epoch cannot be ended.
    Commit,
    /// What is committed cannot be brought to its place, or the log not be trimmed after it.
    Publish,
}

/// The trouble with each step, since it was tried last.
#[derive(Default)]
pub(super) struct Troubles(Mutex<[Option<Error>; 3]>);

impl Troubles {
    pub(super) fn set(&self, step: Step, trouble: Option<Error>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[step as usize] = trouble;
    }

    /// Whether a step could not be done when it was tried last, so that it must be tried again.
    pub(super) fn has(&self, step: Step) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[step as usize].is_some()
    }

    /// The first trouble that there is.
    fn first(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().next().cloned()
    }
}

impl Shared {
    /// Why requests are told to come back, or their rows wait to be written, if the disk or the store is why.
    pub(super) fn trouble(&self) -> Option<Error> {
        let shortage = self.log.shortage();
        if self.log.is_full() {
            return shortage;
        }
        let trouble = self.troubles.first().map(|error| error.within("the tables cannot be written"));
        // A log that has as much as it may is what comes of it.
        trouble.or(shortage).or_else(|| {
            let since = self.overdue()?.as_secs();
            Some(Error::storage(format!("no epoch has ended for {since} s, since its rows could not be written")))
        })
    }
}
