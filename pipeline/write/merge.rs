//! The file of a day, rewritten: the rows that it has, and those that replace, follow or end them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_select::interleave::interleave_record_batch;

use super::encode::{OpenFile, disk};
use super::folder::Folder;
use super::gather::{Chunk, Day, Mark, Newest};
use super::keys::{Columns, Keys};
use super::partition::{Lost, Staged, locked};
use super::{WriteOptions, staging};
use crate::tables::Upsert;
use crate::{Error, Result};

/// The name of a day's file: the same always.
pub(super) fn file_name(writer: &str) -> String {
    format!("{writer}.parquet")
}

/// The marks of rows of the last two epochs. A thread that was slow may bring a row after the epoch in which a newer one of
/// its key was taken; without these the older row would replace the newer one.
#[derive(Debug, Default)]
pub(super) struct Recent {
    days: HashMap<(Arc<str>, Folder), Vec<Marks>>,
}

/// The marks of one epoch, in the order of keys.
#[derive(Debug)]
struct Marks {
    epoch: u64,
    keys: Keys,
    marks: Vec<Mark>,
}

impl Marks {
    fn find(&self, key: &[u8]) -> Option<Mark> {
        let (mut low, mut high) = (0, self.marks.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.keys.get(middle).cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(self.marks[middle]),
            }
        }
        None
    }
}

impl Recent {
    /// Forgets what was remembered of epochs before the last two.
    pub(super) fn forget(&mut self, epoch: u64) {
        self.days.retain(|_, epochs| {
            epochs.retain(|marks| marks.epoch + 2 > epoch);
            !epochs.is_empty()
        });
    }

    fn of(&self, day: &Day) -> &[Marks] {
        self.days.get(&(Arc::clone(&day.table.name), day.folder)).map_or(&[], Vec::as_slice)
    }

    fn remember(&mut self, day: &Day, keys: Keys, marks: Vec<Mark>) {
        let epochs = self.days.entry((Arc::clone(&day.table.name), day.folder)).or_default();
        epochs.push(Marks { epoch: day.epoch.number, keys, marks });
    }
}

/// What a day's file is made of.
struct Merged {
    /// The number of a batch, stored ones first, and of a row there; and how often the row was restated.
    rows: Vec<((usize, usize), i64)>,
    /// Whether that is something else than what is stored.
    changed: bool,
}

impl Day {
    /// Stages the day's file, if any of the rows changes what is stored. After an error every row is still here.
    pub(super) fn stage(&self, options: &WriteOptions, stored: &[RecordBatch], recent: &mut Recent) -> Result<()> {
        let upsert = self.upsert()?;
        let mut gathered = self.all();
        let mut newest = Newest::of(upsert, &gathered)?;
        let (mut keys, mut marks) = (Keys::default(), Vec::with_capacity(newest.rows.len()));
        let mut current = Vec::with_capacity(newest.rows.len());
        for (at, &(chunk, row)) in newest.rows.iter().enumerate() {
            let (key, mark) = (newest.key(at), gathered[chunk].marks[row]);
            if recent.of(self).iter().filter_map(|marks| marks.find(key)).all(|known| known <= mark) {
                keys.push(key);
                marks.push(mark);
                current.push((chunk, row));
            }
        }
        newest.rows = current;
        let merged = merge(upsert, stored, &gathered, &newest)?;
        let staged = if merged.changed { Some(self.write(options, upsert, stored, &gathered, &merged.rows)?) } else { None };
        recent.remember(self, keys, marks);
        gathered.clear();
        self.account.memory.fetch_sub(self.bytes(), Relaxed);
        match staged {
            Some(staged) => {
                self.account.staged.fetch_add(staged.bytes, Relaxed);
                locked(&self.epoch.staged).push(staged);
            }
            None => {
                self.account.rows.fetch_sub(self.taken(), Relaxed);
            }
        }
        Ok(())
    }

    fn write(
        &self,
        options: &WriteOptions,
        upsert: &Upsert,
        stored: &[RecordBatch],
        gathered: &[Chunk],
        rows: &[((usize, usize), i64)],
    ) -> Result<Staged> {
        let mut staged = Staged {
            table: Arc::clone(&self.table.name),
            path: PathBuf::new(),
            folder: self.path(),
            name: file_name(&options.writer_name),
            remove: rows.is_empty(),
            rows: rows.len() as u64,
            pending: self.taken(),
            bytes: 0,
        };
        if staged.remove {
            return Ok(staged);
        }
        let number = self.epoch.next.fetch_add(1, Relaxed);
        let name = staging::file_name(&options.writer_name, self.epoch.number, number);
        staged.path = options.staging.join(name);
        let batches: Vec<&RecordBatch> = stored.iter().chain(gathered.iter().map(|chunk| &chunk.rows)).collect();
        match self.write_file(&staged.path, options.row_group_rows, upsert, &batches, rows) {
            Ok(bytes) => Ok(Staged { bytes, ..staged }),
            Err(error) => {
                // The next attempt takes another name; this one would be cleared at the next start.
                let _ = std::fs::remove_file(&staged.path);
                Err(error)
            }
        }
    }

    fn write_file(
        &self,
        path: &Path,
        row_group_rows: usize,
        upsert: &Upsert,
        batches: &[&RecordBatch],
        rows: &[((usize, usize), i64)],
    ) -> Result<u64> {
        let mut file = OpenFile::create(path, self.table.private, &self.encoder)?;
        for rows in rows.chunks(row_group_rows.max(1)) {
            let from: Vec<(usize, usize)> = rows.iter().map(|(from, _)| *from).collect();
            let group = interleave_record_batch(batches, &from).and_then(|group| {
                let mut columns: Vec<ArrayRef> = group.columns().to_vec();
                columns[upsert.revision] = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, count)| *count)));
                RecordBatch::try_new(group.schema(), columns)
            });
            file.encode(&group.map_err(|error| Error::bug(format!("table `{}`: {error}", self.table.name)))?)?;
            file.drain()?;
        }
        file.finish()?;
        file.sync().map_err(|error| Lost::error(&disk("cannot bring to the disk", path, &error)))?;
        Ok(file.bytes())
    }
}

fn contents<'a>(upsert: &Upsert, rows: impl Iterator<Item = &'a RecordBatch>) -> Result<Vec<Columns<'a>>> {
    rows.map(|rows| Columns::new(rows, &upsert.content)).collect()
}

/// Puts the stored rows and the newest ones side by side by their keys.
fn merge(upsert: &Upsert, stored: &[RecordBatch], gathered: &[Chunk], newest: &Newest) -> Result<Merged> {
    let chunks = stored.iter().map(|rows| {
        let mark = Mark { order: 0, call: 0, retract: false };
        Chunk { rows: rows.clone(), marks: vec![mark; rows.num_rows()] }
    });
    // Whatever wrote the file, each key is there once from now on.
    let old = Newest::of(upsert, &chunks.collect::<Vec<_>>())?;
    let old_contents = contents(upsert, stored.iter())?;
    let new_contents = contents(upsert, gathered.iter().map(|chunk| &chunk.rows))?;
    let revision = |(at, row): (usize, usize)| {
        let revisions = stored[at].column(upsert.revision).as_primitive_opt::<Int64Type>();
        revisions.filter(|revisions| revisions.is_valid(row)).map_or(0, |revisions| revisions.value(row))
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut same = |old: (usize, usize), new: (usize, usize)| {
        before.clear();
        after.clear();
        old_contents[old.0].append(old.1, &mut before);
        new_contents[new.0].append(new.1, &mut after);
        before == after
    };
    let stored_rows: usize = stored.iter().map(RecordBatch::num_rows).sum();
    let mut merged = Merged { rows: Vec::with_capacity(stored_rows), changed: old.rows.len() != stored_rows };
    let (mut left, mut right) = (0, 0);
    loop {
        let (from, to) = (old.rows.get(left).copied(), newest.rows.get(right).copied());
        let order = match (from, to) {
            (None, None) => return Ok(merged),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), Some(_)) => old.key(left).cmp(newest.key(right)),
        };
        left += usize::from(order.is_le());
        right += usize::from(order.is_ge());
        match (from.filter(|_| order.is_le()), to.filter(|_| order.is_ge())) {
            (Some(from), None) => merged.rows.push((from, revision(from))),
            (from, Some((chunk, row))) if gathered[chunk].marks[row].retract => merged.changed |= from.is_some(),
            (Some(from), Some(to)) if same(from, to) => merged.rows.push((from, revision(from))),
            (from, Some((chunk, row))) => {
                merged.changed = true;
                let count = from.map_or(0, |from| revision(from).saturating_add(1));
                merged.rows.push(((stored.len() + chunk, row), count));
            }
            (None, None) => return Ok(merged),
        }
    }
}
