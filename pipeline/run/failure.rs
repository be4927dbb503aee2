//! The failure that stops a pipeline, and whoever waits for it.

use crate::Error;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Set at most once: when a plugin whose policy is `stop` fails, a worker ends badly, or the log is lost.
#[derive(Clone, Default)]
pub struct Failure(Arc<Inner>);

#[derive(Default)]
struct Inner {
    error: OnceLock<Error>,
    /// What is in memory and on the disk do not belong together any more.
    lost: AtomicBool,
    told: Notify,
}

impl Failure {
    pub(super) fn set(&self, error: Error) {
        if self.0.error.set(error).is_ok() {
            self.0.told.notify_waiters();
        }
    }

    /// A sync has failed, or rows are gone from memory: nothing may be acknowledged or committed any more.
    pub(super) fn set_lost(&self, error: Error) {
        self.0.lost.store(true, Relaxed);
        self.set(error);
    }

    /// Why nothing can be committed any more, if that is so: nobody knows what is on the disk, or rows are missing in memory.
    /// The process should end at once: what was acknowledged is recovered by the next start from what the disk really has.
    pub fn lost(&self) -> Option<&Error> {
        self.get().filter(|_| self.0.lost.load(Relaxed))
    }

    /// The failure, if there was one.
    pub fn get(&self) -> Option<&Error> {
        self.0.error.get()
    }

    /// The message of the failure; empty if there was none.
    pub fn message(&self) -> String {
        self.get().map(ToString::to_string).unwrap_or_default()
    }

    /// Resolves when the pipeline has failed.
    pub async fn wait(&self) {
        let told = self.0.told.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        if self.get().is_none() {
            told.await;
        }
    }
}
