//! Batches for tests, put together without a decoder.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampNanosecondArray, UInt32Array, UInt64Array, new_null_array,
};

use super::schema::{data_type, field};
use crate::Signal;
use crate::batch::schema::{ColumnDef, ColumnKind, columns};
use crate::batch::{Attributes, Batch, Children, Column, Shared, Tag, Value, Values};

/// A value of an attribute or body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'static str),
    Bytes(&'static [u8]),
}

/// Keys and values of a row.
pub(crate) type Entries = Vec<(&'static str, Of)>;

/// A row: its time, its service, its attributes, the number of its resource, its body.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) service: Option<&'static str>,
    pub(crate) attributes: Entries,
    pub(crate) resource: u32,
    pub(crate) body: Of,
}

/// A row of a service at a time.
pub(crate) fn row(time: i64, service: &'static str) -> Row {
    Row { time, service: Some(service), attributes: Vec::new(), resource: 0, body: Of::Text("started") }
}

/// A row with attributes.
pub(crate) fn with(attributes: Entries, resource: u32) -> Row {
    Row { attributes, resource, ..row(0, "shop") }
}

fn value(arena: &mut Vec<u8>, of: Of) -> Value {
    let mut long = |tag, content: &[u8]| {
        arena.extend_from_slice(content);
        Value::long(tag, arena.len() - content.len(), content.len())
    };
    match of {
        Of::Null => Value::NULL,
        Of::Bool(value) => Value::bool(value),
        Of::Int(value) => Value::int(value),
        Of::Double(value) => Value::double(value),
        Of::Text(text) => long(Tag::Text, text.as_bytes()),
        Of::Bytes(bytes) => long(Tag::Bytes, bytes),
    }
}

fn attributes<'a>(rows: impl Iterator<Item = &'a Entries>) -> Attributes {
    let mut all = Attributes::default();
    for row in rows {
        for (key, of) in row {
            let value = value(&mut all.arena, *of);
            all.push(key.as_bytes(), value);
        }
        all.end_row();
    }
    all
}

fn array(kind: ColumnKind, rows: usize) -> ArrayRef {
    match kind {
        ColumnKind::Time => Arc::new(TimestampNanosecondArray::from_value(7, rows).with_timezone("UTC")),
        ColumnKind::Bool => Arc::new(BooleanArray::from(vec![true; rows])),
        ColumnKind::Int32 => Arc::new(Int32Array::from_value(-3, rows)),
        ColumnKind::Int64 => Arc::new(Int64Array::from_value(i64::MIN, rows)),
        ColumnKind::UInt32 => Arc::new(UInt32Array::from_value(u32::MAX, rows)),
        ColumnKind::UInt64 => Arc::new(UInt64Array::from_value(u64::MAX, rows)),
        ColumnKind::Double => Arc::new(Float64Array::from_value(f64::NAN, rows)),
        ColumnKind::Text => Arc::new(StringArray::from_iter_values(std::iter::repeat_n("text", rows))),
        ColumnKind::Dictionary => Arc::new(std::iter::repeat_n("again", rows).collect::<DictionaryArray<Int32Type>>()),
        ColumnKind::Fixed(width) => {
            let ids = (0..rows).map(|row| Some(vec![row as u8; width as usize]));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, width).unwrap())
        }
        other => new_null_array(&data_type(other), rows),
    }
}

fn children(fields: &'static [ColumnDef], rows: usize) -> Children {
    // The first row has two children, the others none.
    let count = if rows == 0 { 0 } else { 2 };
    let plain = fields.iter().filter(|def| def.name != "attributes");
    let entries: Vec<Entries> = vec![vec![("key", Of::Int(1))], vec![]];
    Children {
        ends: vec![count as u32; rows],
        columns: plain.map(|def| (def.name, array(def.kind, count))).collect(),
        attributes: attributes(entries.iter().take(count)),
    }
}

/// A batch of those rows; columns that a row does not speak of hold some value of their type.
pub(crate) fn batch(signal: Signal, rows: &[Row], resources: &[Entries]) -> Batch {
    let shared = |keys: Vec<u32>, values| Column::Shared(Shared { keys, values });
    let column = |def: &ColumnDef| match (def.name, def.kind) {
        ("time", _) => {
            let times = TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.time));
            Column::Array(Arc::new(times.with_timezone("UTC")))
        }
        ("service_name", _) => {
            let names = rows.iter().map(|row| row.service).collect::<DictionaryArray<Int32Type>>();
            Column::Array(Arc::new(names))
        }
        ("resource_attributes", _) => {
            shared(rows.iter().map(|row| row.resource).collect(), attributes(resources.iter()))
        }
        (_, ColumnKind::SharedAttributes) => shared(vec![0; rows.len()], attributes([Entries::new()].iter())),
        (_, ColumnKind::Attributes) => Column::Attributes(attributes(rows.iter().map(|row| &row.attributes))),
        (_, ColumnKind::Value) => {
            let mut arena = Vec::new();
            let values = rows.iter().map(|row| value(&mut arena, row.body)).collect();
            Column::Values(Values { values, arena })
        }
        (_, ColumnKind::Children(fields)) => Column::Children(children(fields, rows.len())),
        _ => {
            let array = array(def.kind, rows.len());
            assert_eq!(array.data_type(), field(def).data_type());
            Column::Array(array)
        }
    };
    let columns = columns(signal).iter().map(|def| (def.name.into(), Arc::new(column(def)))).collect();
    Batch { signal, rows: rows.len(), columns }
}
