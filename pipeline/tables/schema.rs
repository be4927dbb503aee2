//! The Arrow schemas of the tables of raw signals, from the columns of the batches.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};

use super::plugin::PluginColumn;
use super::promoted_type;
use crate::batch::schema::{ColumnDef, ColumnKind, columns};
use crate::config::Promoted;
use crate::{Error, Result, Signal};

/// The key, in the metadata of a field, of the line that describes it.
pub const DESCRIPTION: &str = "description";

const JSON: &str = "arrow.json";

/// Whether a column is JSON text.
pub fn is_json(field: &Field) -> bool {
    field.metadata().get(EXTENSION_TYPE_NAME_KEY).is_some_and(|name| name == JSON)
}

pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

pub(super) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A column with its description. Every column but `time` may be null: a plugin may remove any value.
pub(super) fn described(name: &str, data_type: DataType, json: bool, description: &str) -> Field {
    let mut metadata = HashMap::from([(DESCRIPTION.to_owned(), description.to_owned())]);
    if json {
        metadata.insert(EXTENSION_TYPE_NAME_KEY.to_owned(), JSON.to_owned());
        metadata.insert(EXTENSION_TYPE_METADATA_KEY.to_owned(), String::new());
    }
    Field::new(name, data_type, true).with_metadata(metadata)
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", item, true)))
}

pub(super) fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Time => time_type(),
        ColumnKind::Bool => DataType::Boolean,
        ColumnKind::Int32 => DataType::Int32,
        ColumnKind::Int64 => DataType::Int64,
        ColumnKind::UInt32 => DataType::UInt32,
        ColumnKind::UInt64 => DataType::UInt64,
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Dictionary | ColumnKind::SharedAttributes => dictionary_type(),
        ColumnKind::Text | ColumnKind::Attributes | ColumnKind::Value => DataType::Utf8,
        ColumnKind::Fixed(width) => DataType::FixedSizeBinary(width),
        ColumnKind::ListDouble => list_of(DataType::Float64),
        ColumnKind::ListUInt64 => list_of(DataType::UInt64),
        ColumnKind::Children(defs) => list_of(DataType::Struct(defs.iter().map(field).collect())),
        ColumnKind::Quantiles => {
            let double = |name, description| described(name, DataType::Float64, false, description);
            list_of(DataType::Struct(Fields::from(vec![
                double("quantile", "From 0 (the smallest value) to 1 (the largest)"),
                double("value", "The value at the quantile"),
            ])))
        }
    }
}

pub(super) fn field(def: &ColumnDef) -> Field {
    let json = matches!(def.kind, ColumnKind::Attributes | ColumnKind::SharedAttributes);
    described(def.name, data_type(def.kind), json, def.description)
}

/// The columns of the table of a signal: the batch's own (the type of a body after the body), then the promoted ones, then
/// those of plugins.
pub(super) fn raw(signal: Signal, promote: &[Promoted], added: &[PluginColumn]) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    for def in columns(signal) {
        fields.push(field(def).with_nullable(def.name != "time"));
        if matches!(def.kind, ColumnKind::Value) {
            let description = "Type of the body as it came: text, bool, int, double, bytes, array or map";
            fields.push(described(&type_column(def.name), dictionary_type(), false, description));
        }
    }
    for promoted in promote {
        free(&fields, &promoted.column).ok_or_else(|| {
            let Promoted { attribute, column, .. } = promoted;
            Error::config(format!(
                "attribute `{attribute}` cannot be promoted: table `{signal}` has a column `{column}` already; remove it \
                 from `promote`"
            ))
        })?;
        let description = format!("Attribute {} of the record, or else of its resource", promoted.attribute);
        fields.push(described(&promoted.column, promoted_type(promoted.column_type), false, &description));
    }
    for column in added {
        free(&fields, &column.name).ok_or_else(|| {
            let name = &column.name;
            Error::plugin(format!("column `{name}` cannot be added: table `{signal}` has one of that name; rename it"))
        })?;
        fields.push(column.field());
    }
    Ok(fields)
}

/// The name of the column that says which type the values of a column of any type came in.
pub(super) fn type_column(name: &str) -> String {
    format!("{name}_type")
}

fn free(fields: &[Field], name: &str) -> Option<()> {
    // `day` and `hour` are columns too, of the folders' names.
    (!["day", "hour"].contains(&name) && fields.iter().all(|field| field.name() != name)).then_some(())
}

/// The columns of a table of dead letters.
pub(super) fn dead_letter(raw: &Schema) -> Vec<Field> {
    let mut fields: Vec<Field> = raw.fields().iter().map(|field| field.as_ref().clone()).collect();
    let text = |name, description| described(name, dictionary_type(), false, description);
    fields.push(text("dead_letter_plugin", "The plugin that failed on the row"));
    fields.push(text("dead_letter_reason", "Why it failed"));
    fields
}
