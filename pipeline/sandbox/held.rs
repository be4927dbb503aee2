//! Rows that a plugin holds back, each under a key, until it takes them back or a limit is reached.

use super::limits::Limits;
use crate::batch::Batch;
use crate::{Error, Result, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a row counts besides the columns: its key and its places.
const ROW_BYTES: usize = 64;

/// The key of a row.
pub(crate) type Key = Arc<[u8]>;

/// Rows that one call held: a batch of them alone.
#[derive(Clone, Debug)]
struct Chunk {
    batch: Batch,
    keys: Vec<Key>,
    /// The watermark when they were held; none before the first one.
    since: Option<i64>,
    bytes: usize,
}

/// The rows that a plugin holds, in the order in which it did.
#[derive(Clone, Debug, Default)]
pub struct Held {
    chunks: BTreeMap<u64, Chunk>,
    /// The chunks in which rows of a key are, by signal and key.
    places: BTreeMap<(Signal, Key), BTreeSet<u64>>,
    next: u64,
    rows: usize,
    bytes: usize,
    /// Chunks that are new or changed since an epoch recorded them last.
    changed: BTreeSet<u64>,
    watermark: Option<i64>,
}

/// A chunk as an epoch records it: its number, and its content, which is nothing once all its rows are gone.
pub type ChunkEntry = (u64, Option<Vec<u8>>);

impl Held {
    /// How many rows are held.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes that they hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds every row of a batch, each under its key.
    pub(crate) fn hold(&mut self, batch: Batch, keys: Vec<Key>) {
        if batch.rows() > 0 {
            let number = self.next;
            self.next += 1;
            self.insert(number, Chunk { bytes: held_bytes(&batch, &keys), batch, keys, since: self.watermark });
        }
    }

    fn insert(&mut self, number: u64, chunk: Chunk) {
        for key in &chunk.keys {
            self.places.entry((chunk.batch.signal(), key.clone())).or_default().insert(number);
        }
        self.rows += chunk.batch.rows();
        self.bytes += chunk.bytes;
        self.changed.insert(number);
        self.chunks.insert(number, chunk);
    }

    fn remove(&mut self, number: u64) -> Option<Chunk> {
        let chunk = self.chunks.remove(&number)?;
        for key in &chunk.keys {
            let place = (chunk.batch.signal(), key.clone());
            if let Some(numbers) = self.places.get_mut(&place) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.places.remove(&place);
                }
            }
        }
        self.rows -= chunk.batch.rows();
        self.bytes -= chunk.bytes;
        self.changed.insert(number);
        Some(chunk)
    }

    /// The rows that are held under these keys, in the order in which they were held: a batch for each call that held some.
    pub(crate) fn find(&self, signal: Signal, keys: &BTreeSet<Key>) -> Vec<Batch> {
        let numbers: BTreeSet<u64> =
            keys.iter().filter_map(|key| self.places.get(&(signal, key.clone()))).flatten().copied().collect();
        let chunks = numbers.iter().filter_map(|number| self.chunks.get(number));
        chunks.map(|chunk| chunk.batch.take(&rows_of(chunk, |key| keys.contains(key)))).collect()
    }

    /// Lets go of the rows that are held under these keys.
    pub(crate) fn release(&mut self, signal: Signal, keys: &BTreeSet<Key>) {
        let numbers: BTreeSet<u64> =
            keys.iter().filter_map(|key| self.places.get(&(signal, key.clone()))).flatten().copied().collect();
        for number in numbers {
            let Some(chunk) = self.remove(number) else { continue };
            let left = rows_of(&chunk, |key| !keys.contains(key));
            if !left.is_empty() {
                let batch = chunk.batch.take(&left);
                let keys: Vec<Key> = left.iter().map(|&row| chunk.keys[row as usize].clone()).collect();
                let bytes = held_bytes(&batch, &keys);
                self.insert(number, Chunk { batch, keys, since: chunk.since, bytes });
            }
        }
    }

    /// Event time has come this far.
    pub(crate) fn advance(&mut self, watermark: i64) {
        self.watermark = Some(watermark);
        for chunk in self.chunks.values_mut() {
            chunk.since.get_or_insert(watermark);
        }
    }

    /// Lets go of what is over a limit, the oldest first: the rows, and which limit it was.
    pub(crate) fn evict(&mut self, limits: &Limits) -> Vec<(Batch, &'static str)> {
        let mut evicted = Vec::new();
        while let Some((&number, chunk)) = self.chunks.first_key_value() {
            let age = chunk.since.zip(self.watermark).map_or(0, |(since, now)| now.saturating_sub(since));
            let age_max = i64::try_from(limits.held_age.as_nanos()).unwrap_or(i64::MAX);
            let over = match () {
                () if self.rows > limits.held_rows => "held rows limit",
                () if self.bytes > limits.held_bytes => "held bytes limit",
                () if age > age_max => "held age limit",
                () => break,
            };
            if let Some(chunk) = self.remove(number) {
                evicted.push((chunk.batch, over));
            }
        }
        evicted
    }

    /// What changed since this was asked last; everything, if `all`.
    ///
    /// # Errors
    ///
    /// `Bug` where a batch cannot be encoded; nothing counts as told then.
    pub(crate) fn changes(&mut self, all: bool) -> Result<Vec<ChunkEntry>> {
        let entry = |number: u64| Ok((number, self.chunks.get(&number).map(encode).transpose()?));
        let entries = match all {
            true => self.chunks.keys().copied().map(entry).collect::<Result<Vec<_>>>()?,
            false => self.changed.iter().copied().map(entry).collect::<Result<Vec<_>>>()?,
        };
        self.changed.clear();
        Ok(entries)
    }

    /// Puts a chunk back as it was recorded, in the place of an earlier state of it.
    ///
    /// # Errors
    ///
    /// `Storage` where it is no chunk.
    pub(crate) fn restore(&mut self, (number, content): ChunkEntry) -> Result<()> {
        self.remove(number);
        if let Some(content) = content {
            let chunk = decode(&content)?;
            self.insert(number, chunk);
        }
        self.next = self.next.max(number + 1);
        self.changed.remove(&number);
        Ok(())
    }
}

fn rows_of(chunk: &Chunk, wanted: impl Fn(&Key) -> bool) -> Vec<u32> {
    (0..).zip(&chunk.keys).filter(|(_, key)| wanted(key)).map(|(row, _)| row).collect()
}

fn held_bytes(batch: &Batch, keys: &[Key]) -> usize {
    batch.memory_bytes() + keys.iter().map(|key| key.len() + ROW_BYTES).sum::<usize>()
}

/// A chunk in bytes: when it was held (a flag and the time), the keys with their lengths, the batch.
fn encode(chunk: &Chunk) -> Result<Vec<u8>> {
    let mut bytes = vec![u8::from(chunk.since.is_some())];
    bytes.extend(chunk.since.unwrap_or(0).to_le_bytes());
    bytes.extend((chunk.keys.len() as u32).to_le_bytes());
    for key in &chunk.keys {
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend(&**key);
    }
    bytes.extend(chunk.batch.encode()?);
    Ok(bytes)
}

fn decode(mut bytes: &[u8]) -> Result<Chunk> {
    let broken = || Error::storage("rows that a plugin held are recorded in a form that cannot be read");
    let mut next = |length: usize| {
        let (taken, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(taken)
    };
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize);
    let known = next(1).ok_or_else(broken)?[0] != 0;
    let since = next(8).and_then(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?))).ok_or_else(broken)?;
    let count = next(4).and_then(number).ok_or_else(broken)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let length = next(4).and_then(number).ok_or_else(broken)?;
        keys.push(Key::from(next(length).ok_or_else(broken)?));
    }
    let batch = Batch::decode(bytes)?;
    if batch.rows() != keys.len() {
        return Err(broken());
    }
    Ok(Chunk { bytes: held_bytes(&batch, &keys), batch, keys, since: known.then_some(since) })
}
