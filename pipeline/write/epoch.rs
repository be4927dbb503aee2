//! The end of an epoch, in three steps: stage, record, publish.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::Value;

use super::gather::Day;
use super::partition::{Epoch, Partition, Staged, locked};
use super::record::{self, Record};
use super::{Writer, Written, staging, state};
use crate::Result;
use crate::files::failed;

/// What becomes durable together with the files of an epoch.
#[derive(Clone, Debug, Default)]
pub struct Along {
    /// The epoch has every record of the log below this one.
    pub position: u64,
    /// How far event time had come.
    pub watermark: Option<i64>,
    /// The state of plugins, as whoever restores it reads it; none where it has not changed.
    pub state: Option<Vec<u8>>,
    /// Whether that is all of it, and not what changed since the epoch before.
    pub whole: bool,
    /// What made the epoch, for whoever asks later: no start reads it.
    pub about: Value,
}

/// What a start finds of the last epoch that was committed.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Its number; 0 if there is none.
    pub epoch: u64,
    /// The first record of the log that no epoch has.
    pub position: u64,
    /// How far event time had come.
    pub watermark: Option<i64>,
    /// The state of plugins: a whole one, and what changed since, in their order.
    pub state: Vec<Vec<u8>>,
}

/// An epoch that takes no more rows and is not published yet.
#[derive(Debug)]
pub(super) struct Closing {
    epoch: Arc<Epoch>,
    partitions: Mutex<Vec<Arc<Partition>>>,
    days: Mutex<Vec<Arc<Day>>>,
    /// Without the state.
    along: Along,
    /// The state of plugins, until it is recorded: then it is on the disk, and not to be held until the epoch is published.
    state: Mutex<Option<Vec<u8>>>,
    recorded: AtomicBool,
}

impl Closing {
    /// Those whose files are not staged.
    pub(super) fn partitions(&self) -> Vec<Arc<Partition>> {
        let (partitions, evicted) = (locked(&self.partitions), locked(&self.epoch.evicted));
        partitions.iter().chain(&*evicted).map(Arc::clone).collect()
    }
}

/// What was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// The number of the last epoch.
    pub epoch: u64,
    /// Files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The records on the disk.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The last one.
    pub(super) last: Record,
    /// The epochs whose records are there, in their order.
    pub(super) there: Vec<u64>,
    /// The position up to which epochs are published.
    pub(super) published: u64,
}

impl Writer {
    /// Ends the epoch: every row that was taken before the call is in a published file after it. An epoch that could not be
    /// ended before is ended first. With nothing to publish nothing happens.
    ///
    /// Blocks, for as long as files are encoded and brought to their destination. It is [`Writer::rotate`],
    /// [`Writer::commit`] and [`Writer::publish`], where rows do not come from a log.
    ///
    /// # Errors
    ///
    /// `Storage` where the disk or the object store does not take a file. The rows are kept, in memory or in the staging folder,
    /// rows keep being taken, and the next call goes on where this one stopped.
    pub fn close_epoch(&self) -> Result<Closed> {
        self.commit()?;
        if self.has_open_rows() {
            self.rotate(Along { position: self.recorded_position(), ..Along::default() });
            self.commit()?;
        }
        self.publish()
    }

    /// Lets a new epoch begin. What was taken before belongs to the one that ends, together with `along`. Returns at once.
    pub fn rotate(&self, mut along: Along) {
        let mut open = locked(&self.open);
        let next = Epoch::new(open.epoch.number + 1);
        let epoch = std::mem::replace(&mut open.epoch, next);
        let closing = Closing {
            epoch,
            partitions: Mutex::new(std::mem::take(&mut open.partitions).into_values().collect()),
            days: Mutex::new(std::mem::take(&mut open.days).into_values().collect()),
            state: Mutex::new(along.state.take()),
            along,
            recorded: AtomicBool::new(false),
        };
        locked(&self.closing).push_back(Arc::new(closing));
    }

    /// Stages and records every epoch that has ended: from then on its files are published, by this run or by the next.
    ///
    /// # Errors
    ///
    /// `Storage` where the disk takes nothing. The rows are kept, and the next call goes on where this one stopped.
    pub fn commit(&self) -> Result<()> {
        self.commit_if(|| Ok(()))
    }

    /// The same where somebody else knows whether an epoch may still become durable: asked right before its record is written,
    /// for staging may take long. An error leaves the epoch unrecorded.
    pub fn commit_if(&self, may_stand: impl Fn() -> Result<()>) -> Result<()> {
        self.intact()?;
        let _one = locked(&self.committing);
        let unrecorded = |closing: &&Arc<Closing>| !closing.recorded.load(Relaxed);
        let ended: Vec<Arc<Closing>> = locked(&self.closing).iter().filter(unrecorded).cloned().collect();
        for closing in ended {
            self.stage(&closing)?;
            // Another thread may have lost a file of the epoch meanwhile.
            self.intact()?;
            may_stand()?;
            self.watched(self.record(&closing))?;
            self.watched(self.tidy(closing.epoch.number))?;
        }
        Ok(())
    }

    /// Brings the files of every recorded epoch to their destination, the oldest first.
    ///
    /// # Errors
    ///
    /// `Storage` where the destination does not take a file. The files stay in staging, and the next call goes on where this
    /// one stopped.
    pub fn publish(&self) -> Result<Closed> {
        self.intact()?;
        let _one = locked(&self.publishing);
        let mut closed = Closed::default();
        loop {
            let Some(first) = self.first_unpublished()? else { return Ok(closed) };
            self.publish_epoch(&first.epoch, &mut closed)?;
            locked(&self.closing).pop_front();
            locked(&self.ledger).published = first.along.position;
        }
    }

    /// The oldest recorded epoch that is not published, with no record before it any more: also one that could not be removed
    /// at first has to go before the next files are moved.
    fn first_unpublished(&self) -> Result<Option<Arc<Closing>>> {
        // No epoch is recorded in the meantime.
        let mut ledger = locked(&self.ledger);
        let first = locked(&self.closing).front().filter(|first| first.recorded.load(Relaxed)).cloned();
        let before = first.as_ref().map_or(u64::MAX, |first| first.epoch.number);
        self.forget(&mut ledger, before)?;
        Ok(first)
    }

    /// Removes the records before an epoch, but not the last one.
    fn forget(&self, ledger: &mut Ledger, before: u64) -> Result<()> {
        while let [first, _, ..] = ledger.there[..]
            && first < before
        {
            self.watched(record::remove(&self.options, first))?;
            ledger.there.remove(0);
        }
        Ok(())
    }

    /// The position in the log below which everything is in a recorded epoch.
    pub fn recorded_position(&self) -> u64 {
        locked(&self.ledger).last.to
    }

    /// The position in the log of the last epoch that has ended and is not recorded, if there is one.
    pub fn rotated_position(&self) -> Option<u64> {
        let closing = locked(&self.closing);
        closing.iter().rev().find(|closing| !closing.recorded.load(Relaxed)).map(|closing| closing.along.position)
    }

    /// The position in the log below which everything is in a published epoch.
    pub fn published_position(&self) -> u64 {
        locked(&self.ledger).published
    }

    /// The last epoch that was recorded.
    pub fn recorded_epoch(&self) -> u64 {
        locked(&self.ledger).last.epoch
    }

    /// Epochs that are recorded and not published.
    pub fn unpublished_epochs(&self) -> usize {
        locked(&self.closing).iter().filter(|closing| closing.recorded.load(Relaxed)).count()
    }

    /// Whether rows were taken since the last epoch ended.
    pub fn has_open_rows(&self) -> bool {
        let open = locked(&self.open);
        !open.partitions.is_empty()
            || !open.days.is_empty()
            || !locked(&open.epoch.staged).is_empty()
            || !locked(&open.epoch.evicted).is_empty()
    }

    /// Whether the next epoch should come with the whole state, and not with what changed.
    pub fn wants_whole_state(&self) -> bool {
        state::wants_whole(&locked(&self.ledger).last)
    }

    /// The epochs that an earlier run recorded, the last of which may be published or not.
    pub(super) fn adopt(&self, records: Vec<Record>) -> Result<()> {
        let mut ledger = locked(&self.ledger);
        let mut closing = locked(&self.closing);
        ledger.published = records.first().map_or(0, |first| first.from);
        for record in records {
            let epoch = Epoch::new(record.epoch);
            for file in &record.files {
                if !self.is_staged(file)? {
                    self.options.to.settle(&*self.options.files, &file.folder)?;
                    continue;
                }
                self.account.staged.fetch_add(file.bytes, Relaxed);
                self.account.rows.fetch_add(file.pending, Relaxed);
                locked(&epoch.staged).push(file.clone());
            }
            closing.push_back(Arc::new(Closing {
                epoch,
                partitions: Mutex::default(),
                days: Mutex::default(),
                along: Along { position: record.to, ..Along::default() },
                state: Mutex::default(),
                recorded: AtomicBool::new(true),
            }));
            ledger.there.push(record.epoch);
            ledger.last = record;
        }
        Ok(())
    }

    /// Whether a recorded file is in staging, which it is until it is published.
    fn is_staged(&self, file: &Staged) -> Result<bool> {
        let stat = self.options.files.stat(&file.path);
        Ok(stat.map_err(|error| failed("cannot look at", &file.path, &error))?.is_some())
    }

    /// Every row into a file that is complete and on the disk, in the staging folder.
    fn stage(&self, closing: &Closing) -> Result<()> {
        locked(&closing.partitions).append(&mut locked(&closing.epoch.evicted));
        // Locked for moments: whoever makes room looks for the largest here, too.
        let last = || locked(&closing.partitions).last().map(Arc::clone);
        while let Some(partition) = last() {
            self.watched(partition.finish(&self.options))?;
            locked(&closing.partitions).pop();
        }
        let mut days = locked(&closing.days);
        while let Some(day) = days.last() {
            self.watched(day.stage(&self.options))?;
            days.pop();
        }
        self.watched(staging::sync_folder(&self.options))
    }

    /// The commit: what the epoch has, rows and state, stands from here on, and the log is not needed below its position.
    fn record(&self, closing: &Closing) -> Result<()> {
        let number = closing.epoch.number;
        let mut ledger = locked(&self.ledger);
        let mut state = locked(&closing.state);
        let last = &ledger.last;
        let mut record = Record {
            epoch: number,
            previous: last.digest.clone(),
            from: last.to,
            to: closing.along.position,
            watermark: closing.along.watermark.or(last.watermark),
            files: locked(&closing.epoch.staged).clone(),
            state: state::write(&self.options, number, state.as_deref(), closing.along.whole, last)?,
            about: closing.along.about.clone(),
            digest: String::new(),
        };
        record::write(&self.options, &mut record)?;
        *state = None;
        ledger.last = record;
        ledger.there.push(number);
        // It stands, whatever becomes of what follows: a second record of the epoch would not be its own successor.
        closing.recorded.store(true, Relaxed);
        Ok(())
    }

    /// Removes what the record of an epoch has made superfluous.
    fn tidy(&self, number: u64) -> Result<()> {
        let mut ledger = locked(&self.ledger);
        let unpublished = locked(&self.closing).front().map_or(number, |first| first.epoch.number);
        self.forget(&mut ledger, unpublished)?;
        state::clear(&self.options, &ledger.last)
    }

    /// Each file to its destination. What is done is done: after an error only the rest is left.
    fn publish_epoch(&self, epoch: &Epoch, closed: &mut Closed) -> Result<()> {
        closed.epoch = epoch.number;
        loop {
            // The list is not locked while a store takes its time.
            let Some(file) = locked(&epoch.staged).last().cloned() else { return Ok(()) };
            let written = match &file.key {
                Some(key) => self.watched(self.publish_merged(&file, key))?,
                None => {
                    self.watched(self.options.to.publish(&self.options, &file.path, &file.folder, &file.name))?;
                    Written { rows: file.rows, bytes: file.bytes, files: 1 }
                }
            };
            self.account.staged.fetch_sub(file.bytes, Relaxed);
            self.account.rows.fetch_sub(file.pending, Relaxed);
            closed.files += written.files;
            closed.rows += written.rows;
            closed.bytes += written.bytes;
            let mut all = locked(&self.written);
            let all = all.entry(Arc::clone(&file.table)).or_default();
            all.rows += written.rows;
            all.bytes += written.bytes;
            all.files += written.files;
            locked(&epoch.staged).pop();
        }
    }
}
