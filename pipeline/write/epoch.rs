//! The end of an epoch, in three steps: stage, record, publish.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow_array::RecordBatch;

use super::gather::Day;
use super::partition::{Epoch, Partition, Staged, locked};
use super::{Writer, destination, merge, read, record, staging};
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
        for at in 0..closing.len() {
            self.commit(closing.make_contiguous(), at)?;
        }
        self.complete_all(&mut closing, &mut closed)?;
        Ok(closed)
    }

    fn complete_all(&self, closing: &mut VecDeque<Closing>, closed: &mut Closed) -> Result<()> {
        while !closing.is_empty() {
            self.commit(closing.make_contiguous(), 0)?;
            if let Some(first) = closing.front() {
                self.publish(&first.epoch, closed)?;
            }
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

    /// Stages and records one of the epochs; those before it are recorded.
    fn commit(&self, closing: &mut [Closing], at: usize) -> Result<()> {
        let (earlier, closing) = closing.split_at_mut(at);
        if let Some(closing) = closing.first_mut().filter(|closing| !closing.recorded) {
            self.stage(closing, earlier)?;
            self.record(&closing.epoch, &locked(&closing.epoch.staged))?;
            closing.recorded = true;
        }
        Ok(())
    }

    /// Every row into a file that is complete and on the disk, in the staging folder.
    fn stage(&self, closing: &mut Closing, earlier: &[Closing]) -> Result<()> {
        closing.partitions.append(&mut locked(&closing.epoch.evicted));
        while let Some(partition) = closing.partitions.last() {
            self.watched(partition.finish(&self.options))?;
            closing.partitions.pop();
        }
        let mut recent = locked(&self.recent);
        recent.forget(closing.epoch.number);
        while let Some(day) = closing.days.last() {
            let stored = self.stored(day, earlier)?;
            self.watched(day.stage(&self.options, &stored, &mut recent))?;
            closing.days.pop();
        }
        self.watched(staging::sync_folder(&self.options.staging))
    }

    /// The rows of a day as of the epochs before: from a file that is on its way, or else from the one at the destination.
    fn stored(&self, day: &Day, earlier: &[Closing]) -> Result<Vec<RecordBatch>> {
        let (folder, name) = (day.path(), merge::file_name(&self.options.writer_name));
        let on_its_way = earlier.iter().rev().find_map(|closing| {
            let staged = locked(&closing.epoch.staged);
            let file = staged.iter().find(|file| file.folder == folder && file.name == name)?;
            Some((!file.remove).then(|| file.path.clone()))
        });
        let content = match on_its_way {
            Some(None) => None,
            Some(Some(path)) => destination::content(&path)?,
            None => self.options.to.fetch(&folder, &name, self.options.retry)?,
        };
        content.map_or(Ok(Vec::new()), |content| read::restored(&day.table, content, &format!("{folder}/{name}")))
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
            self.watched(self.options.to.publish(file, self.options.retry))?;
            self.account.staged.fetch_sub(file.bytes, Relaxed);
            self.account.rows.fetch_sub(file.pending, Relaxed);
            if !file.remove {
                closed.files += 1;
                closed.rows += file.rows;
                closed.bytes += file.bytes;
                let mut written = locked(&self.written);
                let written = written.entry(Arc::clone(&file.table)).or_default();
                written.rows += file.rows;
                written.bytes += file.bytes;
                written.files += 1;
            }
            staged.pop();
        }
        drop(staged);
        self.watched(record::remove(&self.options, epoch.number))
    }
}
