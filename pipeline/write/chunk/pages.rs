//! The pages of a column chunk, and what its metadata say of them.

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::{Encoded, hybrid};

/// The longest text that statistics have.
pub(super) const BOUND_BYTES_MAX: usize = 64;

/// How pages are compressed.
pub(in crate::write) struct Compressor {
    compression: Compression,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    /// Room for a compressed page, used again for each.
    room: Vec<u8>,
}

impl Compressor {
    pub(in crate::write) fn new(compression: Compression) -> Result<Self> {
        let zstd = match compression {
            Compression::ZSTD(level) => Some(zstd::bulk::Compressor::new(level.compression_level())?),
            _ => None,
        };
        Ok(Self { compression, zstd, room: Vec::new() })
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<Bytes> {
        let Some(zstd) = &mut self.zstd else { return Ok(Bytes::copy_from_slice(bytes)) };
        self.room.clear();
        self.room.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        zstd.compress_to_buffer(bytes, &mut self.room)?;
        Ok(Bytes::copy_from_slice(&self.room))
    }
}

/// The least or greatest value of a page.
pub(super) trait Bound: Ord + Copy {
    /// As statistics have it.
    fn bytes(&self) -> Vec<u8>;
}

impl Bound for &[u8] {
    fn bytes(&self) -> Vec<u8> {
        self.to_vec()
    }
}

/// What the pages of a chunk hold besides their bytes.
pub(super) struct Content<B> {
    /// How values, or their places in the dictionary, are encoded.
    pub(super) encoding: Encoding,
    /// The least and the greatest value of each page; none where it has no values, or none that can be compared.
    pub(super) bounds: Vec<Option<(B, B)>>,
    /// Whether the order of values means anything.
    pub(super) bounded: bool,
    /// How many different values there are, if that is known.
    pub(super) distinct: Option<u64>,
}

/// The pages that were written, and what they came to with their headers.
pub(super) struct Pages<'a, 'c> {
    writer: SerializedPageWriter<'a, Vec<u8>>,
    compressor: &'c mut Compressor,
    nullable: bool,
    uncompressed: i64,
    compressed: i64,
    /// The length of the dictionary page with its header.
    dictionary: Option<i64>,
    /// Of each data page the rows, and how many of them are null.
    rows: Vec<(usize, usize)>,
    offsets: OffsetIndexBuilder,
}

impl Pages<'_, '_> {
    /// Writes the dictionary, as PLAIN values.
    pub(super) fn dictionary(&mut self, body: &[u8], count: usize, is_sorted: bool) -> Result<()> {
        let encoding = Encoding::PLAIN;
        self.write(body, |buf| Page::DictionaryPage { buf, num_values: count as u32, encoding, is_sorted })?;
        self.dictionary = Some(self.compressed);
        Ok(())
    }

    /// Begins a page of a column that is not nested: which of its rows have a value. `valid` is empty where all have.
    pub(super) fn levels(&self, page: &mut Vec<u8>, rows: usize, valid: &[bool]) {
        page.clear();
        if !self.nullable {
            return;
        }
        page.extend_from_slice(&[0; 4]);
        if valid.is_empty() {
            hybrid::run(page, 1, 1, rows);
        } else {
            hybrid::encode(page, &valid.iter().map(|&valid| u32::from(valid)).collect::<Vec<_>>(), 1);
        }
        let length = page.len() as u32 - 4;
        page[..4].copy_from_slice(&length.to_le_bytes());
    }

    /// Writes a page of so many rows.
    pub(super) fn data(&mut self, body: &[u8], rows: usize, nulls: usize, encoding: Encoding) -> Result<()> {
        let (offset, size) = self.write(body, |buf| Page::DataPage {
            buf,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        self.offsets.append_row_count(rows as i64);
        self.offsets.append_offset_and_size(offset, size);
        self.rows.push((rows, nulls));
        Ok(())
    }

    /// Writes a page; where it begins, and how long it is.
    fn write(&mut self, body: &[u8], page: impl FnOnce(Bytes) -> Page) -> Result<(i64, i32)> {
        let compressed = self.compressor.compress(body)?;
        let written = self.writer.write_page(CompressedPage::new(page(compressed), body.len()))?;
        self.uncompressed += written.uncompressed_size as i64;
        self.compressed += written.compressed_size as i64;
        let size = i32::try_from(written.compressed_size);
        Ok((written.offset as i64, size.map_err(|_| ParquetError::General("a page of 2 GiB".to_owned()))?))
    }
}

/// A chunk with the pages that `fill` writes.
pub(super) fn chunk<B: Bound>(
    descr: &ColumnDescPtr,
    compressor: &mut Compressor,
    fill: impl FnOnce(&mut Pages<'_, '_>) -> Result<Content<B>>,
) -> Result<Encoded> {
    let compression = compressor.compression;
    let mut out = TrackedWrite::new(Vec::new());
    let mut pages = Pages {
        writer: SerializedPageWriter::new(&mut out),
        compressor,
        nullable: descr.max_def_level() > 0,
        uncompressed: 0,
        compressed: 0,
        dictionary: None,
        rows: Vec::new(),
        offsets: OffsetIndexBuilder::new(),
    };
    let content = fill(&mut pages)?;
    let Pages { uncompressed, compressed, dictionary, rows, offsets, .. } = pages;
    let count: usize = rows.iter().map(|(rows, _)| rows).sum();
    let encodings = match dictionary {
        None => vec![Encoding::RLE, content.encoding],
        Some(_) => vec![Encoding::PLAIN, Encoding::RLE, content.encoding],
    };
    let page_stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
    let mut metadata = ColumnChunkMetaData::builder(descr.clone())
        .set_compression(compression)
        .set_encodings(encodings)
        .set_num_values(count as i64)
        .set_total_compressed_size(compressed)
        .set_total_uncompressed_size(uncompressed)
        .set_dictionary_page_offset(dictionary.map(|_| 0))
        .set_data_page_offset(dictionary.unwrap_or(0))
        .set_statistics(statistics(descr.physical_type(), &content, &rows));
    // By this readers know that all pages are of the dictionary. Without one there is nothing to know.
    if dictionary.is_some() {
        metadata = metadata.set_page_encoding_stats(vec![
            page_stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            page_stats(PageType::DATA_PAGE, content.encoding, rows.len() as i32),
        ]);
    }
    let close = ColumnCloseResult {
        bytes_written: compressed as u64,
        rows_written: count as u64,
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index: column_index(descr.physical_type(), &content, &rows)?,
        offset_index: Some(offsets.build()),
    };
    Ok((out.into_inner()?.into(), close))
}

/// The least and the greatest value of each page; none where one is not known or too long, or where pages are alike so that no
/// reader could pass one by.
fn column_index<B: Bound>(
    physical: Type,
    content: &Content<B>,
    rows: &[(usize, usize)],
) -> Result<Option<ColumnIndexMetaData>> {
    if !content.bounded || !differ(&content.bounds) {
        return Ok(None);
    }
    let mut index = ColumnIndexBuilder::new(physical);
    for (bounds, &(rows, nulls)) in content.bounds.iter().zip(rows) {
        let (least, greatest) =
            bounds.as_ref().map_or_else(Default::default, |(least, greatest)| (least.bytes(), greatest.bytes()));
        let unknown = bounds.is_none() && rows > nulls;
        if unknown || least.len().max(greatest.len()) > BOUND_BYTES_MAX {
            return Ok(None);
        }
        index.append(bounds.is_none(), least, greatest, nulls as i64);
    }
    let known: Vec<(B, B)> = content.bounds.iter().flatten().copied().collect();
    if known.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1) {
        index.set_boundary_order(BoundaryOrder::ASCENDING);
    }
    index.build().map(Some)
}

/// Whether there is a value that one of the pages may have and another has not.
fn differ<B: Bound>(bounds: &[Option<(B, B)>]) -> bool {
    let known = || bounds.iter().flatten();
    let some_are_null = known().count() < bounds.len() && known().next().is_some();
    let last_to_begin = known().map(|(least, _)| *least).max();
    let first_to_end = known().map(|(_, greatest)| *greatest).min();
    some_are_null || last_to_begin > first_to_end
}

fn statistics<B: Bound>(physical: Type, content: &Content<B>, rows: &[(usize, usize)]) -> Statistics {
    let nulls = rows.iter().map(|&(_, nulls)| nulls as u64).sum();
    let known = || content.bounds.iter().flatten().filter(|_| content.bounded);
    let short = |bytes: &Vec<u8>| bytes.len() <= BOUND_BYTES_MAX;
    let least = known().map(|(least, _)| *least).min().map(|least| least.bytes()).filter(short);
    let greatest = known().map(|(_, greatest)| *greatest).max().map(|greatest| greatest.bytes()).filter(short);
    let distinct = content.distinct;
    match physical {
        Type::BOOLEAN => of(least, greatest, distinct, nulls, |bytes| bytes == [1]),
        Type::INT32 => of(least, greatest, distinct, nulls, |bytes| i32::from_le_bytes(fixed(bytes))),
        Type::INT64 => of(least, greatest, distinct, nulls, |bytes| i64::from_le_bytes(fixed(bytes))),
        Type::DOUBLE => of(least, greatest, distinct, nulls, |bytes| f64::from_le_bytes(fixed(bytes))),
        Type::FIXED_LEN_BYTE_ARRAY => {
            of(least, greatest, distinct, nulls, |bytes| FixedLenByteArray::from(bytes.to_vec()))
        }
        _ => of(least, greatest, distinct, nulls, |bytes| ByteArray::from(bytes.to_vec())),
    }
}

fn of<T>(
    least: Option<Vec<u8>>,
    greatest: Option<Vec<u8>>,
    distinct: Option<u64>,
    nulls: u64,
    value: impl Fn(&[u8]) -> T,
) -> Statistics
where
    Statistics: From<ValueStatistics<T>>,
{
    let value = |bytes: Option<Vec<u8>>| bytes.map(|bytes| value(&bytes));
    ValueStatistics::new(value(least), value(greatest), distinct, Some(nulls), false).into()
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut fixed = [0; N];
    fixed[..N.min(bytes.len())].copy_from_slice(&bytes[..N.min(bytes.len())]);
    fixed
}
