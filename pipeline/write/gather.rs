//! Rows that replace earlier ones, of one day of one table in one epoch, in memory until the epoch ends.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;

use super::encode::Encoder;
use super::folder::{self, Folder};
use super::keys::Keys;
use super::partition::{Account, Epoch, locked};
use crate::tables::{Table, Upsert};
use crate::{Error, Result};

/// Below so many bytes older rows are not looked for.
const COMPACTED_BYTES_MIN: usize = 1 << 20;

/// Which of several rows of a key is the newest: the one with the greatest order, and of those the one of the latest call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) order: u64,
    /// The number of the call, counted over all.
    pub(super) call: u64,
    /// Whether the row says that its key has none any more.
    pub(super) retract: bool,
}

/// Rows, each with its mark. Of those with the same mark the last is the newest.
pub(super) struct Chunk {
    pub(super) rows: RecordBatch,
    pub(super) marks: Vec<Mark>,
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.rows.get_array_memory_size() + self.marks.capacity() * size_of::<Mark>()
    }
}

/// The newest row of each key: keys in their order, and for each the number of the chunk and of the row there.
pub(super) struct Newest {
    keys: Vec<Keys>,
    pub(super) rows: Vec<(usize, usize)>,
}

impl Newest {
    pub(super) fn of(upsert: &Upsert, chunks: &[Chunk]) -> Result<Self> {
        let keys = chunks.iter().map(|chunk| Keys::of(&chunk.rows, &upsert.key)).collect::<Result<Vec<_>>>()?;
        let all = |(at, keys): (usize, &Keys)| (0..keys.len()).map(move |row| (at, row));
        let mut rows: Vec<(usize, usize)> = keys.iter().enumerate().flat_map(all).collect();
        let key = |(at, row): (usize, usize)| keys[at].get(row);
        let mark = |(at, row): (usize, usize)| (chunks[at].marks[row], row);
        rows.sort_unstable_by(|&one, &other| key(one).cmp(key(other)).then_with(|| mark(other).cmp(&mark(one))));
        rows.dedup_by(|older, newer| key(*older) == key(*newer));
        Ok(Self { keys, rows })
    }

    pub(super) fn key(&self, at: usize) -> &[u8] {
        let (chunk, row) = self.rows[at];
        self.keys[chunk].get(row)
    }
}

/// The rows of one day.
pub(super) struct Day {
    pub(super) table: Arc<Table>,
    pub(super) encoder: Arc<Encoder>,
    pub(super) folder: Folder,
    pub(super) epoch: Arc<Epoch>,
    pub(super) account: Arc<Account>,
    /// Locked for moments, while `gathered` may be locked for as long as rows are compared.
    incoming: Mutex<Vec<Chunk>>,
    gathered: Mutex<Vec<Chunk>>,
    bytes: AtomicUsize,
    /// Bytes that were left when older rows were let go last.
    compacted: AtomicUsize,
    /// Rows that were taken, those included that newer ones have replaced.
    rows: AtomicU64,
}

impl std::fmt::Debug for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path())
    }
}

impl Day {
    pub(super) fn new(
        table: &Arc<Table>,
        encoder: &Arc<Encoder>,
        folder: Folder,
        epoch: &Arc<Epoch>,
        account: &Arc<Account>,
    ) -> Self {
        Self {
            table: Arc::clone(table),
            encoder: Arc::clone(encoder),
            folder,
            epoch: Arc::clone(epoch),
            account: Arc::clone(account),
            incoming: Mutex::default(),
            gathered: Mutex::default(),
            bytes: AtomicUsize::new(0),
            compacted: AtomicUsize::new(0),
            rows: AtomicU64::new(0),
        }
    }

    /// The folder below the destination.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.table.name, folder::path(self.table.layout, self.folder))
    }

    /// How rows of the table replace others.
    pub(super) fn upsert(&self) -> Result<&Upsert> {
        let upsert = self.table.upsert.as_ref();
        upsert.ok_or_else(|| Error::bug(format!("table `{}` has no key", self.table.name)))
    }

    /// Adds rows; says whether it is worth to let older ones go.
    pub(super) fn push(&self, rows: RecordBatch, mark: Mark) -> bool {
        let chunk = Chunk { marks: vec![mark; rows.num_rows()], rows };
        let (bytes, rows) = (chunk.bytes(), chunk.marks.len() as u64);
        self.account.memory.fetch_add(bytes, Relaxed);
        self.account.rows.fetch_add(rows, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.rows.fetch_add(rows, Relaxed);
        locked(&self.incoming).push(chunk);
        // Twice as many each time, so that a row is copied a few times at most.
        self.bytes() >= self.compacted.load(Relaxed).max(COMPACTED_BYTES_MIN).saturating_mul(2)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Whether enough rows have come since older ones were let go last that some memory may be gained.
    pub(super) fn has_grown(&self) -> bool {
        let compacted = self.compacted.load(Relaxed);
        self.bytes() > compacted + compacted / 4
    }

    /// Rows that were taken.
    pub(super) fn taken(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// All rows, which nobody else changes meanwhile.
    pub(super) fn all(&self) -> MutexGuard<'_, Vec<Chunk>> {
        let mut gathered = locked(&self.gathered);
        gathered.append(&mut locked(&self.incoming));
        gathered
    }

    /// Lets go of the rows that newer ones replace, unless somebody is at it. After an error every row is still here.
    pub(super) fn compact(&self) -> Result<()> {
        let mut gathered = match self.gathered.try_lock() {
            Ok(gathered) => gathered,
            Err(TryLockError::Poisoned(gathered)) => gathered.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        gathered.append(&mut locked(&self.incoming));
        if gathered.is_empty() {
            return Ok(());
        }
        let before: usize = gathered.iter().map(Chunk::bytes).sum();
        let newest = Newest::of(self.upsert()?, &gathered)?;
        let batches: Vec<&RecordBatch> = gathered.iter().map(|chunk| &chunk.rows).collect();
        let rows = interleave_record_batch(&batches, &newest.rows)
            .map_err(|error| Error::bug(format!("table `{}`: {error}", self.table.name)))?;
        let marks = newest.rows.iter().map(|&(chunk, row)| gathered[chunk].marks[row]).collect();
        *gathered = vec![Chunk { rows, marks }];
        let after = gathered.iter().map(Chunk::bytes).sum();
        self.account.memory.fetch_add(after, Relaxed);
        self.account.memory.fetch_sub(before, Relaxed);
        self.bytes.fetch_add(after, Relaxed);
        self.bytes.fetch_sub(before, Relaxed);
        self.compacted.store(after, Relaxed);
        Ok(())
    }
}
