//! The end of an epoch: a cut through the stream at a position of the log, and the commit of all that lies before it.

use super::coalesce::Cut;
use super::queue::Queue;
use super::trouble::Step;
use super::{NOT_REPLAYING, Shared, account};
use crate::log::Lsn;
use crate::write::Along;
use crate::{Error, Result};
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long an epoch that ends waits for a log that has been given space.
const FULL: Duration = Duration::from_secs(1);

/// What plugins may take at the end for what they left over: time, and calls of each.
const ASKING_MAX: Duration = Duration::from_secs(30);
const ASKED_MAX: usize = 1_000;

/// How many epochs may pass without one that ends before requests should go elsewhere.
const OVERDUE: u32 = 3;

/// What the queue holds back until this is dropped, also by a panic: a shutdown would wait for it.
struct Held<'a>(&'a Queue);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}

impl Shared {
    /// Ends the epoch: every row that was accepted before the call is in a published file after it, and the log is shorter by
    /// them. What an earlier call could not complete is completed first.
    ///
    /// # Errors
    ///
    /// `Storage` where the disk or the object store does not take a file. Nothing is lost; the next call goes on.
    pub(super) fn end_epoch(&self) -> Result<()> {
        self.commit_epoch().and_then(|()| self.publish())
    }

    /// Commits the epoch: from then on the next start publishes its files, if this process does not.
    pub(super) fn commit_epoch(&self) -> Result<()> {
        self.noted(Step::Commit, self.commit())
    }

    /// Publishes what is committed, and lets go of the log up to there.
    pub(super) fn publish(&self) -> Result<()> {
        self.noted(Step::Publish, self.publish_all())
    }

    fn publish_all(&self) -> Result<()> {
        self.writer.publish()?;
        self.log.set_other_bytes(self.writer.pending().staged_bytes);
        self.log.trim(self.writer.published_position())?;
        // There is more room than after the commit.
        self.log.take_reserve().map(drop)
    }

    fn commit(&self) -> Result<()> {
        let _one = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = self.commit_all();
        // Whatever has become of it: what was given up for it is taken again where there is room.
        committed.and(self.log.take_reserve().map(drop))
    }

    fn commit_all(&self) -> Result<()> {
        self.commit_rotated()?;
        if !self.has_news() {
            return Ok(());
        }
        let cut = self.coalescer.cut(&self.queue, || self.position());
        let held = Held(&self.queue);
        self.queue.settle();
        // Again: rows of this epoch may be what was lost.
        let rotated = self.refuse_if_lost().and_then(|()| self.rotate(cut));
        drop(held);
        rotated?;
        self.commit_rotated()
    }

    /// After the last batch: plugins finish what they asked to be called for again. One that asks for ever, or takes too
    /// long, goes on at the next start, from its state.
    pub(super) fn finish_asking(&self) {
        let until = Instant::now() + ASKING_MAX;
        let left = || until.saturating_duration_since(Instant::now());
        for _ in 0..ASKED_MAX {
            if !self.queue.drained(left()) {
                break;
            }
            // What is told here is the last step of event time, at least once.
            if self.failure.get().is_some() || !self.queue.again_at_end() {
                return;
            }
            if !self.queue.drained(left()) {
                break;
            }
            if self.chain.asking().next().is_none() {
                return;
            }
        }
        for plugin in self.chain.asking() {
            let text = format!(
                "asks for `advance` after {ASKED_MAX} calls or {} s at the end; it is called again at the next start",
                ASKING_MAX.as_secs()
            );
            self.counts.warn(plugin, &text);
        }
    }

    /// The last epoch, with no worker left that could add to it.
    pub(super) fn end_last_epoch(&self) -> Result<()> {
        let _one = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let end = || {
            self.commit_rotated()?;
            if self.has_news() {
                let cut = Cut { position: self.position(), watermark: self.queue.watermark() };
                self.rotate(cut)?;
                self.commit_rotated()?;
            }
            self.log.take_reserve().map(drop)
        };
        self.noted(Step::Commit, end())?;
        self.publish()
    }

    /// The position up to which records have entered.
    fn position(&self) -> u64 {
        match self.replaying.load(Relaxed) {
            NOT_REPLAYING => self.log.next_lsn(),
            position => position,
        }
    }

    /// Whether something has happened since the last cut.
    pub(super) fn has_news(&self) -> bool {
        self.writer.has_open_rows() || self.position() > self.writer.recorded_position()
    }

    /// Takes what the commit is made of: rows and state, as they are between two batches.
    fn rotate(&self, cut: Cut) -> Result<()> {
        let whole = self.writer.wants_whole_state();
        // Taking what changed marks it as taken: after an error here nobody knows any more what is not recorded.
        let state = self.chain.record(whole).inspect_err(|error| self.failure.set_lost(error.clone()))?;
        let about = self.about();
        self.writer.rotate(Along { position: cut.position, watermark: cut.watermark, state, whole, about });
        Ok(())
    }

    /// What the record of an epoch says of those that made it: the plugins, and what this process has done with rows so far.
    fn about(&self) -> Value {
        let plugin = |[name, version, sha256, config_hash]: [&str; 4]| json!({ "name": name, "version": version, "sha256": sha256, "config_hash": config_hash });
        let rows = account::summary(self);
        json!({
            "weir": env!("CARGO_PKG_VERSION"),
            "plugins": self.chain.plugins().map(plugin).collect::<Vec<_>>(),
            "rows": {
                "received": rows.received.iter().map(|(_, rows)| rows).sum::<u64>(),
                "taken_over": rows.taken_over,
                "dropped": rows.dropped.iter().map(|(.., rows)| rows).sum::<u64>(),
                "dead_lettered": rows.dead_lettered.iter().map(|(_, rows)| rows).sum::<u64>(),
                "held": rows.held,
            },
        })
    }

    /// Commits what was rotated, now or before something failed.
    fn commit_rotated(&self) -> Result<()> {
        self.refuse_if_lost()?;
        let Some(position) = self.writer.rotated_position() else { return Ok(()) };
        // No record may be in an epoch before it is in the log: an epoch that is ahead of it would hide a hole.
        if let Some(last) = position.checked_sub(1).filter(|_| self.replaying.load(Relaxed) == NOT_REPLAYING) {
            self.wait_durable(last)?;
        }
        let commit = || self.writer.commit_if(|| self.refuse_if_lost());
        // A full disk: what was kept free for this moment is given up, and taken again when there is room.
        match commit() {
            Err(error) if super::housekeeping::passes(&error) && self.log.release_reserve()? => commit()?,
            committed => committed?,
        }
        self.epochs.fetch_add(1, Relaxed);
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(())
    }

    /// What the writer cannot tell of the disk any more is the pipeline's failure, too.
    pub(super) fn watch_writer(&self) -> bool {
        let lost = self.writer.lost();
        let is_lost = lost.is_some();
        if let Some(error) = lost {
            self.failure.set_lost(error);
        }
        is_lost
    }

    /// Waits for the log, but not while it waits for space: that may be given back by nothing but an epoch that ends.
    fn wait_durable(&self, last: Lsn) -> Result<()> {
        if self.log.wait_durable_or_full(last)? {
            return Ok(());
        }
        self.log.release_reserve()?;
        let until = Instant::now() + FULL;
        while !self.log.is_durable(last)? {
            if Instant::now() >= until {
                let why = self.log.shortage().unwrap_or_else(|| Error::storage("the log is slow"));
                return Err(Error::storage(format!("the end of the epoch waits for the log: {why}")));
            }
            std::thread::sleep(FULL / 100);
        }
        Ok(())
    }

    fn refuse_if_lost(&self) -> Result<()> {
        self.failure.lost().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn noted(&self, step: Step, ended: Result<()>) -> Result<()> {
        self.watch_writer();
        self.troubles.set(step, ended.as_ref().err().cloned());
        ended
    }

    /// There is nothing that an epoch could have.
    pub(super) fn nothing_waits(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long no epoch has ended though there was something to write, if that is too long.
    pub(super) fn overdue(&self) -> Option<Duration> {
        let since = self.ended.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        (since > self.config.write.epoch * OVERDUE).then_some(since)
    }
}
