//! Parquet files: rows are gathered by table and folder, encoded, and published whole at the end of an epoch.
//!
//! A file is built in the staging folder and appears under its table complete or not at all: by a rename in a local
//! folder, by one PUT in an object store.

mod chunk;
mod destination;
mod discard;
mod encode;
mod epoch;
mod folder;
mod gather;
mod helped;
mod inspect;
mod keys;
mod merge;
mod order;
mod partition;
mod read;
mod record;
mod row_group;
mod staging;
mod state;
mod stored;
mod tally;
#[cfg(test)]
mod tests;

pub use destination::{Destination, Patience, Retry};
pub use discard::replace_state;
pub use epoch::{Along, Closed, Restored};
pub use inspect::{FileReport, FileState, Inspection, RecordContent, RecordReport, StateReport, Unnamed, inspect};
pub use read::read;
pub use stored::{StoredHour, day_of, stored_hours};
pub use tally::{TableTally, UnreadableFile, tally};

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::RecordBatch;

use self::encode::Encoder;
use self::epoch::{Closing, Ledger};
use self::folder::Folder;
use self::gather::{Day, Mark};
use self::partition::{Account, Epoch, Partition, Staged, locked};
use self::record::Record;
use crate::files::{Files, Lock, Lost, Real, failed, make_folders};
use crate::tables::{Table, Tables};
use crate::{Error, Result, Signal};

/// Where and how files are written.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Where the tables are.
    pub to: Destination,
    /// Where files are until they are published; on the file system of a local destination.
    pub staging: PathBuf,
    /// The writer's part in the names of files. Writers of the same tables need different ones.
    pub writer_name: String,
    /// Rows in a row group.
    pub row_group_rows: usize,
    /// The size in bytes at which a file is complete before its epoch ends.
    pub file_bytes_max: u64,
    /// The level of zstd, from 1 to 22; none: files are not compressed.
    pub zstd_level: Option<i32>,
    /// Whether the rows of a row group are ordered by service and time.
    pub sort: bool,
    /// How many bytes of rows may be in memory before row groups are closed early.
    pub memory_bytes_max: usize,
    /// How many folders may have an open file at a time.
    pub open_partitions_max: usize,
    /// How often a request to an object store is made.
    pub retry: Retry,
    /// The file system of staging, and of a local destination.
    pub files: Arc<dyn Files>,
    /// Until when an object store is waited for.
    pub patience: Patience,
}

impl WriteOptions {
    /// The defaults, for tables in `to`.
    pub fn new(to: Destination, staging: impl Into<PathBuf>) -> Self {
        Self {
            to,
            staging: staging.into(),
            writer_name: "weir".to_owned(),
            row_group_rows: 65_536,
            file_bytes_max: 128 << 20,
            zstd_level: Some(1),
            sort: true,
            memory_bytes_max: 24 << 20,
            open_partitions_max: 256,
            retry: Retry::default(),
            files: Arc::new(Real),
            patience: Patience::default(),
        }
    }

    fn check(&self) -> Result<()> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        let name = &self.writer_name;
        if (1..=32).contains(&name.len()) && name.bytes().all(good) {
            return Ok(());
        }
        Err(Error::config(format!("writer `{name}` cannot name files: take 1 to 32 of a-z, 0-9, _ and -")))
    }
}

/// What was published of a table: what is in files, each counted when it appeared. A day of a table that is upsert counts
/// whole each time it is rewritten, so that these are the rows and bytes that were written, not those that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// What was taken and is not published yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Rows; of tables that are upsert, those that were taken, also where newer ones have replaced them.
    pub rows: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bytes in the staging folder.
    pub staged_bytes: u64,
}

/// Takes rows and leaves Parquet files. Its methods block; they are called by any number of threads.
pub struct Writer {
    options: WriteOptions,
    tables: Arc<Tables>,
    encoders: HashMap<Arc<str>, Arc<Encoder>>,
    open: Mutex<Open>,
    /// Epochs that take no more rows and are not published yet, the oldest first.
    closing: Mutex<VecDeque<Arc<Closing>>>,
    ledger: Mutex<Ledger>,
    /// Held by whoever stages and records.
    committing: Mutex<()>,
    /// Held by whoever publishes.
    publishing: Mutex<()>,
    /// Rows that replace others fill the memory, and go to the disk only when their epoch ends.
    wants_end: AtomicBool,
    /// Rows in files that an earlier run recorded and did not publish.
    taken_over: u64,
    account: Arc<Account>,
    written: Mutex<BTreeMap<Arc<str>, Written>>,
    /// Calls of [`Writer::upsert`].
    upserts: AtomicU64,
    /// The failure after which this writer cannot say any more what is on the disk.
    lost: Mutex<Option<Error>>,
    _locks: Vec<Lock>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.options.staging.display())
    }
}

/// Rows, folder by folder.
type Parts = Vec<(Folder, RecordBatch)>;

/// The epoch that takes rows.
struct Open {
    epoch: Arc<Epoch>,
    partitions: HashMap<(Arc<str>, Folder), Arc<Partition>>,
    days: BTreeMap<(Arc<str>, Folder), Arc<Day>>,
}

impl Writer {
    /// Takes the staging folder (and the local destination) for itself and clears it of what a crash left there.
    ///
    /// # Errors
    ///
    /// `Config` where options make no sense; `Storage` where another writer has the folder, or the disk or store is in trouble.
    pub fn start(options: WriteOptions, tables: Arc<Tables>) -> Result<(Self, Restored)> {
        options.check()?;
        let files = Arc::clone(&options.files);
        make_folders(&*files, &options.staging)?;
        let mut locks = vec![lock(&*files, &options.staging)?];
        options.to.prepare(&*files, &options.staging)?;
        if let Destination::Local(to) = &options.to
            && *to != options.staging
        {
            locks.push(lock(&*files, to)?);
        }
        let mut encoders = HashMap::new();
        for table in tables.all() {
            let sorted = options.sort && table.upsert.is_none();
            let encoder = Encoder::new(table, options.row_group_rows, options.zstd_level, sorted)?;
            encoders.insert(Arc::clone(&table.name), Arc::new(encoder));
        }
        // Who wrote the last record may have been killed before its name was durable, and the log is trimmed by it.
        staging::sync_folder(&options)?;
        let mut records = record::read_all(&options)?;
        if records.is_empty() {
            // A staging folder that is new, before tables that may not be. It is asked once: a store may be away later.
            let epoch = options.to.largest_epoch(&*files, &options.writer_name)?.unwrap_or(0);
            let mut first = Record { epoch, ..Record::default() };
            record::write(&options, &mut first)?;
            records.push(first);
        }
        let recorded: Vec<&Staged> = records.iter().flat_map(|record| &record.files).collect();
        let known: Vec<&str> = recorded.iter().map(|file| file.staged_name()).collect();
        staging::clear(&options, &known)?;
        let last = records.last().cloned().unwrap_or_default();
        state::clear(&options, &last)?;
        let restored = Restored {
            epoch: last.epoch,
            position: last.to,
            watermark: last.watermark,
            state: state::read(&options, &last)?,
        };
        let open = Open { epoch: Epoch::new(restored.epoch + 1), partitions: HashMap::new(), days: BTreeMap::new() };
        let mut writer = Self {
            options,
            tables,
            encoders,
            open: Mutex::new(open),
            closing: Mutex::default(),
            ledger: Mutex::default(),
            committing: Mutex::default(),
            publishing: Mutex::default(),
            wants_end: AtomicBool::new(false),
            taken_over: 0,
            account: Arc::default(),
            written: Mutex::default(),
            upserts: AtomicU64::new(0),
            lost: Mutex::default(),
            _locks: locks,
        };
        writer.adopt(records)?;
        writer.taken_over = writer.pending().rows;
        Ok((writer, restored))
    }

    /// Waits so long at most, from now on, for an object store; what it has not taken then stays in staging for the next start.
    pub fn publishes_for(&self, most: Duration) {
        self.options.patience.ends_in(most);
    }

    /// Whether the epoch should end soon, for memory's sake.
    pub fn wants_end(&self) -> bool {
        self.wants_end.swap(false, Relaxed)
    }

    /// Takes rows of a table. They are in a published file after the next [`Writer::close_epoch`] that succeeds.
    ///
    /// # Errors
    ///
    /// `Storage` where memory is full and the disk takes nothing, `Bug` where the rows are not the table's. None of the rows
    /// is taken then.
    pub fn write(&self, table: &str, rows: RecordBatch) -> Result<()> {
        let Some(table) = self.tables.table(table) else {
            return Err(Error::bug(format!("there is no table `{table}`")));
        };
        if table.upsert.is_some() {
            return Err(Error::bug(format!(
                "rows of table `{}` replace others: they are not to be appended",
                table.name
            )));
        }
        self.take(table, rows)
    }

    /// Takes rows of a table that is upsert. After the next [`Writer::close_epoch`] that succeeds the file of their day has,
    /// for each key, the newest row only; with `retract` it has none for those keys, and of `rows` only the key and the time
    /// count.
    ///
    /// The newest row of a key is the one with the greatest `order`, the number of the batch that caused it, and among rows of
    /// one order the one of the latest call, the last there. Calls with different orders may come in any order, from any
    /// thread, within an epoch.
    ///
    /// A row that is like the stored one but for `computed_at` changes nothing; otherwise its `revision` is the stored one's
    /// and 1 more, whatever stands there. The day of a row is part of what tells it apart: rows of two days never replace
    /// each other.
    ///
    /// # Errors
    ///
    /// `Overload` where memory is full while epochs are being ended, `Storage` where the disk takes nothing, `Bug` where the rows are
    /// not the table's or the table is not upsert. None of the rows is taken then.
    pub fn upsert(&self, table: &str, order: u64, rows: RecordBatch, retract: bool) -> Result<()> {
        self.intact()?;
        let Some(table) = self.tables.table(table).filter(|table| table.upsert.is_some()) else {
            return Err(Error::bug(format!("there is no table `{table}` whose rows replace others")));
        };
        let (encoder, parts) = self.parts(table, rows)?;
        let mark = Mark { order, call: self.upserts.fetch_add(1, Relaxed), retract };
        let mut grown = Vec::new();
        let mut open = locked(&self.open);
        let Open { epoch, days, .. } = &mut *open;
        for (folder, part) in parts {
            let new = || Arc::new(Day::new(table, encoder, folder, epoch, &self.account));
            let day = days.entry((Arc::clone(&table.name), folder)).or_insert_with(new);
            if day.push(part, mark) {
                grown.push(Arc::clone(day));
            }
        }
        drop(open);
        // The rows are taken. What cannot be made smaller now is merged as it is when the epoch ends.
        for day in grown {
            let _ = day.compact();
        }
        Ok(())
    }

    /// Takes rows of a signal's table that a plugin failed on, for `_dead_letter/<signal>`, which only the owner of the
    /// process may read.
    ///
    /// # Errors
    ///
    /// Those of [`Writer::write`].
    pub fn write_dead_letter(&self, signal: Signal, rows: &RecordBatch, plugin: &str, reason: &str) -> Result<()> {
        let rows = self.tables.dead_letter(signal, rows, plugin, reason)?;
        self.take(self.tables.dead_letter_table(signal), rows)
    }

    /// Rows that an earlier run staged and did not publish, which this one publishes.
    pub fn taken_over(&self) -> u64 {
        self.taken_over
    }

    /// The failure after which nobody can say what is on the disk, if there was one: nothing is taken, recorded or published
    /// any more, and the process should end.
    pub fn lost(&self) -> Option<Error> {
        locked(&self.lost).clone()
    }

    /// What was published, by table.
    pub fn written(&self) -> BTreeMap<Arc<str>, Written> {
        locked(&self.written).clone()
    }

    /// What was taken and is not published yet.
    pub fn pending(&self) -> Pending {
        Pending {
            rows: self.account.rows.load(Relaxed),
            memory_bytes: self.account.memory.load(Relaxed) as u64,
            staged_bytes: self.account.staged.load(Relaxed),
        }
    }

    /// Bytes that were taken and are not published yet, in memory and in the staging folder.
    pub fn pending_bytes(&self) -> u64 {
        let pending = self.pending();
        pending.memory_bytes + pending.staged_bytes
    }

    fn take(&self, table: &Arc<Table>, rows: RecordBatch) -> Result<()> {
        self.intact()?;
        let (encoder, parts) = self.parts(table, rows)?;
        let (mut full, mut evicted) = (Vec::new(), Vec::new());
        let mut open = locked(&self.open);
        let Open { epoch, partitions, .. } = &mut *open;
        for (folder, part) in parts {
            let key = (Arc::clone(&table.name), folder);
            if !partitions.contains_key(&key) && partitions.len() >= self.options.open_partitions_max {
                evicted.extend(evict(epoch, partitions));
            }
            let new = || Arc::new(Partition::new(table, encoder, folder, epoch, &self.account));
            let partition = partitions.entry(key).or_insert_with(new);
            if partition.push(part) >= self.options.row_group_rows {
                full.push(Arc::clone(partition));
            }
        }
        let epoch = Arc::clone(epoch);
        drop(open);
        // The rows are taken. Trouble from here on leaves them in memory, and whoever needs room or ends the epoch is told.
        for partition in full {
            let is_full = || partition.rows() >= self.options.row_group_rows;
            let _ = self.watched(partition.flush(&self.options, is_full));
        }
        for partition in evicted {
            if self.watched(partition.finish(&self.options)).is_ok() {
                locked(&epoch.evicted).retain(|other| !Arc::ptr_eq(other, &partition));
            }
        }
        Ok(())
    }

    /// The rows, folder by folder, once there is room for them.
    fn parts(&self, table: &Table, rows: RecordBatch) -> Result<(&Arc<Encoder>, Parts)> {
        if !Arc::ptr_eq(rows.schema_ref(), &table.schema) && *rows.schema_ref() != table.schema {
            return Err(Error::bug(format!("rows for table `{}` do not have its columns", table.name)));
        }
        let parts = folder::split(table, rows)?;
        self.make_room()?;
        let Some(encoder) = self.encoders.get(&table.name) else {
            return Err(Error::bug(format!("table `{}` is none of this writer's", table.name)));
        };
        Ok((encoder, parts))
    }

    /// Lets go of rows that newer ones replace, asks for the end of the epoch if those that are left are many, then closes row
    /// groups, the largest first, until rows in memory are within their budget.
    fn make_room(&self) -> Result<()> {
        let limit = self.options.memory_bytes_max;
        if self.account.memory.load(Relaxed) <= limit {
            return Ok(());
        }
        let days: Vec<_> = locked(&self.open).days.values().filter(|day| day.has_grown()).map(Arc::clone).collect();
        days.iter().try_for_each(|day| day.compact())?;
        // These rows go to the disk when their epoch ends, and not before.
        let of_days: usize = locked(&self.open).days.values().map(|day| day.bytes()).sum();
        self.wants_end.fetch_or(of_days > limit / 2, Relaxed);
        let memory = || self.account.memory.load(Relaxed);
        while memory() > limit {
            // Nothing is left to be encoded: what is in memory waits for the disk.
            let Some(largest) = self.largest(Partition::bytes) else { break };
            // Where another thread encodes them, this one helps. They are gone then: what gathers may be let grow, or others are
            // the largest.
            self.watched(largest.flush(&self.options, || memory() > limit && largest.bytes() > 0))?;
        }
        // Waiting for the end of an epoch would be waiting for ever, where that waits for this row. One that has ended does not.
        let excepted = if self.rotated_position().is_none() { of_days } else { 0 };
        let most = limit.saturating_mul(2).saturating_add(excepted);
        while memory() > most {
            // The disk did not take these. Now it does, or whoever waits is told why not.
            let Some(largest) = self.largest(Partition::held) else { break };
            self.watched(largest.flush(&self.options, || largest.held() > 0))?;
        }
        let memory = memory();
        if memory <= most {
            return Ok(());
        }
        Err(Error::overload(format!(
            "{memory} bytes of rows wait in memory for the disk, {most} is the limit: retry later, and look at {}",
            self.options.staging.display()
        )))
    }

    /// The partition with the most bytes of a kind, of the epoch that takes rows and of those that end; none where all have none.
    fn largest(&self, bytes: impl Fn(&Partition) -> usize) -> Option<Arc<Partition>> {
        let open = locked(&self.open);
        let mut partitions: Vec<_> = open.partitions.values().map(Arc::clone).collect();
        partitions.extend(locked(&open.epoch.evicted).iter().map(Arc::clone));
        drop(open);
        for closing in &*locked(&self.closing) {
            partitions.extend(closing.partitions());
        }
        let sizes = partitions.into_iter().map(|partition| (bytes(&partition), partition));
        sizes.max_by_key(|(bytes, _)| *bytes).filter(|(bytes, _)| *bytes > 0).map(|(_, partition)| partition)
    }

    /// Remembers a failure that cannot be repaired.
    fn watched<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && Lost::is(error)
        {
            locked(&self.lost).get_or_insert_with(|| error.clone());
        }
        result
    }

    fn intact(&self) -> Result<()> {
        locked(&self.lost).clone().map_or(Ok(()), Err)
    }
}

/// Closes the partition with the most bytes in memory, to make place for another one. It stays with its epoch until its
/// file is staged.
fn evict(epoch: &Epoch, partitions: &mut HashMap<(Arc<str>, Folder), Arc<Partition>>) -> Option<Arc<Partition>> {
    let (key, _) = partitions.iter().max_by_key(|(key, partition)| (partition.buffered(), *key))?;
    let key = key.clone();
    let partition = partitions.remove(&key)?;
    locked(&epoch.evicted).push(Arc::clone(&partition));
    Some(partition)
}

/// Takes a folder for this writer alone.
fn lock(files: &dyn Files, folder: &std::path::Path) -> Result<Lock> {
    files.lock(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::storage(error.to_string()),
        _ => failed("cannot lock the folder", folder, &error),
    })
}
