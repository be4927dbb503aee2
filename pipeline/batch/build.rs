//! Columns under construction. Each can go back to where it was when it was last committed.

mod nested;

pub(crate) use nested::{AttributesPart, ChildrenPart, Fields, Lists, QuantileLists, SharedPart, ValuesPart};

use super::Column;
use super::attributes::Texts;
use arrow_array::types::{ArrowPrimitiveType, TimestampNanosecondType};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, PrimitiveArray, StringArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use std::mem::take;
use std::sync::Arc;

/// A column under construction.
pub(crate) trait Part: std::fmt::Debug {
    /// Keeps what was added, and says how many bytes the column holds.
    fn commit(&mut self) -> usize;
    /// Forgets what was added since the last commit.
    fn rollback(&mut self);
    /// Takes the column; the part is empty then.
    fn finish(&mut self) -> Column;
}

/// Takes a vector, leaving an empty one of the size that this one came to.
fn harvest<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.len();
    std::mem::replace(values, Vec::with_capacity(capacity))
}

fn none_yet() -> NullBufferBuilder {
    NullBufferBuilder::new(0)
}

/// Numbers and times.
#[derive(Debug)]
pub(crate) struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: NullBufferBuilder,
    /// Rows without a value at the end that are only counted yet: many columns have nothing else.
    missing: usize,
    kept: usize,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self { values: Vec::new(), valid: none_yet(), missing: 0, kept: 0 }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    #[inline]
    pub(crate) fn push(&mut self, value: T::Native) {
        self.settle();
        self.values.push(value);
        self.valid.append_non_null();
    }

    #[inline]
    pub(crate) fn push_option(&mut self, value: Option<T::Native>) {
        match value {
            Some(value) => self.push(value),
            None => self.missing += 1,
        }
    }

    #[inline]
    fn settle(&mut self) {
        if self.missing > 0 {
            self.add_missing();
        }
    }

    fn add_missing(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        self.values.resize(self.values.len() + missing, T::Native::default());
        self.valid.append_n_nulls(missing);
    }

    /// Gives every row up to `rows` that has no value yet this one.
    pub(crate) fn fill(&mut self, rows: usize, value: T::Native) {
        self.settle();
        self.valid.append_n_non_nulls(rows.saturating_sub(self.values.len()));
        self.values.resize(rows, value);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() + self.missing
    }
}

impl<T: ArrowPrimitiveType + std::fmt::Debug> Part for Numbers<T> {
    fn commit(&mut self) -> usize {
        self.settle();
        self.kept = self.values.len();
        self.kept * size_of::<T::Native>()
    }

    fn rollback(&mut self) {
        self.missing = 0;
        self.values.truncate(self.kept);
        self.valid.truncate(self.kept);
    }

    fn finish(&mut self) -> Column {
        self.settle();
        self.kept = 0;
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(harvest(&mut self.values)), self.valid.finish());
        Column::Array(if T::DATA_TYPE == TimestampNanosecondType::DATA_TYPE {
            Arc::new(array.with_data_type(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))))
        } else {
            Arc::new(array)
        })
    }
}

/// Booleans.
#[derive(Debug)]
pub(crate) struct Bools {
    values: BooleanBufferBuilder,
    valid: NullBufferBuilder,
    kept: usize,
}

impl Default for Bools {
    fn default() -> Self {
        Self { values: BooleanBufferBuilder::new(0), valid: none_yet(), kept: 0 }
    }
}

impl Bools {
    pub(crate) fn push(&mut self, value: bool) {
        self.values.append(value);
        self.valid.append_non_null();
    }

    /// Gives every row up to `rows` that has no value yet this one.
    pub(crate) fn fill(&mut self, rows: usize, value: Option<bool>) {
        let more = rows.saturating_sub(self.values.len());
        self.values.append_n(more, value.unwrap_or_default());
        match value {
            Some(_) => self.valid.append_n_non_nulls(more),
            None => self.valid.append_n_nulls(more),
        }
    }
}

impl Part for Bools {
    fn commit(&mut self) -> usize {
        self.kept = self.values.len();
        self.kept / 8
    }

    fn rollback(&mut self) {
        self.values.truncate(self.kept);
        self.valid.truncate(self.kept);
    }

    fn finish(&mut self) -> Column {
        self.kept = 0;
        Column::Array(Arc::new(BooleanArray::new(self.values.finish(), self.valid.finish())))
    }
}

/// Ids of `WIDTH` bytes.
#[derive(Debug)]
pub(crate) struct Ids<const WIDTH: usize> {
    bytes: Vec<u8>,
    valid: NullBufferBuilder,
    kept: usize,
}

impl<const WIDTH: usize> Default for Ids<WIDTH> {
    fn default() -> Self {
        Self { bytes: Vec::new(), valid: none_yet(), kept: 0 }
    }
}

impl<const WIDTH: usize> Ids<WIDTH> {
    /// Adds an id, null where it is not one: of another length, or all zero. Says whether it was one.
    pub(crate) fn push(&mut self, id: &[u8]) -> bool {
        let valid = match <&[u8; WIDTH]>::try_from(id) {
            Ok(id) if *id != [0; WIDTH] => {
                self.bytes.extend_from_slice(id);
                true
            }
            _ => {
                self.bytes.extend_from_slice(&[0; WIDTH]);
                false
            }
        };
        if valid {
            self.valid.append_non_null();
        } else {
            self.valid.append_null();
        }
        valid
    }
}

impl<const WIDTH: usize> Part for Ids<WIDTH> {
    fn commit(&mut self) -> usize {
        self.kept = self.bytes.len() / WIDTH;
        self.bytes.len()
    }

    fn rollback(&mut self) {
        self.bytes.truncate(self.kept * WIDTH);
        self.valid.truncate(self.kept);
    }

    fn finish(&mut self) -> Column {
        self.kept = 0;
        let bytes = Buffer::from_vec(harvest(&mut self.bytes));
        Column::Array(Arc::new(FixedSizeBinaryArray::new(WIDTH as i32, bytes, self.valid.finish())))
    }
}

/// The key of a row that has no text.
pub(crate) const NO_KEY: i32 = -1;

/// Texts that repeat.
#[derive(Debug)]
pub(crate) struct Dictionary {
    keys: Vec<i32>,
    values: Texts,
    /// Texts that were seen of late, by a few of their letters: their numbers.
    recent: [u32; RECENT],
    kept: (usize, usize),
}

/// How many texts are found by a few of their letters.
pub(crate) const RECENT: usize = 64;

impl Default for Dictionary {
    fn default() -> Self {
        Self { keys: Vec::new(), values: Texts::default(), recent: [u32::MAX; RECENT], kept: (0, 0) }
    }
}

/// Whether two texts are the same. Those of up to 32 bytes, as keys and names are, are compared in pieces that overlap, here and
/// not by a call; and nothing is not compared with nothing: the address of no bytes may be of no page, from which processors
/// load no bytes very slowly (80 ns on an EPYC, by glibc's masked `memcmp`).
#[inline]
pub(crate) fn same_text(one: &[u8], other: &[u8]) -> bool {
    #[inline]
    fn ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk::<N>() && one.last_chunk::<N>() == other.last_chunk::<N>()
    }
    one.len() == other.len()
        && match one.len() {
            0 => true,
            1..4 => one.iter().zip(other).all(|(one, other)| one == other),
            4..8 => ends::<4>(one, other),
            8..16 => ends::<8>(one, other),
            16..=32 => ends::<16>(one, other),
            _ => one == other,
        }
}

/// The place of a text among the recent ones, by its length, its first and its last letters.
#[inline]
pub(crate) fn recent_place(text: &[u8]) -> usize {
    let of_four = |letters: &[u8; 4]| u64::from(u32::from_le_bytes(*letters));
    let (first, last) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => (of_four(first), of_four(last)),
            _ => text.iter().fold((0, 0), |(sum, _), &letter| (sum << 8 | u64::from(letter), 0)),
        },
    };
    let mixed = (first ^ last.rotate_left(27) ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - RECENT.ilog2())) as usize
}

impl Dictionary {
    /// The key of a text that was checked to be UTF-8.
    pub(crate) fn key(&mut self, text: &[u8]) -> i32 {
        // A few texts are nearly all that a column has: one comparison finds them, for less than a hash of the whole.
        let place = recent_place(text);
        let known = self.recent[place];
        if (known as usize) < self.values.len() && same_text(self.values.bytes_of(known), text) {
            return known as i32;
        }
        let number = self.values.intern(text);
        self.recent[place] = number;
        number as i32
    }

    pub(crate) fn push(&mut self, text: &[u8]) {
        let key = self.key(text);
        self.keys.push(key);
    }

    /// Gives every row up to `rows` that has no key yet this one.
    pub(crate) fn fill(&mut self, rows: usize, key: i32) {
        self.keys.resize(rows, key);
    }
}

impl Part for Dictionary {
    fn commit(&mut self) -> usize {
        self.kept = (self.keys.len(), self.values.len());
        self.keys.len() * 4 + self.values.bytes()
    }

    fn rollback(&mut self) {
        self.keys.truncate(self.kept.0);
        self.values.truncate(self.kept.1);
    }

    fn finish(&mut self) -> Column {
        self.kept = (0, 0);
        self.recent = [u32::MAX; RECENT];
        let mut keys = harvest(&mut self.keys);
        let valid = keys.contains(&NO_KEY).then(|| keys.iter().map(|&key| key != NO_KEY).collect::<NullBuffer>());
        if valid.is_some() {
            keys.iter_mut().for_each(|key| *key = (*key).max(0));
        }
        let values = StringArray::from_iter_values(take(&mut self.values).iter());
        let values: ArrayRef = Arc::new(values);
        Column::Array(Arc::new(DictionaryArray::new(Int32Array::new(ScalarBuffer::from(keys), valid), values)))
    }
}

/// Texts that seldom repeat.
#[derive(Debug, Default)]
pub(crate) struct TextColumn {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    kept: usize,
}

impl TextColumn {
    /// Adds a text that was checked to be UTF-8.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as i32);
    }
}

impl Part for TextColumn {
    fn commit(&mut self) -> usize {
        self.kept = self.ends.len();
        self.ends.len() * 4 + self.bytes.len()
    }

    fn rollback(&mut self) {
        self.ends.truncate(self.kept);
        self.bytes.truncate(self.ends.last().map_or(0, |&end| end as usize));
    }

    fn finish(&mut self) -> Column {
        self.kept = 0;
        let offsets = offsets(&harvest(&mut self.ends));
        let bytes = Buffer::from_vec(harvest(&mut self.bytes));
        Column::Array(Arc::new(StringArray::new(offsets, bytes, None)))
    }
}

fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}
