//! Rows that plugins emit and rows that they failed on.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
    new_null_array,
};
use arrow_schema::{FieldRef, SchemaRef};

use super::rows::{conform, record_batch};
use super::times::{in_memory, schema_in_memory, whole_microseconds};
use super::{Layout, Table, Tables, Upsert};
use crate::{Error, Result, Signal};

impl Tables {
    /// Rows of a derived table: the columns that the plugin declared, in their order, and where they came from.
    ///
    /// Times lose what is below a microsecond: their files have no more, see [`Table::file_schema`]. `plugin` is its name and version. `revision`, where the table has it, is 0: the writer counts on.
    ///
    /// # Errors
    ///
    /// `Plugin` where there is no such table, or columns are missing, of another type or of different lengths.
    pub fn derived(
        &self,
        table: &str,
        columns: &[ArrayRef],
        computed_at_ns: i64,
        plugin: &str,
        config_hash: &str,
    ) -> Result<RecordBatch> {
        let wrong = |problem: String| Error::plugin(format!("rows for table `{table}` from {plugin}: {problem}"));
        let found = self.table(table).filter(|found| found.time_fallback.is_some());
        let Some(found) = found else { return Err(wrong("no plugin declares that table".to_owned())) };
        let declared = found.declared();
        if columns.len() != declared {
            return Err(wrong(format!("{} columns, {declared} were declared", columns.len())));
        }
        let rows = columns.first().map_or(0, |column| column.len());
        let mut arrays = Vec::with_capacity(found.schema.fields().len());
        for (column, field) in columns.iter().zip(found.schema.fields()) {
            if column.len() != rows {
                return Err(wrong(format!("column `{}` has {} rows, others {rows}", field.name(), column.len())));
            }
            let array = conform(column, field.data_type()).and_then(|array| whole_microseconds(&array));
            arrays.push(array.map_err(|error| wrong(format!("column `{}`: {error}", field.name())))?);
        }
        let computed_at: ArrayRef =
            Arc::new(TimestampNanosecondArray::from_value(computed_at_ns, rows).with_timezone("UTC"));
        arrays.push(whole_microseconds(&computed_at)?);
        arrays.push(repeated(plugin, rows)?);
        arrays.push(repeated(config_hash, rows)?);
        if found.upsert.is_some() {
            arrays.push(Arc::new(Int64Array::from_value(0, rows)));
        }
        record_batch(&found.schema, arrays, rows)
    }

    /// Rows of the table of dead letters: rows of the signal's table, and the plugin that failed on them, and why.
    ///
    /// # Errors
    ///
    /// `Bug` where the rows are not of the signal's table.
    pub fn dead_letter(&self, signal: Signal, rows: &RecordBatch, plugin: &str, reason: &str) -> Result<RecordBatch> {
        let mut arrays = rows.columns().to_vec();
        arrays.push(repeated(plugin, rows.num_rows())?);
        arrays.push(repeated(reason, rows.num_rows())?);
        record_batch(&self.dead_letter_table(signal).schema, arrays, rows.num_rows())
    }
}

impl Table {
    /// A table that is upsert and that no plugin declares any more, from the columns of one of its files and the names of those
    /// of the key.
    ///
    /// # Errors
    ///
    /// `Data` where the columns are not those of such a table.
    pub fn was_upsert(name: &str, schema: SchemaRef, key: &[String]) -> Result<Self> {
        let schema = schema_in_memory(&schema);
        let at = |column: &str| {
            let missing =
                |_| Error::data(format!("a file of table `{name}`, which is upsert, has no column `{column}`"));
            schema.index_of(column).map_err(missing)
        };
        let (computed_at, revision) = (at("computed_at")?, at("revision")?);
        let key = key.iter().map(|column| at(column)).collect::<Result<_>>()?;
        let content = (0..schema.fields().len()).filter(|at| ![computed_at, revision].contains(at)).collect();
        Ok(Self {
            name: name.into(),
            time: computed_at,
            time_fallback: Some(computed_at),
            service: None,
            layout: Layout::Day,
            private: false,
            upsert: Some(Upsert { key, content, revision }),
            schema,
        })
    }

    /// Rows that were read from a file of the table, with the columns that it has now: one that the file lacks is null, one
    /// that is declared no more is left out.
    ///
    /// # Errors
    ///
    /// `Data` where a column had another type when the file was written.
    pub fn restored(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let rows = &in_memory(rows)?;
        let column = |field: &FieldRef| match rows.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
            Some(column) => conform(column, field.data_type()).map_err(|error| {
                Error::data(format!("column `{}` of table `{}`: {}", field.name(), self.name, error.message()))
            }),
        };
        let arrays = self.schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        record_batch(&self.schema, arrays, rows.num_rows())
    }
}

/// The same text in every row.
fn repeated(text: &str, rows: usize) -> Result<ArrayRef> {
    let keys = Int32Array::from_value(0, rows);
    let values = Arc::new(StringArray::from_iter_values([text]));
    let array = DictionaryArray::<Int32Type>::try_new(keys, values);
    Ok(Arc::new(array.map_err(|error| Error::bug(format!("a column of one text: {error}")))?))
}
