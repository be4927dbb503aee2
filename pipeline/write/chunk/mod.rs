//! Column chunks of our own, for all columns that are not nested.
//!
//! Parquet's Arrow writer treats a column row by row: it looks each value up in a dictionary of its own, compares it with the
//! least and the greatest so far, and wants rows copied into their order before. Here a chunk is made from the batches as they
//! came and the order of their rows, with each value copied once: to its page. The chunks are what that writer makes, too:
//! pages of version 1 with levels, statistics and a page index.

mod delta;
mod dictionary;
mod hybrid;
mod ids;
mod nothing;
mod numbers;
mod pages;
#[cfg(test)]
mod tests;
mod texts;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

pub(super) use nothing::nested;
pub(super) use pages::Compressor;

/// Rows of a page, as Parquet's writer has them.
pub(super) const PAGE_ROWS: usize = 20_000;

/// Bytes of a page, as Parquet's writer has them, before it is compressed. A dictionary has no more, either.
const PAGE_BYTES: usize = 1 << 20;

/// Where a row stands: the number of its batch, and its number there.
pub(super) type Position = (u32, u32);

/// The bytes of a chunk, and what its metadata say.
pub(super) type Encoded = (Bytes, ColumnCloseResult);

/// A column of a row group: its array in each batch, and where each row stands. No row stands there twice.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) parts: &'a [&'a dyn Array],
    pub(super) order: &'a [Position],
    pub(super) descr: &'a ColumnDescPtr,
    /// Whether the order of its values means anything.
    pub(super) bounded: bool,
}

impl Column<'_> {
    /// Whether every row of the batches is one of these.
    fn are_all(&self) -> bool {
        self.order.len() == self.parts.iter().map(|part| part.len()).sum::<usize>()
    }

    /// Which rows have a value; empty where all have.
    fn valid(&self) -> Vec<bool> {
        if self.parts.iter().all(|part| part.null_count() == 0) {
            return Vec::new();
        }
        let nulls: Vec<_> = self.parts.iter().map(|part| part.nulls()).collect();
        let valid = |&(part, row): &Position| nulls[part as usize].is_none_or(|nulls| nulls.is_valid(row as usize));
        self.order.iter().map(valid).collect()
    }
}

/// Encodes a column. None if it is of a type that Parquet's writer is left to write.
pub(super) fn encode(column: Column<'_>, compressor: &mut Compressor) -> Result<Option<Encoded>> {
    let Column { parts, order, descr, .. } = column;
    let Some(first) = parts.first() else { return Ok(None) };
    if order.is_empty() || descr.max_rep_level() > 0 || descr.max_def_level() > 1 {
        return Ok(None);
    }
    if descr.max_def_level() > 0 && parts.iter().all(|part| part.null_count() == part.len()) {
        return nothing::flat(order.len(), descr, compressor).map(Some);
    }
    match first.data_type() {
        DataType::Dictionary(_, _) | DataType::Utf8 => {
            let texts = parts.iter().map(|part| texts::Part::new(*part)).collect::<Option<Vec<_>>>();
            let Some(texts) = texts else { return Ok(None) };
            match dictionary::encode(column, &texts, compressor)? {
                Some(encoded) => Ok(Some(encoded)),
                None => texts::encode(column, &texts, compressor).map(Some),
            }
        }
        DataType::FixedSizeBinary(_) => {
            let ids = parts.iter().map(|part| part.as_fixed_size_binary_opt()).collect::<Option<Vec<_>>>();
            ids.map(|ids| ids::encode(column, &ids, compressor)).transpose()
        }
        _ => numbers::encode(column, compressor),
    }
}
