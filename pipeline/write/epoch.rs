//! The end of an epoch, in three steps: stage, record, publish.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, TryLockError};

use super::gather::Day;
use super::partition::{Epoch, Partition, Staged, locked};
use super::{Writer, Written, record, staging};
use crate::Result;

/// An epoch that takes no more rows and is not published yet.
#[derive(Debug)]
pub(super) struct Closing {
    epoch: Arc<Epoch>,
    partitions: Vec<Arc<Partition>>,
    days: Vec<Arc<Day>>,
    recorded: bool,
}

/// What a closed epoch published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// The number of the epoch.
    pub epoch: u64,
    /// Files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Writer {
    /// Ends the epoch: every row that was taken before the call is in a published file after it. An epoch that could not be
    /// ended before is ended first. With nothing to publish nothing happens.
    ///
    /// Blocks, for as long as files are encoded and brought to their destination.
    ///
    /// # Errors
    ///
    /// `Storage` where the disk or the object store does not take a file. The rows are kept, in memory or in the staging folder,
    /// rows keep being taken, and the next call goes on where this one stopped.
    pub fn close_epoch(&self) -> Result<Closed> {
        self.intact()?;
        let mut closing = locked(&self.closing);
        let mut closed = Closed::default();
        self.complete_all(&mut closing, &mut closed)?;
        closing.extend(self.begin_next()?);
        self.complete_all(&mut closing, &mut closed)?;
        Ok(closed)
    }

    /// Ends the epoch as [`Writer::close_epoch`] does, for the last time: where the destination takes nothing, every row is
    /// at least in a recorded file of the staging folder afterwards, which the next start publishes.
    ///
    /// # Errors
    ///
    /// Those of [`Writer::close_epoch`].
    pub fn finish(&self) -> Result<Closed> {
        self.intact()?;
        let mut closing = locked(&self.closing);
        let mut closed = Closed::default();
        closing.extend(self.begin_next()?);
        for unfinished in closing.iter_mut() {
            self.commit(unfinished)?;
        }
        self.complete_all(&mut closing, &mut closed)?;
        Ok(closed)
    }

    fn complete_all(&self, closing: &mut VecDeque<Closing>, closed: &mut Closed) -> Result<()> {
        while let Some(first) = closing.front_mut() {
            self.commit(first)?;
            self.publish(&first.epoch, closed)?;
            closing.pop_front();
        }
        Ok(())
    }

    /// The files that an earlier run recorded and did not publish, as epochs that only have to be published.
    pub(super) fn adopt(&self, recorded: Vec<(u64, Vec<Staged>)>) {
        let mut closing = locked(&self.closing);
        for (number, files) in recorded {
            let epoch = Epoch::new(number);
            for file in files {
                self.account.staged.fetch_add(file.bytes, Relaxed);
                self.account.rows.fetch_add(file.pending, Relaxed);
                locked(&epoch.staged).push(file);
            }
            closing.push_back(Closing { epoch, partitions: Vec::new(), days: Vec::new(), recorded: true });
        }
    }

    /// Lets a new epoch begin, whose number is on the disk before it names a file.
    fn begin_next(&self) -> Result<Option<Closing>> {
        let number = {
            let open = locked(&self.open);
            let idle = open.partitions.is_empty() && open.days.is_empty() && locked(&open.epoch.staged).is_empty();
            if idle && locked(&open.epoch.evicted).is_empty() {
                return Ok(None);
            }
            open.epoch.number + 1
        };
        staging::keep_epoch(&self.options.staging, &self.options.writer_name, number)?;
        let mut open = locked(&self.open);
        let epoch = std::mem::replace(&mut open.epoch, Epoch::new(number));
        let partitions = std::mem::take(&mut open.partitions).into_values().collect();
        let days = std::mem::take(&mut open.days).into_values().collect();
        Ok(Some(Closing { epoch, partitions, days, recorded: false }))
    }

    /// Ends the epoch early, to have its rows on the disk rather than in memory; it is published when the next one is. Does
    /// nothing while epochs are being ended.
    pub(super) fn commit_early(&self) -> Result<()> {
        let mut closing = match self.closing.try_lock() {
            Ok(closing) => closing,
            Err(TryLockError::Poisoned(closing)) => closing.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        closing.extend(self.begin_next()?);
        closing.iter_mut().try_for_each(|unfinished| self.commit(unfinished))
    }

    fn commit(&self, closing: &mut Closing) -> Result<()> {
        if !closing.recorded {
            self.stage(closing)?;
            self.record(&closing.epoch, &locked(&closing.epoch.staged))?;
            closing.recorded = true;
        }
        Ok(())
    }

    /// Every row into a file that is complete and on the disk, in the staging folder.
    fn stage(&self, closing: &mut Closing) -> Result<()> {
        closing.partitions.append(&mut locked(&closing.epoch.evicted));
        while let Some(partition) = closing.partitions.last() {
            self.watched(partition.finish(&self.options))?;
            closing.partitions.pop();
        }
        let mut recent = locked(&self.recent);
        recent.forget(closing.epoch.number);
        while let Some(day) = closing.days.last() {
            self.watched(day.stage(&self.options, &mut recent))?;
            closing.days.pop();
        }
        self.watched(staging::sync_folder(&self.options.staging))
    }

    /// The commit: from here on the next start publishes these files, if this one does not get to it. The log's position
    /// and the state of the plugins will become durable here, together with the names of the files.
    fn record(&self, epoch: &Epoch, staged: &[Staged]) -> Result<()> {
        self.watched(record::write(&self.options, epoch.number, staged))
    }

    /// Each file to its destination. What is done is done: after an error only the rest is left.
    fn publish(&self, epoch: &Epoch, closed: &mut Closed) -> Result<()> {
        let mut staged = locked(&epoch.staged);
        closed.epoch = epoch.number;
        while let Some(file) = staged.last() {
            let written = match &file.key {
                Some(key) => self.watched(self.publish_merged(file, key))?,
                None => {
                    let published = self.options.to.publish(&file.path, &file.folder, &file.name, self.options.retry);
                    self.watched(published)?;
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
            staged.pop();
        }
        drop(staged);
        self.watched(record::remove(&self.options, epoch.number))
    }
}
