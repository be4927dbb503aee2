//! Columns as they are written: values row by row into the buffers that Weir takes.

use std::borrow::Cow;

use crate::columns::bit;
use crate::raw::columns as raw;
use crate::{Error, Result, Type};

/// A bit a row, set for the rows that are meant.
#[derive(Clone, Debug, Default)]
pub struct Bitmap {
    bits: Vec<u8>,
    rows: usize,
    set: usize,
}

impl Bitmap {
    /// The rows, of so many, for which `chosen` says yes.
    pub fn of(rows: usize, mut chosen: impl FnMut(usize) -> bool) -> Self {
        let mut bits = Vec::with_capacity(rows.div_ceil(8));
        let mut set = 0;
        for first in (0..rows).step_by(8) {
            let mut byte = 0;
            for row in first..rows.min(first + 8) {
                byte |= u8::from(chosen(row)) << (row - first);
            }
            set += byte.count_ones() as usize;
            bits.push(byte);
        }
        Self { bits, rows, set }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows are chosen.
    pub fn count(&self) -> usize {
        self.set
    }

    /// Whether the row is chosen.
    pub fn get(&self, row: usize) -> bool {
        bit(&self.bits, row)
    }

    pub(crate) fn push(&mut self, chosen: bool) {
        if self.rows.is_multiple_of(8) {
            self.bits.push(0);
        }
        if let (true, Some(last)) = (chosen, self.bits.last_mut()) {
            *last |= 1 << (self.rows % 8);
            self.set += 1;
        }
        self.rows += 1;
    }

    pub(crate) fn into_bits(self) -> Vec<u8> {
        self.bits
    }

    /// The same, empty where every row is chosen: the form in which validity goes.
    pub(crate) fn into_validity(self) -> Vec<u8> {
        if self.set == self.rows { Vec::new() } else { self.bits }
    }
}

/// A time: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// JSON text, for a column of [`Type::Json`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(pub String);

/// Text being written: one buffer for all rows.
#[derive(Clone, Debug)]
pub struct TextBuilder {
    offsets: Vec<u32>,
    bytes: String,
    valid: Bitmap,
}

impl Default for TextBuilder {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: String::new(), valid: Bitmap::default() }
    }
}

impl TextBuilder {
    /// One without rows yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row: a text, or null.
    #[inline]
    pub fn push(&mut self, text: Option<&str>) {
        self.bytes.push_str(text.unwrap_or_default());
        self.end(text.is_some());
    }

    /// Adds a row: what `write` appends to the buffer.
    pub fn push_with(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        debug_assert!(self.bytes.len() >= start, "a row was taken from the buffer, not added");
        self.end(true);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.valid.rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn end(&mut self, valid: bool) {
        // More than 4 GiB do not fit into the memory of a plugin.
        self.offsets.push(self.bytes.len() as u32);
        self.valid.push(valid);
    }

    pub(crate) fn finish(self) -> raw::Text {
        raw::Text { offsets: self.offsets, bytes: self.bytes.into_bytes(), valid: self.valid.into_validity() }
    }
}

impl<'a> Extend<Option<&'a str>> for TextBuilder {
    fn extend<I: IntoIterator<Item = Option<&'a str>>>(&mut self, texts: I) {
        texts.into_iter().for_each(|text| self.push(text));
    }
}

/// A column being written, of one type.
#[derive(Clone, Debug)]
pub struct ColumnBuilder {
    values: Values,
    valid: Bitmap,
}

#[derive(Clone, Debug)]
enum Values {
    Bools(Bitmap),
    I64s(Vec<i64>),
    U64s(Vec<u64>),
    F64s(Vec<f64>),
    Text(TextBuilder),
    Fixed(usize, Vec<u8>),
}

impl ColumnBuilder {
    /// A column of that type, without rows yet.
    pub fn new(kind: Type) -> Self {
        let values = match kind {
            Type::Bool => Values::Bools(Bitmap::default()),
            Type::S64 | Type::Time => Values::I64s(Vec::new()),
            Type::U64 => Values::U64s(Vec::new()),
            Type::F64 => Values::F64s(Vec::new()),
            Type::Text | Type::Json => Values::Text(TextBuilder::new()),
            Type::Fixed16 => Values::Fixed(16, Vec::new()),
            Type::Fixed8 => Values::Fixed(8, Vec::new()),
        };
        Self { values, valid: Bitmap::default() }
    }

    /// A column of these values.
    pub fn from_values<C: Cell>(values: impl IntoIterator<Item = C>) -> Self {
        let mut column = Self::new(C::TYPE);
        values.into_iter().for_each(|value| value.append(&mut column));
        column
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Text(text) => text.len(),
            _ => self.valid.rows(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a null row.
    pub fn push_null(&mut self) {
        match &mut self.values {
            Values::Bools(values) => values.push(false),
            Values::I64s(values) => values.push(0),
            Values::U64s(values) => values.push(0),
            Values::F64s(values) => values.push(0.0),
            Values::Text(text) => return text.push(None),
            Values::Fixed(width, bytes) => bytes.resize(bytes.len() + *width, 0),
        }
        self.valid.push(false);
    }

    fn push_text(&mut self, value: &str) {
        match &mut self.values {
            Values::Text(text) => text.push(Some(value)),
            _ => self.push_null(),
        }
    }

    fn push_fixed(&mut self, value: &[u8]) {
        match &mut self.values {
            Values::Fixed(width, bytes) if *width == value.len() => bytes.extend_from_slice(value),
            _ => return self.push_null(),
        }
        self.valid.push(true);
    }

    pub(crate) fn finish(self) -> raw::Column {
        let rows = self.valid.rows() as u32;
        let valid = self.valid.into_validity();
        match self.values {
            Values::Bools(values) => raw::Column::Bools(raw::Bools { values: values.into_bits(), valid, rows }),
            Values::I64s(values) => raw::Column::S64s(raw::S64s { values, valid }),
            Values::U64s(values) => raw::Column::U64s(raw::U64s { values, valid }),
            Values::F64s(values) => raw::Column::F64s(raw::F64s { values, valid }),
            Values::Text(text) => raw::Column::Text(text.finish()),
            Values::Fixed(width, bytes) => raw::Column::Fixed(raw::Fixed { width: width as u32, bytes, valid }),
        }
    }
}

/// A value of a row, or `Option` of one: what can be written into a column.
pub trait Cell {
    /// The type of the column.
    const TYPE: Type;

    /// Adds the value to a column of that type.
    fn append(&self, column: &mut ColumnBuilder);

    /// Adds the value to a digest: equal values alike, bit by bit.
    fn digest(&self, digest: &mut Digest);
}

/// A number that is made of values: equal values make equal ones, on every machine and in every version; others make
/// equal ones by chance, one in 2^64. See [`Row::digest`](crate::Row::digest).
#[derive(Clone, Copy, Debug, Default)]
pub struct Digest(u64);

impl Digest {
    /// Adds a number.
    #[inline]
    pub fn number(&mut self, number: u64) {
        let mut mixed = (self.0 ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ mixed >> 31;
    }

    /// Adds bytes, and how many they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.number(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            self.number(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    /// The number.
    pub fn finish(self) -> u64 {
        self.0
    }
}

macro_rules! number_cell {
    ($($value:ty => $kind:ident, $values:ident, $get:expr, $bits:expr;)*) => {$(
        impl Cell for $value {
            const TYPE: Type = Type::$kind;

            #[inline]
            fn append(&self, column: &mut ColumnBuilder) {
                match &mut column.values {
                    Values::$values(values) => values.push($get(*self)),
                    _ => return column.push_null(),
                }
                column.valid.push(true);
            }

            #[inline]
            fn digest(&self, digest: &mut Digest) {
                digest.number($bits($get(*self)));
            }
        }
    )*};
}

number_cell! {
    bool => Bool, Bools, bool::from, u64::from;
    i64 => S64, I64s, i64::from, i64::cast_unsigned;
    i32 => S64, I64s, i64::from, i64::cast_unsigned;
    u64 => U64, U64s, u64::from, u64::from;
    u32 => U64, U64s, u64::from, u64::from;
    f64 => F64, F64s, f64::from, f64::to_bits;
    f32 => F64, F64s, f64::from, f64::to_bits;
    Timestamp => Time, I64s, |time: Timestamp| time.0, i64::cast_unsigned;
}

macro_rules! text_cell {
    ($($value:ty => $kind:ident;)*) => {$(
        impl Cell for $value {
            const TYPE: Type = Type::$kind;

            #[inline]
            fn append(&self, column: &mut ColumnBuilder) {
                column.push_text(self);
            }

            fn digest(&self, digest: &mut Digest) {
                digest.bytes(self.as_bytes());
            }
        }
    )*};
}

text_cell! {
    &str => Text;
    String => Text;
    Cow<'_, str> => Text;
}

impl Cell for Json {
    const TYPE: Type = Type::Json;

    fn append(&self, column: &mut ColumnBuilder) {
        column.push_text(&self.0);
    }

    fn digest(&self, digest: &mut Digest) {
        digest.bytes(self.0.as_bytes());
    }
}

impl Cell for [u8; 16] {
    const TYPE: Type = Type::Fixed16;

    fn append(&self, column: &mut ColumnBuilder) {
        column.push_fixed(self);
    }

    fn digest(&self, digest: &mut Digest) {
        digest.bytes(self);
    }
}

impl Cell for [u8; 8] {
    const TYPE: Type = Type::Fixed8;

    fn append(&self, column: &mut ColumnBuilder) {
        column.push_fixed(self);
    }

    fn digest(&self, digest: &mut Digest) {
        digest.bytes(self);
    }
}

impl<C: Cell> Cell for Option<C> {
    const TYPE: Type = C::TYPE;

    #[inline]
    fn append(&self, column: &mut ColumnBuilder) {
        match self {
            Some(value) => value.append(column),
            None => column.push_null(),
        }
    }

    #[inline]
    fn digest(&self, digest: &mut Digest) {
        digest.number(self.is_some().into());
        if let Some(value) = self {
            value.digest(digest);
        }
    }
}

/// Adds a value to one of the columns. It is there once for a type of values, not for each field of each row.
#[doc(hidden)]
#[inline(never)]
pub fn append<C: Cell>(value: &C, columns: &mut [ColumnBuilder], index: usize) {
    value.append(&mut columns[index]);
}

/// Refuses a column of another length than the batch, before it is handed over.
pub(crate) fn check_rows(name: &str, found: usize, rows: usize) -> Result {
    if found == rows {
        return Ok(());
    }
    Err(Error::new(format!("column \"{name}\" is written with {found} rows, but the batch has {rows}")))
}
