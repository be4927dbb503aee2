//! Reads tables of a local folder back, as any reader of Parquet would: what the demo prints is what is in the files.

use super::encode::DESCRIBED;
use crate::tables::{DESCRIPTION, Table, in_memory};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The rows of every file of a table, with only the columns named. A table that has no file yet has no rows.
///
/// # Errors
///
/// `Storage` where a file cannot be read or is not Parquet.
pub fn read(folder: &Path, table: &str, columns: &[&str]) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for path in files(&folder.join(table))? {
        let failed = |error: &dyn std::fmt::Display| Error::storage(format!("{}: {error}", path.display()));
        let file = std::fs::File::open(&path).map_err(|error| failed(&error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(&error))?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        for batch in builder.with_projection(mask).build().map_err(|error| failed(&error))? {
            batches.push(in_memory(&batch.map_err(|error| failed(&error))?)?);
        }
    }
    Ok(batches)
}

/// The columns of a file with their descriptions, from its content.
pub(super) fn schema(content: Bytes, path: &Path) -> Result<SchemaRef> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(content);
    let reader = reader.map_err(|error| Error::storage(format!("{}: {error}", path.display())))?;
    let entries = reader.metadata().file_metadata().key_value_metadata();
    let description = |field: &FieldRef| {
        let described = |entry: &&KeyValue| entry.key.strip_prefix(DESCRIBED) == Some(field.name());
        entries.into_iter().flatten().find(described)?.value.clone()
    };
    let field = |field: &FieldRef| match description(field) {
        Some(text) => {
            let mut metadata = field.metadata().clone();
            metadata.insert(DESCRIPTION.to_owned(), text);
            Arc::new(Field::clone(field).with_metadata(metadata))
        }
        None => Arc::clone(field),
    };
    Ok(Arc::new(Schema::new(reader.schema().fields().iter().map(field).collect::<Vec<_>>())))
}

/// The rows of a file of a table, from its content, with the columns that the table has now.
pub(super) fn restored(table: &Table, content: Bytes, name: &str) -> Result<Vec<RecordBatch>> {
    let failed = |error: &dyn std::fmt::Display| {
        let cure = "its rows cannot be kept; move it away to go on without them";
        Error::storage(format!("{name}: {error}: {cure}"))
    };
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(content).and_then(|builder| builder.with_batch_size(65_536).build());
    let batches = reader.map_err(|error| failed(&error))?;
    batches
        .map(|batch| {
            let batch = batch.map_err(|error| failed(&error))?;
            table.restored(&batch).map_err(|error| failed(&error.message()))
        })
        .collect()
}

pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(Error::storage(format!("{}: {error}", folder.display()))),
    };
    for entry in entries {
        let path = entry.map_err(|error| Error::storage(format!("{}: {error}", folder.display())))?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
