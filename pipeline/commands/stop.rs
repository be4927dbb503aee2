//! Requests to stop: at the first the pipeline ends in its own time, and what it waits for is said; at the second the process
//! ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use weir::config::Durability;
use weir::run::{Pipeline, Summary};
use weir::{Error, Result};

/// A shutdown that takes longer than this says how to end it.
const LONG: Duration = Duration::from_secs(3);

/// Ctrl-C, and the request to terminate that supervisors send.
pub(crate) struct Stop {
    heard: Arc<Heard>,
    left: &'static str,
}

#[derive(Default)]
struct Heard {
    first: Notify,
    /// The next request is the second.
    is_stopping: AtomicBool,
}

impl Stop {
    /// Hears them from now on, whatever the program does. They end no process any more that has not begun to stop.
    pub(crate) fn listen(durability: Durability) -> Result<Self> {
        let hear = |kind| {
            signal(kind).map_err(|error| Error::storage(format!("the signals to stop cannot be heard: {error}")))
        };
        let (mut interrupt, mut terminate) = (hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?);
        let heard = Arc::<Heard>::default();
        let left = match durability {
            Durability::Fsync => "what was acknowledged is in the log, and the next start goes on from there",
            Durability::Memory => {
                "what was acknowledged since the last epoch is lost then, for log.durability is \"memory\""
            }
        };
        let stop = Self { heard: Arc::clone(&heard), left };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if heard.is_stopping.swap(true, Relaxed) {
                    eprintln!("\nerror: ended at once, as asked, before everything was written: {left}");
                    // Whatever waits, for a disk or a store, waits no longer.
                    std::process::exit(1);
                }
                heard.first.notify_one();
            }
        });
        Ok(stop)
    }

    /// Resolves at the first request.
    pub(crate) async fn asked(&self) {
        self.heard.first.notified().await;
    }

    /// It stops without having been asked: whoever asks now wants the end.
    pub(crate) fn begins(&self) {
        self.heard.is_stopping.store(true, Relaxed);
    }

    /// Shuts a pipeline down. It waits for as long as the disk takes nothing; meanwhile it says why.
    pub(crate) async fn shutdown(&self, pipeline: Pipeline) -> Result<Summary> {
        self.begins();
        let troubles = pipeline.troubles();
        // It blocks.
        let ended = tokio::task::spawn_blocking(move || pipeline.shutdown());
        let hint = async {
            tokio::time::sleep(LONG).await;
            eprintln!("still writing what is there; Ctrl-C or SIGTERM ends it at once: {}", self.left);
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            summary = ended => summary.map_err(|error| Error::bug(format!("the shutdown ended badly: {error}"))),
            // Told anew: whoever asks for the end may not have seen it begin.
            never = super::trouble::tell(troubles) => match never {},
            never = hint => match never {},
        }
    }
}
