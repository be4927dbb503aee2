//! Parquet: how each column is encoded, and a file under construction.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use super::chunk::{self, Compressor, Position};
use super::record::hex;
use super::row_group::{RowGroup, leaves};
use crate::files::{self, Files, failed};
use crate::tables::{DESCRIPTION, Table, as_in, is_json};
use crate::{Error, Result};

/// What the key begins with under which a file describes a column.
pub(super) const DESCRIBED: &str = "weir.column.";

/// How the files of a table are encoded.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    schema: SchemaRef,
    properties: WriterProperties,
    /// Of files with a page index.
    indexed: WriterProperties,
    compression: Compression,
    row_group_rows: usize,
}

/// A file whose first row group has more rows says of each page where it is and what is in it. For those of fewer pages a
/// reader spares little by that, and a file of few rows is a tenth larger.
const INDEXED_ROWS_MIN: usize = 2 * chunk::PAGE_ROWS;

impl Encoder {
    pub(super) fn new(table: &Table, row_group_rows: usize, zstd_level: Option<i32>, sorted: bool) -> Result<Self> {
        let compression = match zstd_level {
            None => Compression::UNCOMPRESSED,
            Some(level) => Compression::ZSTD(ZstdLevel::try_new(level).map_err(|_| {
                Error::config(format!(
                    "compression level {level} is none of zstd's: take one from 1 (fast) to 22 (small)"
                ))
            })?),
        };
        let mut builder = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("weir version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(documentation(table)))
            // The bounds of pages are of use in chunks of our own, see `chunk/pages.rs`, which do not ask for this.
            .set_statistics_enabled(EnabledStatistics::Chunk);
        for field in table.schema.fields() {
            builder = column(builder, vec![field.name().clone()], field);
        }
        if sorted {
            builder = builder.set_sorting_columns(sorting(table));
        }
        let row_group_rows = row_group_rows.max(1);
        let properties = builder.clone().set_offset_index_disabled(true).build();
        Ok(Self { schema: table.file_schema(), properties, indexed: builder.build(), compression, row_group_rows })
    }
}

/// The description of each column, and the Arrow schema in a form that every reader knows: text that repeats is text. Without
/// that Polars takes JSON for bytes.
fn documentation(table: &Table) -> Vec<KeyValue> {
    let mut entries = vec![KeyValue::new("weir.table".to_owned(), table.name.to_string())];
    table.schema.fields().iter().for_each(|field| describe(&mut entries, field.name().clone(), field));
    let schema = Schema::new(table.file_schema().fields().iter().map(plain).collect::<Vec<_>>());
    entries.push(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&schema)));
    entries
}

/// The description of a column, and of what is in the structures of a list.
fn describe(entries: &mut Vec<KeyValue>, name: String, field: &Field) {
    if let Some(description) = field.metadata().get(DESCRIPTION) {
        entries.push(KeyValue::new(format!("{DESCRIBED}{name}"), description.clone()));
    }
    if let DataType::List(element) = field.data_type()
        && let DataType::Struct(fields) = element.data_type()
    {
        fields.iter().for_each(|field| describe(entries, format!("{name}[].{}", field.name()), field));
    }
}

/// The field without dictionaries and extension types: readers differ in what they make of those, and Parquet's own
/// schema says JSON already. Its description stands beside the schema.
fn plain(field: &FieldRef) -> Field {
    let data_type = match field.data_type() {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::List(element) => DataType::List(Arc::new(plain(element))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

/// Encodings by type: a dictionary pays where values repeat, differences where they grow slowly.
fn column(builder: WriterPropertiesBuilder, path: Vec<String>, field: &Field) -> WriterPropertiesBuilder {
    let leaf = || ColumnPath::new(path.clone());
    match field.data_type() {
        DataType::List(element) => {
            let path = path.iter().cloned().chain(["list".to_owned(), element.name().clone()]).collect();
            column(builder, path, element)
        }
        DataType::Struct(fields) => fields.iter().fold(builder, |builder, field| {
            let path = path.iter().cloned().chain([field.name().clone()]).collect();
            column(builder, path, field)
        }),
        DataType::Timestamp(_, _) => builder
            .set_column_dictionary_enabled(leaf(), false)
            .set_column_encoding(leaf(), Encoding::DELTA_BINARY_PACKED),
        DataType::FixedSizeBinary(_) => builder.set_column_dictionary_enabled(leaf(), false),
        DataType::Utf8 if is_json(field) => builder
            .set_column_dictionary_enabled(leaf(), false)
            .set_column_statistics_enabled(leaf(), EnabledStatistics::None),
        _ => builder,
    }
}

/// What the rows of a row group are ordered by, as numbers of Parquet's leaf columns.
fn sorting(table: &Table) -> Option<Vec<SortingColumn>> {
    let fields = table.schema.fields();
    let leaf = |at: usize| {
        // Nested columns have several leaves; none stands in front of those that tables are ordered by.
        let nested = fields[..at].iter().any(|field| field.data_type().is_nested());
        i32::try_from(at).ok().filter(|_| !nested)
    };
    let ascending = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: true };
    table.service.into_iter().chain([table.time]).map(|at| leaf(at).map(ascending)).collect()
}

/// A file under construction. What Parquet writes goes to memory first and from there to the disk a row group at a time,
/// so that a disk that is full for a while costs neither a row nor the file.
pub(super) struct OpenFile {
    path: PathBuf,
    writer: SerializedFileWriter<Sink>,
    columns: ArrowRowGroupWriterFactory,
    compressor: Compressor,
    compression: Compression,
    row_group_rows: usize,
    indexed: bool,
    schema: SchemaRef,
    finished: bool,
    lost: bool,
    pub(super) rows: u64,
}

struct Sink {
    file: Box<dyn files::File>,
    held: Vec<u8>,
    written: u64,
    digest: Sha256,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OpenFile {
    /// A file whose first row group has so many rows.
    pub(super) fn create(
        files: &dyn Files,
        path: &Path,
        private: bool,
        encoder: &Encoder,
        rows: usize,
    ) -> Result<Self> {
        let file = if private { files.create_private(path) } else { files.create(path) };
        let file = file.map_err(|error| failed("cannot create", path, &error))?;
        let indexed = rows.min(encoder.row_group_rows) > INDEXED_ROWS_MIN;
        let properties = if indexed { &encoder.indexed } else { &encoder.properties };
        let options = ArrowWriterOptions::new()
            .with_properties(properties.clone())
            .with_schema_root("weir".to_owned())
            .with_skip_arrow_metadata(true);
        let sink = Sink { file, held: Vec::new(), written: 0, digest: Sha256::new() };
        let writer = ArrowWriter::try_new_with_options(sink, Arc::clone(&encoder.schema), options)
            .and_then(ArrowWriter::into_serialized_writer);
        let bug = |error| Error::bug(format!("{}: {error}", path.display()));
        let (writer, columns) = writer.map_err(bug)?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            columns,
            compressor: Compressor::new(encoder.compression).map_err(bug)?,
            compression: encoder.compression,
            row_group_rows: encoder.row_group_rows,
            indexed,
            schema: Arc::clone(&encoder.schema),
            finished: false,
            lost: false,
            rows: 0,
        })
    }

    /// Adds to what the file says of itself.
    pub(super) fn note(&mut self, key: &str, value: &str) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_owned()));
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are on the disk.
    pub(super) fn written(&self) -> u64 {
        self.writer.inner().written
    }

    /// Bytes that wait in memory for the disk.
    pub(super) fn held(&self) -> usize {
        self.writer.inner().held.len()
    }

    /// Bytes that the file has so far.
    pub(super) fn bytes(&self) -> u64 {
        self.written() + self.held() as u64
    }

    /// Encodes rows as a row group, into memory: those that stand there in `batches`, in that order. They are several of equal
    /// size, if they are twice as many as one has or more. Each row group is shown to `offer` first, so that others may help.
    pub(super) fn encode(
        &mut self,
        batches: &[RecordBatch],
        order: Vec<Position>,
        offer: impl Fn(&Arc<RowGroup>),
    ) -> Result<()> {
        let batches = batches.iter().map(|rows| as_in(rows, &self.schema)).collect::<Result<Arc<[_]>>>()?;
        let order: Arc<[Position]> = order.into();
        let path = self.path.clone();
        let bug = |error| Error::bug(format!("{}: rows cannot be encoded: {error}", path.display()));
        // What is more than one row group by less than another stays with it: the rest of a batch would be a small one.
        let groups = (order.len() / self.row_group_rows).max(1);
        let most = order.len().div_ceil(groups).max(1);
        for start in (0..order.len()).step_by(most) {
            let rows = start..order.len().min(start + most);
            let columns = self.writer.schema_descr().columns();
            let group = Arc::new(RowGroup::new(&batches, &order, rows, columns, self.compression));
            offer(&group);
            self.append(&group).map_err(bug)?;
        }
        self.writer.flush().map_err(|error| bug(error.into()))?;
        self.rows += order.len() as u64;
        Ok(())
    }

    fn append(&mut self, rows: &RowGroup) -> parquet::errors::Result<()> {
        let columns = rows.finish(&mut self.compressor);
        let number = self.writer.flushed_row_groups().len();
        let mut group = self.writer.next_row_group()?;
        // Made when the first column needs one.
        let mut writers = Writers { factory: &self.columns, number, of_leaves: Vec::new() };
        let mut leaf = 0;
        for (at, (field, own)) in self.schema.fields().iter().zip(columns).enumerate() {
            let own = own?;
            let leaves = leaf..leaf + leaves(field.data_type());
            leaf = leaves.end;
            if own.is_empty() {
                let order: Vec<(usize, usize)> =
                    rows.order().iter().map(|&(part, row)| (part as usize, row as usize)).collect();
                let values = interleave(&rows.parts(at), &order)?;
                for (leaf, values) in leaves.zip(compute_leaves(field, &values)?) {
                    let mut writer = writers.of(leaf)?;
                    writer.write(&values)?;
                    writer.close()?.append_to_row_group(&mut group)?;
                }
                continue;
            }
            for (bytes, mut close) in own {
                if !self.indexed {
                    (close.column_index, close.offset_index) = (None, None);
                }
                group.append_column(&bytes, close)?;
            }
        }
        group.close().map(drop)
    }

    /// Brings to the disk what is held. After an error all of it is still held, to be written at the same place again.
    pub(super) fn drain(&mut self) -> Result<()> {
        let sink = self.writer.inner_mut();
        let result = sink.file.seek(sink.written).and_then(|()| sink.file.write_all(&sink.held));
        result.map_err(|error| failed("cannot write", &self.path, &error))?;
        sink.digest.update(&sink.held);
        sink.written += sink.held.len() as u64;
        // Kept for the next row group, which is of about the same size, unless this one was unusual.
        sink.held.clear();
        sink.held.shrink_to(1 << 20);
        Ok(())
    }

    /// Whether nothing can be added any more.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Writes the footer. To be called again after an error.
    pub(super) fn finish(&mut self) -> Result<()> {
        if !self.finished {
            let result = self.writer.finish();
            result.map_err(|error| Error::bug(format!("{}: no footer: {error}", self.path.display())))?;
            self.writer.flush().map_err(|error| Error::bug(format!("{}: no footer: {error}", self.path.display())))?;
            self.finished = true;
        }
        self.drain()
    }

    /// Brings the file to the disk for good. After an error it fails for ever: the kernel may have dropped what it had, and tells
    /// that once.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.lost {
            return Err(io::Error::other("it could not be brought there before"));
        }
        self.lost = true;
        self.writer.inner_mut().file.sync()?;
        self.lost = false;
        Ok(())
    }

    /// The SHA-256 of what is on the disk, in hexadecimal digits.
    pub(super) fn sha256(&self) -> String {
        hex(&self.writer.inner().digest.clone().finalize())
    }
}

/// Parquet's writers of the columns of a row group.
struct Writers<'a> {
    factory: &'a ArrowRowGroupWriterFactory,
    number: usize,
    of_leaves: Vec<Option<ArrowColumnWriter>>,
}

impl Writers<'_> {
    fn of(&mut self, leaf: usize) -> parquet::errors::Result<ArrowColumnWriter> {
        if self.of_leaves.is_empty() {
            self.of_leaves = self.factory.create_column_writers(self.number)?.into_iter().map(Some).collect();
        }
        let writer = self.of_leaves.get_mut(leaf).and_then(Option::take);
        writer.ok_or_else(|| ParquetError::General(format!("column {leaf} has no writer")))
    }
}
