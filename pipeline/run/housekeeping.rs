//! What happens by the clock: rows that waited long enough become a batch, and epochs close.

use super::Shared;
use crate::{Error, Kind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long to wait before an epoch that could not be published is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Whether an error is one that passes, so that trying again makes sense.
pub(super) fn passes(error: &Error) -> bool {
    matches!(error.kind(), Kind::Storage | Kind::Overload)
}

pub(super) fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("weir-clock".into())
        .spawn(move || tick(&shared))
        .map_err(|error| Error::storage(format!("thread weir-clock could not be started: {error}")))
}

fn tick(shared: &Arc<Shared>) {
    let pause = (shared.config.batch.delay_max / 4).clamp(Duration::from_millis(5), Duration::from_millis(250));
    let mut epochs = Epochs { first: true, since: None };
    let write = &shared.config.write;
    let mut closing: Option<JoinHandle<Result<()>>> = None;
    while !shared.stopping.load(Relaxed) {
        std::thread::park_timeout(pause);
        shared.coalescer.flush(false, &shared.queue);
        if let Some(thread) = closing.take_if(|thread| thread.is_finished()) {
            match thread.join() {
                Ok(Ok(())) => {}
                // The rows are kept, so the epoch ends as soon as the trouble does.
                Ok(Err(error)) if passes(&error) => epochs.again_in(RETRY, write.epoch),
                Ok(Err(error)) => shared.failure.set(error),
                Err(_) => shared
                    .failure
                    .set(Error::bug("closing an epoch ended in a panic; report it with the message above")),
            }
        }
        if closing.is_none() && epochs.due(shared.writer.pending().rows > 0, write.first_epoch, write.epoch) {
            let shared = Arc::clone(shared);
            // Publishing may take long, and rows that wait must not wait for it.
            closing = std::thread::Builder::new().name("weir-epoch".into()).spawn(move || shared.close_epoch()).ok();
        }
    }
    if let Some(thread) = closing {
        let _ = thread.join();
    }
}

/// When to close the epoch: the first one soon after the first row, so that a newcomer sees a file at once.
struct Epochs {
    first: bool,
    since: Option<Instant>,
}

impl Epochs {
    /// Makes the next epoch due after `pause` instead of after `epoch`.
    fn again_in(&mut self, pause: Duration, epoch: Duration) {
        self.since = Instant::now().checked_sub(epoch.saturating_sub(pause)).or(self.since);
    }

    fn due(&mut self, rows: bool, first_epoch: Duration, epoch: Duration) -> bool {
        if !rows {
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let due = since.elapsed() >= if self.first { first_epoch } else { epoch };
        if due {
            self.first = false;
            self.since = Some(Instant::now());
        }
        due
    }
}
