//! The failure that stops a pipeline, and whoever waits for it.

use crate::Error;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Set at most once: when a plugin whose policy is `stop` fails, or a worker ends badly.
#[derive(Clone, Default)]
pub struct Failure(Arc<Inner>);

#[derive(Default)]
struct Inner {
    error: OnceLock<Error>,
    told: Notify,
}

impl Failure {
    pub(super) fn set(&self, error: Error) {
        if self.0.error.set(error).is_ok() {
            self.0.told.notify_waiters();
        }
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
