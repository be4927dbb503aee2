//! Times of plugins' tables: nanoseconds in memory as everywhere, microseconds in files. The functions that engines have for
//! times (`date_trunc`, `+ INTERVAL '60' MINUTE`) take microseconds with a zone; DuckDB has none of them for nanoseconds.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::Table;
use crate::{Error, Result};

impl Table {
    /// The columns as they are in the table's files.
    pub fn file_schema(&self) -> SchemaRef {
        if self.time_fallback.is_none() {
            return Arc::clone(&self.schema);
        }
        with_unit(&self.schema, TimeUnit::Nanosecond, TimeUnit::Microsecond)
    }
}

fn with_unit(schema: &Schema, from: TimeUnit, to: TimeUnit) -> SchemaRef {
    let field = |field: &FieldRef| -> FieldRef {
        match field.data_type() {
            DataType::Timestamp(unit, zone) if *unit == from => {
                let data_type = DataType::Timestamp(to, zone.clone());
                Arc::new(Field::clone(field).with_data_type(data_type))
            }
            _ => Arc::clone(field),
        }
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The columns of a file with times as they are in memory.
pub(super) fn schema_in_memory(schema: &Schema) -> SchemaRef {
    with_unit(schema, TimeUnit::Microsecond, TimeUnit::Nanosecond)
}

/// Rows with the times of another schema, which is otherwise the same.
pub(crate) fn as_in(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if rows.schema_ref() == schema {
        return Ok(rows.clone());
    }
    let bug = |error: arrow_schema::ArrowError| Error::bug(format!("times of a table cannot be converted: {error}"));
    let pairs = rows.columns().iter().zip(schema.fields());
    let columns = pairs.map(|(column, field)| match field.data_type() {
        DataType::Timestamp(_, _) => arrow_cast::cast(column, field.data_type()).map_err(bug),
        _ => Ok(Arc::clone(column)),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_>>()?).map_err(bug)
}

/// Rows of a file with times as they are in memory.
pub(crate) fn in_memory(rows: &RecordBatch) -> Result<RecordBatch> {
    as_in(rows, &schema_in_memory(rows.schema_ref()))
}

/// Times without what is below a microsecond, so that what is read back from a file is the same.
pub(super) fn whole_microseconds(column: &ArrayRef) -> Result<ArrayRef> {
    let Some(times) = column.as_primitive_opt::<TimestampNanosecondType>() else { return Ok(Arc::clone(column)) };
    let whole = times.unary::<_, TimestampNanosecondType>(|time| time.saturating_sub(time.rem_euclid(1_000)));
    Ok(Arc::new(whole.with_data_type(column.data_type().clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::TimestampNanosecondArray;

    #[test]
    fn times_of_files_come_back_as_they_were_to_the_microsecond() {
        let times = [Some(1_772_496_000_000_001_999), Some(-1), None];
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter(times).with_timezone("UTC"));
        let whole = whole_microseconds(&times).unwrap();
        assert_eq!(whole.as_primitive::<TimestampNanosecondType>().value(0), 1_772_496_000_000_001_000);
        assert_eq!(whole.as_primitive::<TimestampNanosecondType>().value(1), -1_000);
        let field = Field::new("at", whole.data_type().clone(), true);
        let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![whole]).unwrap();
        let file = with_unit(rows.schema_ref(), TimeUnit::Nanosecond, TimeUnit::Microsecond);
        let written = as_in(&rows, &file).unwrap();
        assert_eq!(written.column(0).data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        assert_eq!(in_memory(&written).unwrap(), rows);
    }
}
