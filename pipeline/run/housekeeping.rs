//! What happens by the clock: rows that waited long enough become a batch, and epochs end.

use super::trouble::Step;
use super::{NOT_REPLAYING, Shared};
use crate::config::Write;
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
        .spawn(move || {
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tick(&shared))).is_err() {
                shared.failure.set_lost(panicked("weir-clock"));
            }
        })
        .map_err(|error| Error::storage(format!("thread weir-clock could not be started: {error}")))
}

fn tick(shared: &Arc<Shared>) {
    let pause = (shared.config.batch.delay_max / 4).clamp(Duration::from_millis(5), Duration::from_millis(250));
    let mut epochs = Epochs::new(&shared.config.write);
    let (mut commit, mut publish) = (Task::new("weir-epoch", Step::Commit), Task::new("weir-publish", Step::Publish));
    let mut publish_at = Instant::now();
    while !shared.stopping.load(Relaxed) {
        std::thread::park_timeout(pause);
        shared.coalescer.flush(false, &shared.queue);
        shared.queue.idle();
        if shared.chain.asking().next().is_some() {
            shared.queue.again();
        }
        shared.log.set_other_bytes(shared.writer.pending().staged_bytes);
        commit.ended_badly(shared);
        if publish.ended_badly(shared) {
            publish_at = Instant::now() + RETRY;
        }
        let has_news = shared.has_news();
        if !has_news {
            shared.nothing_waits();
        }
        // What is left then is for the shutdown.
        if shared.failure.get().is_some() {
            continue;
        }
        if commit.is_idle() {
            let reasons = Reasons {
                log: shared.log_wants_end(),
                // Asked once, it is not said again.
                writer: shared.writer.wants_end(),
                has_news,
                // The rows are kept, so the epoch ends as soon as the trouble does.
                again: shared.troubles.has(Step::Commit),
            };
            if epochs.due(reasons, Instant::now()) && commit.start(shared, Shared::commit_epoch) {
                epochs.begin(Instant::now());
            }
        }
        // A store that is slow or away must not keep epochs from being committed. After trouble there may be no epoch left that
        // is not published, but the log to be trimmed.
        let is_left = shared.writer.unpublished_epochs() > 0 || shared.troubles.has(Step::Publish);
        if publish.is_idle() && is_left && Instant::now() >= publish_at {
            publish.start(shared, Shared::publish);
        }
    }
    commit.join(shared);
    publish.join(shared);
}
fn panicked(thread: &str) -> Error {
    Error::bug(format!("thread {thread} ended in a panic; report it with the message above"))
}

/// A step that blocks for long, on a thread of its own.
struct Task {
    name: &'static str,
    step: Step,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Task {
    fn new(name: &'static str, step: Step) -> Self {
        Self { name, step, thread: None }
    }

    fn is_idle(&self) -> bool {
        self.thread.is_none()
    }

    /// Whether it has begun. Without a thread it is tried again at the next tick.
    fn start(&mut self, shared: &Arc<Shared>, act: fn(&Shared) -> Result<()>) -> bool {
        let with = Arc::clone(shared);
        match std::thread::Builder::new().name(self.name.into()).spawn(move || act(&with)) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                let error = Error::storage(format!("thread {} could not be started: {error}", self.name));
                shared.troubles.set(self.step, Some(error));
            }
        }
        self.thread.is_some()
    }

    /// Whether it has ended, and badly.
    fn ended_badly(&mut self, shared: &Shared) -> bool {
        let ended = self.thread.take_if(|thread| thread.is_finished());
        ended.is_some_and(|thread| self.is_bad(shared, thread.join()))
    }

    /// Trouble that passes was told where it came up; what does not is the pipeline's failure.
    fn is_bad(&self, shared: &Shared, ended: std::thread::Result<Result<()>>) -> bool {
        match ended {
            Ok(Ok(())) => return false,
            Ok(Err(error)) if passes(&error) => {}
            Ok(Err(error)) => shared.failure.set(error),
            // Nobody knows what it left undone: what is recorded stays so, and the log keeps the rest.
            Err(_) => shared.failure.set_lost(panicked(self.name)),
        }
        true
    }

    fn join(&mut self, shared: &Shared) {
        if let Some(thread) = self.thread.take() {
            self.is_bad(shared, thread.join());
        }
    }
}

/// What may call for the end of an epoch.
struct Reasons {
    log: Wants,
    /// The writer's memory is full of rows that only the end of the epoch lets go.
    writer: bool,
    /// There is something that the epoch would have.
    has_news: bool,
    /// The last end has failed.
    again: bool,
}

/// When to end the epoch: the first one soon after the first row, so that a newcomer sees a file at once, and any as soon as
/// the log or the writer needs it.
struct Epochs {
    epoch: Duration,
    first_epoch: Duration,
    /// When the last epoch ended, or the first row was seen.
    since: Option<Instant>,
    /// When the end of an epoch was begun last.
    began: Option<Instant>,
    /// The writer has asked since then.
    is_wanted: bool,
}

impl Epochs {
    fn new(write: &Write) -> Self {
        Self { epoch: write.epoch, first_epoch: write.first_epoch, since: None, began: None, is_wanted: false }
    }

    fn begin(&mut self, now: Instant) {
        (self.since, self.began, self.is_wanted) = (Some(now), Some(now), false);
    }

    fn due(&mut self, reasons: Reasons, now: Instant) -> bool {
        self.is_wanted |= reasons.writer;
        let epoch = if self.began.is_some() { self.epoch } else { self.first_epoch };
        let is_over = reasons.has_news && now.duration_since(*self.since.get_or_insert(now)) >= epoch;
        let is_rested = self.began.is_none_or(|began| now.duration_since(began) >= RETRY.min(self.epoch));
        match reasons.log {
            // Whoever wants it, and however often.
            _ if reasons.again => is_rested,
            _ if self.is_wanted => true,
            Wants::Nothing => is_over,
            // What is freed is not there to be freed again.
            Wants::Room => true,
            // It may be that nothing is freed.
            Wants::Relief => is_over || is_rested,
        }
    }
}

/// What the log wants of the end of an epoch.
#[derive(Clone, Copy)]
enum Wants {
    Nothing,
    /// It has half of what it may have on the disk: room long before senders have to wait for it.
    Room,
    /// It refuses what comes.
    Relief,
}

impl Shared {
    fn log_wants_end(&self) -> Wants {
        // What is read at the start is there already, and nothing is added.
        if self.replaying.load(Relaxed) != NOT_REPLAYING {
            return Wants::Nothing;
        }
        let recorded = self.writer.recorded_position();
        if self.log.bytes_to_free(recorded) >= self.config.log.disk_soft_bytes / 2 {
            return Wants::Room;
        }
        match self.log.shortage() {
            Some(_) if self.log.is_full() || self.log.next_lsn() > recorded => Wants::Relief,
            _ => Wants::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Duration = Duration::from_secs(60);

    fn epochs() -> Epochs {
        Epochs { first_epoch: RETRY, ..Epochs::new(&Write { epoch: EPOCH, ..Write::default() }) }
    }

    fn reasons(log: Wants) -> Reasons {
        Reasons { log, writer: false, has_news: true, again: false }
    }

    #[test]
    fn an_end_that_failed_is_tried_again_after_a_pause_whoever_wants_it() {
        let (mut epochs, start) = (epochs(), Instant::now());
        assert!(epochs.due(reasons(Wants::Room), start));
        epochs.begin(start);
        for tick in 1..=500 {
            let passed = Duration::from_millis(tick * 5);
            for log in [Wants::Nothing, Wants::Room, Wants::Relief] {
                let reasons = Reasons { again: true, writer: true, ..reasons(log) };
                assert_eq!(epochs.due(reasons, start + passed), passed >= RETRY, "after {passed:?}");
            }
        }
        assert!(epochs.due(Reasons { again: true, has_news: false, ..reasons(Wants::Nothing) }, start + RETRY));
    }

    #[test]
    fn what_the_writer_wants_is_due_until_it_has_begun() {
        let (mut epochs, start) = (epochs(), Instant::now());
        epochs.begin(start);
        assert!(!epochs.due(reasons(Wants::Nothing), start));
        assert!(epochs.due(Reasons { writer: true, ..reasons(Wants::Nothing) }, start));
        // It could not begin, for want of a thread, and the writer does not say it twice.
        assert!(epochs.due(reasons(Wants::Nothing), start));
        epochs.begin(start);
        assert!(!epochs.due(reasons(Wants::Nothing), start));
    }

    #[test]
    fn an_epoch_that_could_not_begin_to_end_is_due_still() {
        let (mut epochs, start) = (epochs(), Instant::now());
        epochs.begin(start);
        assert!(!epochs.due(reasons(Wants::Nothing), start + EPOCH / 2));
        assert!(epochs.due(reasons(Wants::Nothing), start + EPOCH));
        assert!(epochs.due(reasons(Wants::Nothing), start + EPOCH));
        epochs.begin(start + EPOCH);
        assert!(!epochs.due(reasons(Wants::Nothing), start + EPOCH));
    }
}
