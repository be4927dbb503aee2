//! A batch as texts: each cell with its type, doubles by their bits.

use crate::batch::{Any, Attributes, Batch, Column};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

pub(crate) fn rows(batch: &Batch) -> Vec<Vec<(String, String)>> {
    let row = |row| batch.columns().map(|(name, column)| (name.to_owned(), cell(column, row))).collect();
    (0..batch.rows()).map(row).collect()
}

pub(crate) fn cell(column: &Column, row: usize) -> String {
    match column {
        Column::Array(array) => scalar(array, row),
        Column::Attributes(attributes) => map(attributes.row(row)),
        Column::Shared(shared) => map(shared.values.row(shared.keys[row] as usize)),
        Column::Values(values) => any(values.get(row)),
        Column::Children(children) => {
            let child = |child| {
                let cells = children.columns.iter().map(|(name, array)| format!("{name}={}", scalar(array, child)));
                format!("({} {})", cells.collect::<Vec<_>>().join(" "), map(attributes_of(&children.attributes, child)))
            };
            format!("[{}]", children.range(row).map(child).collect::<Vec<_>>().join(" "))
        }
    }
}

fn attributes_of(attributes: &Attributes, row: usize) -> impl Iterator<Item = (&str, Any<'_>)> {
    attributes.row(row)
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, Any<'a>)>) -> String {
    let entries = entries.map(|(key, value)| format!("{key:?}:{}", any(value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
}

fn any(value: Any<'_>) -> String {
    match value {
        Any::Null => "null".to_owned(),
        Any::Bool(value) => value.to_string(),
        Any::Int(value) => format!("i{value}"),
        Any::Double(value) => double(value),
        Any::Text(text) => format!("{text:?}"),
        Any::Bytes(bytes) => format!("b{bytes:?}"),
        Any::Array(items) => format!("[{}]", items.values().map(any).collect::<Vec<_>>().join(" ")),
        Any::Map(items) => map(items.entries()),
    }
}

pub(super) fn double(value: f64) -> String {
    format!("d{:x}", value.to_bits())
}

fn scalar(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int32 => format!("i{}", array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => format!("i{}", array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt32 => format!("u{}", array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => format!("u{}", array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(_, zone) => {
            assert_eq!(zone.as_deref(), Some("UTC"));
            format!("@{}", array.as_primitive::<TimestampNanosecondType>().value(row))
        }
        DataType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
        DataType::Dictionary(..) => {
            let texts = array.as_dictionary::<Int32Type>();
            scalar(texts.values(), texts.keys().value(row) as usize)
        }
        DataType::FixedSizeBinary(_) => format!("b{:?}", array.as_fixed_size_binary().value(row)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            format!("[{}]", (0..items.len()).map(|item| scalar(&items, item)).collect::<Vec<_>>().join(" "))
        }
        DataType::Struct(_) => {
            let fields = array.as_struct().columns().iter().map(|field| scalar(field, row));
            format!("({})", fields.collect::<Vec<_>>().join(" "))
        }
        other => panic!("no column has the type {other}"),
    }
}
