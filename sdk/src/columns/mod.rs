//! Columns as they are read: typed, with nulls, in the buffers in which they came.

use std::ops::Index;

use crate::raw::columns as raw;
use crate::{Error, Result};

mod lists;
mod read;

pub use lists::Lists;
pub(crate) use read::FromColumn;

/// A bit a row, the lowest bit of the first byte first; empty means every row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Validity(pub(crate) Vec<u8>);

impl Validity {
    #[inline]
    fn get(&self, row: usize) -> bool {
        self.0.is_empty() || bit(&self.0, row)
    }

    fn none(&self, rows: usize) -> bool {
        rows == 0 || (!self.0.is_empty() && (0..rows).all(|row| !bit(&self.0, row)))
    }

    /// As many null rows.
    fn nothing(rows: usize) -> Self {
        Self(vec![0; rows.div_ceil(8)])
    }
}

#[inline]
pub(crate) fn bit(bits: &[u8], row: usize) -> bool {
    bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

macro_rules! numbers {
    ($(#[$about:meta])* $name:ident, $value:ty) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            values: Vec<$value>,
            valid: Validity,
        }

        impl $name {
            /// The value of a row; none where it is null.
            #[inline]
            pub fn get(&self, row: usize) -> Option<$value> {
                self.valid.get(row).then(|| self.values[row])
            }

            /// How many rows there are.
            pub fn len(&self) -> usize {
                self.values.len()
            }

            /// Whether there is no row.
            pub fn is_empty(&self) -> bool {
                self.values.is_empty()
            }

            /// Whether no row is null.
            pub fn is_full(&self) -> bool {
                self.valid.0.is_empty()
            }

            /// The values as they lie; that of a null row means nothing.
            pub fn values(&self) -> &[$value] {
                &self.values
            }

            /// The values, row by row.
            pub fn iter(&self) -> impl Iterator<Item = Option<$value>> {
                (0..self.len()).map(|row| self.get(row))
            }
        }

        /// The value of a row; that of a null row means nothing.
        impl Index<usize> for $name {
            type Output = $value;

            #[inline]
            fn index(&self, row: usize) -> &$value {
                &self.values[row]
            }
        }
    };
}

numbers!(
    /// A column of signed integers, or of times in nanoseconds since 1970.
    I64s,
    i64
);
numbers!(
    /// A column of unsigned integers.
    U64s,
    u64
);
numbers!(
    /// A column of floating-point numbers.
    F64s,
    f64
);

/// A column of truth values.
#[derive(Clone, Debug)]
pub struct Bools {
    values: Vec<u8>,
    valid: Validity,
    rows: usize,
}

impl Bools {
    /// The value of a row; none where it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<bool> {
        self.valid.get(row).then(|| bit(&self.values, row))
    }

    /// Whether the row's value is true: neither false nor null.
    #[inline]
    pub fn is_true(&self, row: usize) -> bool {
        self.get(row) == Some(true)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// A column of a fixed number of bytes a row: trace ids (16), span ids (8).
#[derive(Clone, Debug)]
pub struct Fixed<const N: usize> {
    bytes: Vec<u8>,
    valid: Validity,
}

impl<const N: usize> Fixed<N> {
    /// The bytes of a row; none where it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&[u8; N]> {
        if self.valid.get(row) { self.bytes.get(row * N..)?.first_chunk() } else { None }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / N.max(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A column of text.
#[derive(Clone, Debug)]
pub struct Text {
    offsets: Vec<u32>,
    bytes: String,
    valid: Validity,
    /// Row `i` is text `keys[i]`; without them it is text `i`.
    keys: Option<Vec<u32>>,
}

impl Text {
    /// The text of a row; none where it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&str> {
        if self.valid.get(row) { Some(self.distinct(self.key(row))) } else { None }
    }

    /// Whether the row has a text.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.valid.get(row)
    }

    /// Whether the row's text is this one. A null is no text.
    #[inline]
    pub fn is(&self, row: usize, text: &str) -> bool {
        let key = self.key(row);
        let (start, end) = (self.offsets[key] as usize, self.offsets[key + 1] as usize);
        // The length first: it settles most rows without a look at the bytes.
        end - start == text.len() && self.bytes.as_bytes()[start..end] == *text.as_bytes() && self.valid.get(row)
    }

    /// The number of the row's text among [`distinct`](Self::distinct) ones: what is worked out for a text once can be
    /// looked up for each row. Rows of equal text may have different numbers where the column is no dictionary.
    #[inline]
    pub fn key(&self, row: usize) -> usize {
        self.keys.as_ref().map_or(row, |keys| keys[row] as usize)
    }

    /// The text of that number.
    #[inline]
    pub fn distinct(&self, key: usize) -> &str {
        &self.bytes[self.offsets[key] as usize..self.offsets[key + 1] as usize]
    }

    /// How many texts are numbered.
    pub fn distinct_len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether equal texts are stored once.
    pub fn is_dictionary(&self) -> bool {
        self.keys.is_some()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.as_ref().map_or(self.distinct_len(), Vec::len)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts, row by row.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// What is no text yet is written as JSON has it, ids in hexadecimal digits.
    pub(crate) fn of_any(name: &str, column: raw::Column) -> Result<Self> {
        fn written<T: ToString>(values: &[T], valid: Vec<u8>) -> (Vec<String>, Vec<u8>) {
            (values.iter().map(ToString::to_string).collect(), valid)
        }
        let (texts, valid) = match column {
            text @ (raw::Column::Text(_) | raw::Column::Dictionary(_)) => return Self::read(name, text),
            raw::Column::S64s(raw::S64s { values, valid }) => written(&values, valid),
            raw::Column::U64s(raw::U64s { values, valid }) => written(&values, valid),
            raw::Column::F64s(raw::F64s { values, valid }) => {
                let values: Vec<_> = values.into_iter().map(serde_json::Value::from).collect();
                written(&values, valid)
            }
            raw::Column::Bools(raw::Bools { values, valid, rows }) => {
                let values: Vec<bool> = (0..rows as usize).map(|row| bit(&values, row)).collect();
                written(&values, valid)
            }
            raw::Column::U64Lists(lists) => Lists::<u64>::from_raw(name, lists)?.written(),
            raw::Column::F64Lists(lists) => Lists::<f64>::from_raw(name, lists)?.written(),
            raw::Column::Fixed(raw::Fixed { width, bytes, valid }) => {
                let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                let values: Vec<_> = bytes.chunks_exact(width.max(1) as usize).map(hex).collect();
                written(&values, valid)
            }
        };
        let mut builder = crate::TextBuilder::new();
        texts.iter().for_each(|text| builder.push(Some(text)));
        let text = raw::Text { valid, ..builder.finish() };
        Self::from_raw(name, text, None)
    }

    pub(crate) fn from_raw(name: &str, text: raw::Text, keys: Option<(Vec<u32>, Vec<u8>)>) -> Result<Self> {
        // Checked once for all rows: afterwards a row is a slice.
        let bytes = String::from_utf8(text.bytes).map_err(|error| Error::new(format!("column \"{name}\": {error}")))?;
        let (keys, valid) = keys.map_or((None, text.valid), |(keys, valid)| (Some(keys), valid));
        Ok(Self { offsets: text.offsets, bytes, valid: Validity(valid), keys })
    }
}
