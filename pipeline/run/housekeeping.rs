//! What happens by the clock: rows that waited long enough become a batch, and epochs end.

use super::trouble::Step;
use super::{NOT_REPLAYING, Shared};
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
    let mut epochs = Epochs::default();
    let (mut commit, mut publish) = (Task::new("weir-epoch"), Task::new("weir-publish"));
    let mut publish_at = Instant::now();
    while !shared.stopping.load(Relaxed) {
        std::thread::park_timeout(pause);
        shared.coalescer.flush(false, &shared.queue);
        shared.queue.idle();
        if shared.chain.asking().next().is_some() {
            shared.queue.again();
        }
        shared.log.set_other_bytes(shared.writer.pending().staged_bytes);
        // The rows are kept, so the epoch ends as soon as the trouble does.
        if commit.failed(shared) {
            epochs.failed();
        }
        if publish.failed(shared) {
            publish_at = Instant::now() + RETRY;
        }
        let news = shared.has_news();
        if !news {
            shared.nothing_waits();
        }
        if commit.is_idle() && (epochs.due(shared, news) || shared.writer.wants_end()) {
            epochs.begin();
            commit.start(shared, Shared::commit_epoch);
        }
        // A store that is slow or away must not keep epochs from being committed. After trouble there may be no epoch left that
        // is not published, but the log to be trimmed.
        let is_left = shared.writer.unpublished_epochs() > 0 || shared.troubles.has(Step::Publish);
        if publish.is_idle() && is_left && Instant::now() >= publish_at {
            publish.start(shared, Shared::publish);
        }
    }
    commit.join();
    publish.join();
}

/// Something that blocks for long, on a thread of its own.
struct Task {
    name: &'static str,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Task {
    fn new(name: &'static str) -> Self {
        Self { name, thread: None }
    }

    fn is_idle(&self) -> bool {
        self.thread.is_none()
    }

    fn start(&mut self, shared: &Arc<Shared>, act: fn(&Shared) -> Result<()>) {
        let shared = Arc::clone(shared);
        // Without a thread it is tried again at the next tick.
        self.thread = std::thread::Builder::new().name(self.name.into()).spawn(move || act(&shared)).ok();
    }

    /// Whether it has ended with trouble that passes; what does not is the pipeline's failure.
    fn failed(&mut self, shared: &Shared) -> bool {
        let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) else { return false };
        match thread.join() {
            Ok(Ok(())) => return false,
            // It was told where it came up.
            Ok(Err(error)) if passes(&error) => return true,
            Ok(Err(error)) => shared.failure.set(error),
            Err(_) => shared
                .failure
                .set(Error::bug(format!("thread {} ended in a panic; report it with the message above", self.name))),
        }
        false
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When to end the epoch: the first one soon after the first row, so that a newcomer sees a file at once, and any as soon as
/// the log needs it.
#[derive(Default)]
struct Epochs {
    /// When the last epoch ended, or the first row was seen.
    since: Option<Instant>,
    /// When the end of an epoch was begun last.
    began: Option<Instant>,
    has_failed: bool,
}

impl Epochs {
    /// The end that was begun last has failed; it is tried again soon.
    fn failed(&mut self) {
        self.has_failed = true;
    }

    fn begin(&mut self) {
        let now = Some(Instant::now());
        *self = Self { since: now, began: now, has_failed: false };
    }

    fn due(&mut self, shared: &Shared, news: bool) -> bool {
        let write = &shared.config.write;
        let epoch = if self.began.is_some() { write.epoch } else { write.first_epoch };
        let is_over = news && self.since.get_or_insert_with(Instant::now).elapsed() >= epoch;
        let is_rested = self.began.is_none_or(|began| began.elapsed() >= RETRY.min(write.epoch));
        match shared.log_wants_end() {
            _ if self.has_failed => is_rested,
            Wants::Nothing => is_over,
            // What is freed is not there to be freed again.
            Wants::Room => true,
            // It may be that nothing is freed.
            Wants::Relief => is_over || is_rested,
        }
    }
}

/// What the log wants of the end of an epoch.
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
