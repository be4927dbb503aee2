//! Texts that are no dictionary in the file: each with its length before it.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, StringArray};
use arrow_buffer::NullBuffer;
use parquet::basic::Encoding;
use parquet::errors::Result;

use super::pages::{Content, chunk};
use super::{Column, Compressor, Encoded, PAGE_BYTES, PAGE_ROWS, Position};

/// What the length of a text takes.
pub(super) const LENGTH_BYTES: usize = 4;

/// The texts of a batch.
pub(super) struct Part<'a> {
    offsets: &'a [i32],
    bytes: &'a [u8],
    /// Of each row the number of its text; none: row and text have the same.
    keys: Option<&'a [i32]>,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Part<'a> {
    /// None if these are no texts, or a dictionary which itself has nulls.
    pub(super) fn new(array: &'a dyn Array) -> Option<Self> {
        let (texts, keys): (&StringArray, _) = match array.as_dictionary_opt::<Int32Type>() {
            Some(column) => (column.values().as_string_opt()?, Some(column.keys().values().as_ref())),
            None => (array.as_string_opt()?, None),
        };
        if keys.is_some() && texts.null_count() > 0 {
            return None;
        }
        // Of no bytes the address may be of no page, from which processors load no bytes very slowly (80 ns on an EPYC, in
        // glibc's comparison of nothing with nothing).
        let bytes = if texts.value_data().is_empty() { b" " } else { texts.value_data() };
        Some(Self { offsets: texts.value_offsets(), bytes, keys, nulls: array.nulls() })
    }

    pub(super) fn is_dictionary(&self) -> bool {
        self.keys.is_some()
    }

    /// Whether all texts are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.offsets.first() == self.offsets.last()
    }

    /// How many texts the dictionary has.
    pub(super) fn texts(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn text(&self, key: usize) -> &'a [u8] {
        &self.bytes[self.offsets[key] as usize..self.offsets[key + 1] as usize]
    }

    /// The number of the text of a row that has one.
    pub(super) fn key(&self, row: u32) -> usize {
        self.keys.map_or(row as usize, |keys| keys[row as usize] as usize)
    }

    /// The texts that are marked.
    pub(super) fn marked<'u>(&self, used: &'u [bool]) -> impl Iterator<Item = &'a [u8]> + use<'_, 'a, 'u> {
        used.iter().enumerate().filter(|(_, used)| **used).map(|(key, _)| self.text(key))
    }

    pub(super) fn get(&self, row: u32) -> Option<&'a [u8]> {
        let valid = self.nulls.is_none_or(|nulls| nulls.is_valid(row as usize));
        valid.then(|| self.text(self.key(row)))
    }

    /// Marks the texts that rows have.
    pub(super) fn mark(&self, used: &mut [bool]) {
        let keys = self.keys.unwrap_or_default();
        match self.nulls {
            None if used.len() == 1 => used[0] = !keys.is_empty(),
            None => keys.iter().for_each(|&key| used[key as usize] = true),
            Some(nulls) => nulls.valid_indices().for_each(|row| used[keys[row] as usize] = true),
        }
    }
}

/// The first eight bytes as a number, by which the order of texts is decided nearly always.
#[inline]
pub(super) fn first_bytes(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => bytes.iter().zip(0..).fold(0, |first, (&byte, at)| first | u64::from(byte) << (56 - 8 * at)),
    }
}

/// The least and the greatest of some bytes.
#[derive(Default)]
pub(super) struct Extremes<'a> {
    bounds: Option<[(u64, &'a [u8]); 2]>,
}

impl<'a> Extremes<'a> {
    #[inline]
    pub(super) fn see(&mut self, bytes: &'a [u8]) {
        let first = first_bytes(bytes);
        match &mut self.bounds {
            None => self.bounds = Some([(first, bytes); 2]),
            Some([least, greatest]) => {
                if first <= least.0 && (first, bytes) < *least {
                    *least = (first, bytes);
                }
                if first >= greatest.0 && (first, bytes) > *greatest {
                    *greatest = (first, bytes);
                }
            }
        }
    }

    pub(super) fn bounds(&self) -> Option<(&'a [u8], &'a [u8])> {
        self.bounds.map(|[(_, least), (_, greatest)]| (least, greatest))
    }
}

pub(super) fn encode(column: Column<'_>, parts: &[Part<'_>], compressor: &mut Compressor) -> Result<Encoded> {
    let nullable = column.parts.iter().any(|part| part.null_count() > 0);
    chunk(column.descr, compressor, |pages| {
        let (mut page, mut valid) = (Vec::new(), Vec::new());
        let (mut bounds, mut rest) = (Vec::new(), column.order);
        while !rest.is_empty() {
            let rows = page_rows(rest, parts);
            let here;
            (here, rest) = rest.split_at(rows);
            let texts = || here.iter().map(|&(part, row)| parts[part as usize].get(row));
            valid.clear();
            if nullable {
                valid.extend(texts().map(|text| text.is_some()));
            }
            pages.levels(&mut page, rows, &valid);
            let mut extremes = Extremes::default();
            for text in texts().flatten() {
                page.extend_from_slice(&(text.len() as u32).to_le_bytes());
                page.extend_from_slice(text);
                if column.bounded {
                    extremes.see(text);
                }
            }
            let nulls = valid.iter().filter(|valid| !**valid).count();
            pages.data(&page, rows, nulls, Encoding::PLAIN)?;
            bounds.push(extremes.bounds());
        }
        Ok(Content { encoding: Encoding::PLAIN, bounds, bounded: column.bounded, distinct: None })
    })
}

/// How many rows the next page has: one at least, and no more than it has bytes for.
fn page_rows(order: &[Position], parts: &[Part<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |&&(part, row): &&Position| {
        bytes += LENGTH_BYTES + parts[part as usize].get(row).map_or(0, <[u8]>::len);
        bytes <= PAGE_BYTES
    };
    order.iter().take(PAGE_ROWS).take_while(fits).count().max(1)
}
