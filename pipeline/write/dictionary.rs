//! A column chunk of text that repeats, from the dictionary that the column has in memory.
//!
//! Parquet's Arrow writer looks each row's text up in a dictionary of its own and compares it with the least and the
//! greatest so far. Here that is done once for each distinct text; a row costs the packing of its number. The chunk is what
//! that writer makes too: a dictionary page, data pages of RLE_DICTIONARY, statistics and a page index.

mod hybrid;
#[cfg(test)]
mod tests;

use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, StringArray};
use bytes::Bytes;
use hashbrown::HashMap;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// The largest dictionary page, in bytes: the limit of Parquet's writer, beyond which it writes the texts as they are.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// Rows of a page, as Parquet's writer has them.
const PAGE_ROWS: usize = 20_000;

/// The longest text that statistics have.
const BOUND_BYTES_MAX: usize = 64;

/// How a chunk is compressed.
pub(super) struct Compressor {
    compression: Compression,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    pub(super) fn new(compression: Compression) -> Result<Self> {
        let zstd = match compression {
            Compression::ZSTD(level) => Some(zstd::bulk::Compressor::new(level.compression_level())?),
            _ => None,
        };
        Ok(Self { compression, zstd })
    }

    fn compress(&mut self, bytes: Vec<u8>) -> Result<Bytes> {
        match &mut self.zstd {
            Some(zstd) => Ok(zstd.compress(&bytes)?.into()),
            None => Ok(bytes.into()),
        }
    }
}

/// The distinct texts that rows have, in their order, and the place of each key of the column among them.
struct Distinct<'a> {
    texts: Vec<&'a str>,
    place_of_key: Vec<u32>,
    /// The length of the dictionary page.
    bytes: usize,
}

impl<'a> Distinct<'a> {
    /// None if the texts come to more than [`DICTIONARY_BYTES_MAX`].
    fn new(column: &DictionaryArray<Int32Type>, values: &'a StringArray) -> Option<Self> {
        let mut used = vec![false; values.len()];
        let keys = column.keys();
        match keys.nulls() {
            None => keys.values().iter().for_each(|&key| used[key as usize] = true),
            Some(nulls) => nulls.valid_indices().for_each(|row| used[keys.value(row) as usize] = true),
        }
        // Batches that were put together may bring a text several times.
        let mut places: HashMap<&str, u32> = HashMap::new();
        let mut bytes = 0;
        for text in used.iter().enumerate().filter(|(_, used)| **used).map(|(key, _)| values.value(key)) {
            places.entry(text).or_insert_with(|| {
                bytes += 4 + text.len();
                0
            });
            if bytes > DICTIONARY_BYTES_MAX {
                return None;
            }
        }
        let mut texts: Vec<&str> = places.keys().copied().collect();
        texts.sort_unstable();
        for (text, place) in texts.iter().zip(0..) {
            places.insert(text, place);
        }
        let place = |key: usize| if used[key] { places[values.value(key)] } else { 0 };
        Some(Self { place_of_key: (0..values.len()).map(place).collect(), texts, bytes })
    }

    /// PLAIN: the length of each text in four bytes, and the text.
    fn page(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.bytes);
        for text in &self.texts {
            page.extend_from_slice(&(text.len() as u32).to_le_bytes());
            page.extend_from_slice(text.as_bytes());
        }
        page
    }
}

/// What a page holds besides its bytes: the places of its least and greatest text, none where all are null.
struct Summary {
    bounds: Option<(u32, u32)>,
    nulls: usize,
}

/// Encodes a column that is not nested. None if its texts are too many or too long for a dictionary, or if it has none:
/// such a column is better written by Parquet's writer. `bounded` says whether the order of its texts means anything.
pub(super) fn chunk(
    column: &DictionaryArray<Int32Type>,
    descr: &ColumnDescPtr,
    bounded: bool,
    compressor: &mut Compressor,
) -> Result<Option<(Bytes, ColumnCloseResult)>> {
    let Some(values) = column.values().as_any().downcast_ref::<StringArray>() else { return Ok(None) };
    if values.null_count() > 0 || column.is_empty() {
        return Ok(None);
    }
    let Some(distinct) = Distinct::new(column, values).filter(|distinct| !distinct.texts.is_empty()) else {
        return Ok(None);
    };
    let mut out = TrackedWrite::new(Vec::new());
    let mut pages = Pages { writer: SerializedPageWriter::new(&mut out), compressor, uncompressed: 0, compressed: 0 };
    let count = distinct.texts.len() as u32;
    let encoding = Encoding::PLAIN;
    pages.write(distinct.page(), |buf| Page::DictionaryPage { buf, num_values: count, encoding, is_sorted: true })?;
    let dictionary_bytes = pages.compressed;
    let (mut summaries, mut offsets) = (Vec::new(), OffsetIndexBuilder::new());
    let nullable = descr.max_def_level() > 0;
    for from in (0..column.len()).step_by(PAGE_ROWS) {
        let rows = PAGE_ROWS.min(column.len() - from);
        let (page, summary) = data_page(&column.slice(from, rows), &distinct, nullable);
        let (offset, size) = pages.write(page, |buf| Page::DataPage {
            buf,
            num_values: rows as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        offsets.append_row_count(rows as i64);
        offsets.append_offset_and_size(offset, size);
        summaries.push(summary);
    }
    let (uncompressed, compressed) = (pages.uncompressed, pages.compressed);
    let bounds = |at: u32| distinct.texts[at as usize].as_bytes();
    let short = |summary: &Summary| {
        summary
            .bounds
            .is_none_or(|(least, greatest)| bounds(least).len().max(bounds(greatest).len()) <= BOUND_BYTES_MAX)
    };
    let index = (bounded && summaries.iter().all(short)).then(|| column_index(&summaries, &distinct)).transpose()?;
    let page_stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
    let metadata = ColumnChunkMetaData::builder(descr.clone())
        .set_compression(pages.compressor.compression)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_page_encoding_stats(vec![
            page_stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            page_stats(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, summaries.len() as i32),
        ])
        .set_num_values(column.len() as i64)
        .set_total_compressed_size(compressed)
        .set_total_uncompressed_size(uncompressed)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(dictionary_bytes)
        .set_statistics(statistics(&summaries, &distinct, bounded))
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: compressed as u64,
        rows_written: column.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: index,
        offset_index: Some(offsets.build()),
    };
    Ok(Some((out.into_inner()?.into(), close)))
}

/// Levels, if rows may be null, and the place of each text, as runs and packed bits.
fn data_page(rows: &DictionaryArray<Int32Type>, distinct: &Distinct<'_>, nullable: bool) -> (Vec<u8>, Summary) {
    let keys = rows.keys();
    let place = |&key: &i32| distinct.place_of_key[key as usize];
    let places: Vec<u32> = match keys.nulls() {
        None => keys.values().iter().map(place).collect(),
        Some(nulls) => nulls.valid_indices().map(|row| place(&keys.value(row))).collect(),
    };
    let mut page = Vec::with_capacity(places.len() / 2 + 64);
    if nullable {
        page.extend_from_slice(&[0; 4]);
        match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => hybrid::run(&mut page, 1, 1, keys.len()),
            Some(nulls) => hybrid::encode(&mut page, &nulls.iter().map(u32::from).collect::<Vec<_>>(), 1),
        }
        let length = page.len() as u32 - 4;
        page[..4].copy_from_slice(&length.to_le_bytes());
    }
    // A width of 0 is allowed where there is one text only, and 1 is what every reader has seen.
    let width = (u32::BITS - (distinct.texts.len() as u32 - 1).leading_zeros()).max(1);
    page.push(width as u8);
    hybrid::encode(&mut page, &places, width);
    let bounds = places.iter().min().copied().zip(places.iter().max().copied());
    (page, Summary { bounds, nulls: keys.null_count() })
}

/// The pages that were written, and what they came to with their headers.
struct Pages<'a, 'c> {
    writer: SerializedPageWriter<'a, Vec<u8>>,
    compressor: &'c mut Compressor,
    uncompressed: i64,
    compressed: i64,
}

impl Pages<'_, '_> {
    /// Writes a page; where it begins, and how long it is.
    fn write(&mut self, body: Vec<u8>, page: impl FnOnce(Bytes) -> Page) -> Result<(i64, i32)> {
        let length = body.len();
        let written = self.writer.write_page(CompressedPage::new(page(self.compressor.compress(body)?), length))?;
        self.uncompressed += written.uncompressed_size as i64;
        self.compressed += written.compressed_size as i64;
        let size = i32::try_from(written.compressed_size);
        Ok((written.offset as i64, size.map_err(|_| ParquetError::General("a page of 2 GiB".to_owned()))?))
    }
}

fn column_index(
    summaries: &[Summary],
    distinct: &Distinct<'_>,
) -> Result<parquet::file::page_index::column_index::ColumnIndexMetaData> {
    let mut index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
    let text = |at: u32| distinct.texts[at as usize].as_bytes().to_vec();
    for Summary { bounds, nulls } in summaries {
        let (least, greatest) = bounds.map_or_else(Default::default, |(least, greatest)| (text(least), text(greatest)));
        index.append(bounds.is_none(), least, greatest, *nulls as i64);
    }
    let ordered: Vec<(u32, u32)> = summaries.iter().filter_map(|summary| summary.bounds).collect();
    if ordered.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1) {
        index.set_boundary_order(BoundaryOrder::ASCENDING);
    }
    index.build()
}

fn statistics(summaries: &[Summary], distinct: &Distinct<'_>, bounded: bool) -> Statistics {
    let nulls = summaries.iter().map(|summary| summary.nulls as u64).sum();
    let bound = |text: Option<&&str>| {
        text.filter(|text| bounded && text.len() <= BOUND_BYTES_MAX).map(|text| ByteArray::from(*text))
    };
    let (least, greatest) = (bound(distinct.texts.first()), bound(distinct.texts.last()));
    let count = Some(distinct.texts.len() as u64);
    let (min_exact, max_exact) = (least.is_some(), greatest.is_some());
    Statistics::ByteArray(
        ValueStatistics::new(least, greatest, count, Some(nulls), false)
            .with_min_is_exact(min_exact)
            .with_max_is_exact(max_exact),
    )
}
