//! A batch as rows of its table.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    new_null_array,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, SchemaRef};

use super::promote::Promotion;
use super::schema::type_column;
use super::{Tables, json};
use crate::batch::schema::{ColumnKind, columns};
use crate::batch::{Batch, Children, Column, Shared, Tag, Values};
use crate::{Error, Result, Signal};

impl Tables {
    /// The rows of a batch, with the columns of the table of its signal.
    ///
    /// # Errors
    ///
    /// `Data` where the text of a column is more than 2 GiB, `Plugin` where a plugin's column has not the type that it declared,
    /// `Bug` where a column is missing.
    pub fn record_batch(&self, batch: &Batch) -> Result<RecordBatch> {
        let signal = batch.signal();
        let schema = &self.raw[signal.index()].schema;
        let promotion = match (batch.column("attributes"), batch.column("resource_attributes")) {
            (Some(Column::Attributes(record)), Some(Column::Shared(resource))) => {
                Promotion::new(&self.promote, record, resource)
            }
            _ => return Err(Error::bug(format!("a batch of {signal} has no attributes"))),
        };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        let definitions = columns(signal);
        for def in definitions {
            let column = batch
                .column(def.name)
                .ok_or_else(|| Error::bug(format!("a batch of {signal} has no column `{}`", def.name)))?;
            let field = &schema.fields()[arrays.len()];
            let array: ArrayRef = match (def.name, column) {
                ("attributes", Column::Attributes(_)) if self.residual => Arc::new(promotion.residual_record()?),
                ("resource_attributes", Column::Shared(_)) if self.residual => Arc::new(promotion.residual_resource()?),
                _ => column_array(column, field)?,
            };
            arrays.push(array);
            if let (ColumnKind::Value, Column::Values(values)) = (def.kind, column) {
                arrays.push(types_of(values)?);
            }
        }
        arrays.extend(promotion.columns()?);
        self.added_columns(batch, &mut arrays)?;
        record_batch(schema, arrays, batch.rows())
    }

    fn added_columns(&self, batch: &Batch, arrays: &mut Vec<ArrayRef>) -> Result<()> {
        let signal = batch.signal();
        let added = &self.added[signal.index()];
        for declared in added {
            arrays.push(match batch.column(&declared.name) {
                None => new_null_array(&declared.data_type, batch.rows()),
                Some(Column::Array(array)) => {
                    conform(array, &declared.data_type).map_err(|error| wrong_type(&declared.name, &error))?
                }
                Some(_) => return Err(Error::bug(format!("column `{}` of a plugin is no array", declared.name))),
            });
        }
        let known = |name: &str| is_own(signal, name) || added.iter().any(|column| column.name == name);
        match batch.columns().find(|(name, _)| !known(name)) {
            Some((name, _)) => Err(Error::plugin(format!(
                "column `{name}` was added to {signal} and declared by no plugin: declare it under `writes`"
            ))),
            None => Ok(()),
        }
    }
}

fn is_own(signal: Signal, name: &str) -> bool {
    columns(signal).iter().any(|def| def.name == name)
}

fn wrong_type(name: &str, error: &Error) -> Error {
    Error::plugin(format!("column `{name}` has not the type that was declared: {error}"))
}

/// Puts arrays together; names the table's column where one does not fit.
pub(super) fn record_batch(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
        .map_err(|error| Error::bug(format!("the columns of a table do not fit its schema: {error}")))
}

fn column_array(column: &Column, field: &Field) -> Result<ArrayRef> {
    match column {
        Column::Array(array) => conform(array, field.data_type()).map_err(|error| error.within(field.name())),
        Column::Attributes(attributes) => Ok(Arc::new(json::objects(attributes)?)),
        Column::Shared(shared) => shared_array(shared).map_err(|error| error.within(field.name())),
        Column::Values(values) => Ok(Arc::new(json::values(values)?)),
        Column::Children(children) => children_array(children, field).map_err(|error| error.within(field.name())),
    }
}

fn shared_array(shared: &Shared) -> Result<ArrayRef> {
    let keys: Int32Array = shared.keys.iter().map(|&key| key as i32).collect::<Vec<_>>().into();
    let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(json::objects(&shared.values)?));
    Ok(Arc::new(array.map_err(|error| Error::bug(error.to_string()))?))
}

fn types_of(values: &Values) -> Result<ArrayRef> {
    const NAMES: [&str; 7] = ["text", "bool", "int", "double", "bytes", "array", "map"];
    let key = |tag| match tag {
        Tag::Null => None,
        Tag::Text => Some(0),
        Tag::Bool => Some(1),
        Tag::Int => Some(2),
        Tag::Double => Some(3),
        Tag::Bytes => Some(4),
        Tag::Array => Some(5),
        Tag::Map => Some(6),
    };
    let keys: Int32Array = values.values.iter().map(|value| key(value.tag)).collect();
    let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from_iter_values(NAMES)));
    Ok(Arc::new(array.map_err(|error| Error::bug(error.to_string()).within(type_column("body")))?))
}

fn children_array(children: &Children, field: &Field) -> Result<ArrayRef> {
    let DataType::List(element) = field.data_type() else {
        return Err(Error::bug(format!("children belong into a list, not into {}", field.data_type())));
    };
    let DataType::Struct(fields) = element.data_type() else {
        return Err(Error::bug(format!("children are structures, not {}", element.data_type())));
    };
    let array_of = |field: &FieldRef| -> Result<ArrayRef> {
        if field.name() == "attributes" {
            return Ok(Arc::new(json::objects(&children.attributes)?));
        }
        match children.columns.iter().find(|(name, _)| name == field.name()) {
            Some((name, array)) => conform(array, field.data_type()).map_err(|error| error.within(name)),
            None => Err(Error::bug(format!("there is no `{}`", field.name()))),
        }
    };
    let arrays = fields.iter().map(array_of).collect::<Result<Vec<_>>>()?;
    let bug = |error: arrow_schema::ArrowError| Error::bug(error.to_string());
    let structs = StructArray::try_new(fields.clone(), arrays, None).map_err(bug)?;
    let offsets = std::iter::once(0).chain(children.ends.iter().map(|&end| end as i32)).collect::<Vec<_>>();
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, Arc::new(structs), None).map_err(bug)?))
}

/// The same values with exactly that type: names and metadata of nested fields are the table's, text may be repeated or not.
pub(super) fn conform(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    let bug = |error: arrow_schema::ArrowError| Error::bug(error.to_string());
    match data_type {
        DataType::List(element) => {
            if let Some(list) = array.as_any().downcast_ref::<ListArray>() {
                let values = conform(list.values(), element.data_type())?;
                let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                return Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls).map_err(bug)?));
            }
        }
        DataType::Struct(fields) => {
            if let Some(structs) = array.as_any().downcast_ref::<StructArray>()
                && structs.num_columns() == fields.len()
            {
                let pairs = structs.columns().iter().zip(fields);
                let arrays = pairs.map(|(array, field)| conform(array, field.data_type())).collect::<Result<_>>()?;
                let structs = StructArray::try_new(fields.clone(), arrays, structs.nulls().cloned());
                return Ok(Arc::new(structs.map_err(bug)?));
            }
        }
        _ if same_values(array.data_type(), data_type) => return arrow_cast::cast(array, data_type).map_err(bug),
        _ => {}
    }
    Err(Error::bug(format!("it is {}, the table wants {data_type}", array.data_type())))
}

/// Whether two types are two forms of the same values, so that nothing is lost from one to the other.
fn same_values(from: &DataType, to: &DataType) -> bool {
    let plain = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::Timestamp(_, _) | DataType::Int32 => DataType::Int64,
        DataType::UInt32 => DataType::UInt64,
        other => other.clone(),
    };
    let narrows = matches!(to, DataType::Int32 | DataType::UInt32) && from != to;
    let times = matches!((from, to), (DataType::Timestamp(unit, _), DataType::Timestamp(other, _)) if unit != other);
    plain(from) == plain(to) && !narrows && !times
}
