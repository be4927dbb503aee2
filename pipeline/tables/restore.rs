//! Rows of a table as a batch again, so that they can go through the chain once more: the inverse of
//! [`Tables::record_batch`].
//!
//! Columns of plugins and promoted ones are made anew and not read, but where attributes are residual: there a promoted
//! attribute is in its column only, and goes back to the record, in front of its others.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, ListArray, RecordBatch, StringArray, new_null_array};
use arrow_schema::DataType;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::Tables;
use super::read_json::{Json, has_key, push_object};
use super::rows::conform;
use super::schema::{dictionary_type, type_column};
use crate::batch::schema::{ColumnDef, ColumnKind, columns};
use crate::batch::{Attributes, Batch, Children, Column, Shared, Tag, Value, Values, array_type};
use crate::config::{ColumnType, Promoted};
use crate::{Error, Result, Signal};

impl Tables {
    /// The batch that rows of a signal's table came from. The rows must have been written with the same `write.attributes`.
    ///
    /// What JSON does not tell apart comes back as one of two: the texts `NaN`, `Infinity` and `-Infinity` as doubles, a map whose
    /// only key is `bytes` and whose value is base64 as bytes. Residual attributes that came from the resource go to the record.
    ///
    /// # Errors
    ///
    /// `Data` where the rows have not the columns of the table, or their JSON cannot be read.
    pub fn restore(&self, signal: Signal, rows: &RecordBatch) -> Result<Batch> {
        let stored = Stored { rows, promote: &self.promote, residual: self.residual };
        let mut all = Vec::new();
        for def in columns(signal) {
            let column = stored.column(def).map_err(|error| error.within(format!("column `{}`", def.name)))?;
            all.push((Arc::from(def.name), Arc::new(column)));
        }
        Ok(Batch { signal, rows: rows.num_rows(), columns: all })
    }
}

/// Whether some text of a JSON object is also how a number is written that JSON has not.
fn may_be_number(object: &str) -> bool {
    ["\"NaN\"", "\"Infinity\"", "\"-Infinity\""].iter().any(|number| object.contains(number))
}

/// Rows of a table.
struct Stored<'a> {
    rows: &'a RecordBatch,
    promote: &'a [Promoted],
    residual: bool,
}

impl Stored<'_> {
    fn column(&self, def: &ColumnDef) -> Result<Column> {
        let found = self.rows.column_by_name(def.name);
        let text = || self.typed(found, &DataType::Utf8);
        Ok(match def.kind {
            ColumnKind::Attributes => Column::Attributes(self.attributes(text()?.as_string())?),
            ColumnKind::SharedAttributes => {
                Column::Shared(self.shared(def.name, &self.typed(found, &dictionary_type())?)?)
            }
            ColumnKind::Value => {
                let types = self.typed(self.rows.column_by_name(&type_column(def.name)), &DataType::Utf8)?;
                Column::Values(values(text()?.as_string(), types.as_string())?)
            }
            ColumnKind::Children(fields) => Column::Children(self.children(fields, found)?),
            kind => {
                let data_type = array_type(kind).ok_or_else(|| Error::bug("a kind of column without a type"))?;
                let array = self.typed(found, &data_type)?;
                never_null(def, &array)?;
                Column::Array(array)
            }
        })
    }

    /// A column as that type; nulls where an older file has none.
    fn typed(&self, found: Option<&ArrayRef>, data_type: &DataType) -> Result<ArrayRef> {
        match found {
            None => Ok(new_null_array(data_type, self.rows.num_rows())),
            Some(array) => conform(array, data_type).map_err(|error| Error::data(error.message())),
        }
    }

    /// Attributes of the rows' own.
    fn attributes(&self, texts: &StringArray) -> Result<Attributes> {
        let promoted = self.promote.iter().map(|promoted| {
            let column = self.rows.column_by_name(&promoted.column);
            let data_type = match promoted.column_type {
                ColumnType::Text => DataType::Utf8,
                other => super::promoted_type(other),
            };
            let conformed = column.map(|column| conform(column, &data_type)).transpose();
            Ok((promoted, conformed.map_err(|error| Error::data(error.message()))?))
        });
        let promoted: Vec<(&Promoted, Option<ArrayRef>)> = promoted.collect::<Result<_>>()?;
        let in_column = |row: usize, key: &str| {
            let found = promoted.iter().find(|(promoted, _)| promoted.attribute == key);
            found.is_some_and(|(promoted, column)| {
                promoted.column_type == ColumnType::Text && column.as_ref().is_some_and(|column| column.is_valid(row))
            })
        };
        let mut attributes = Attributes::default();
        for row in 0..texts.len() {
            if self.residual {
                for (promoted, column) in &promoted {
                    if let Some(column) = column.as_ref().filter(|column| column.is_valid(row)) {
                        let value = scalar(column, row, &mut attributes.arena);
                        attributes.push(promoted.attribute.as_bytes(), value);
                    }
                }
            }
            let text = if texts.is_null(row) { "{}" } else { texts.value(row) };
            push_object(&mut attributes, text, |key| in_column(row, key))
                .map_err(|why| Error::data(format!("row {row}: {why}")))?;
            attributes.end_row();
        }
        Ok(attributes)
    }

    /// Attributes that rows share: each distinct text is read once.
    fn shared(&self, name: &str, array: &ArrayRef) -> Result<Shared> {
        let texts: &DictionaryArray<Int32Type> = array.as_dictionary();
        let values = texts.values().as_string::<i32>();
        let text_of = |row: usize| texts.key(row).map_or("{}", |key| values.value(key));
        // What became text in a column was text, whatever it says.
        let promoted: Vec<&Promoted> = match name {
            "resource_attributes" => self.promote.iter().filter(|one| one.column_type == ColumnType::Text).collect(),
            _ => Vec::new(),
        };
        // Of a text that may have been a number each row tells which it was, unless its record has the key, too: then it
        // was what another row with these attributes tells, if one does.
        let mut numbers: HashMap<&str, Vec<bool>> = HashMap::new();
        let mut told: HashMap<usize, Vec<Option<bool>>> = HashMap::new();
        for row in (0..texts.len()).filter(|&row| may_be_number(text_of(row))) {
            let of_row: Vec<_> = promoted.iter().map(|promoted| self.was_number(promoted, row)).collect();
            let any = numbers.entry(text_of(row)).or_insert_with(|| vec![false; promoted.len()]);
            any.iter_mut().zip(&of_row).for_each(|(any, number)| *any |= number.unwrap_or(false));
            told.insert(row, of_row);
        }
        let mut shared = Shared::default();
        let mut known: HashMap<(&str, Vec<bool>), u32> = HashMap::new();
        for row in 0..texts.len() {
            let text = text_of(row);
            let numbers = told.get(&row).zip(numbers.get(text)).map(|(told, any)| {
                told.iter().zip(any).map(|(number, any)| number.unwrap_or(*any)).collect::<Vec<bool>>()
            });
            let next = known.len() as u32;
            let row = match known.entry((text, numbers.unwrap_or_default())) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let (_, numbers) = entry.key();
                    let is_text = |key: &str| {
                        let at = promoted.iter().position(|promoted| promoted.attribute == key);
                        at.is_some_and(|at| numbers.get(at) != Some(&true))
                    };
                    push_object(&mut shared.values, text, is_text).map_err(Error::data)?;
                    shared.values.end_row();
                    *entry.insert(next)
                }
            };
            shared.keys.push(row);
        }
        Ok(shared)
    }

    /// Whether a text of a row's resource was a number: its column would not be null. The row cannot tell where its record
    /// has the key, too.
    fn was_number(&self, promoted: &Promoted, row: usize) -> Option<bool> {
        let column = self.rows.column_by_name(&promoted.column)?;
        let record = self.rows.column_by_name("attributes").and_then(|column| column.as_string_opt::<i32>());
        let record = record.filter(|record| record.is_valid(row)).map_or("{}", |record| record.value(row));
        (!has_key(record, &promoted.attribute)).then(|| column.is_null(row))
    }

    fn children(&self, fields: &'static [ColumnDef], found: Option<&ArrayRef>) -> Result<Children> {
        let mut children = Children { ends: Vec::new(), columns: Vec::new(), attributes: Attributes::default() };
        let lists: Option<&ListArray> = found.and_then(|array| array.as_list_opt());
        if found.is_some() && lists.is_none() {
            return Err(Error::data("is no list"));
        }
        // Positions count from the first child on, and a list that is null has none.
        let (first, last) = lists.map_or((0, 0), |lists| {
            let offsets = lists.value_offsets();
            (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0))
        });
        match lists {
            Some(lists) => children.ends.extend(lists.value_offsets().iter().skip(1).map(|end| (end - first) as u32)),
            None => children.ends.resize(self.rows.num_rows(), 0),
        }
        let count = (last - first) as usize;
        let structs = lists.map(|lists| lists.values().slice(first as usize, count));
        let structs = structs.as_ref().map(|structs| {
            structs.as_struct_opt().ok_or_else(|| Error::data("is a list of something else than structures"))
        });
        let structs = structs.transpose()?;
        for def in fields {
            let column = structs.and_then(|structs| structs.column_by_name(def.name));
            let typed = |data_type: &DataType| match column {
                None => Ok(new_null_array(data_type, count)),
                Some(column) => {
                    conform(column, data_type).map_err(|error| Error::data(error.message()).within(def.name))
                }
            };
            if let ColumnKind::Attributes = def.kind {
                let texts = typed(&DataType::Utf8)?;
                for text in texts.as_string::<i32>() {
                    push_object(&mut children.attributes, text.unwrap_or("{}"), |_| false).map_err(Error::data)?;
                    children.attributes.end_row();
                }
            } else if let Some(data_type) = array_type(def.kind) {
                let array = typed(&data_type)?;
                never_null(def, &array)?;
                children.columns.push((def.name, array));
            }
        }
        Ok(children)
    }
}

fn never_null(def: &ColumnDef, array: &ArrayRef) -> Result<()> {
    if def.nullable || array.null_count() == 0 {
        return Ok(());
    }
    Err(Error::data(format!("`{}` is null in {} rows, which no weir writes", def.name, array.null_count())))
}

/// The value of a promoted column.
fn scalar(column: &ArrayRef, row: usize, arena: &mut Vec<u8>) -> Value {
    match column.data_type() {
        DataType::Int32 => Value::int(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::double(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::bool(column.as_boolean().value(row)),
        _ => Json::Text(column.as_string::<i32>().value(row).to_owned()).text(arena),
    }
}

/// Values of any type, of the types that the column beside says.
fn values(texts: &StringArray, types: &StringArray) -> Result<Values> {
    let mut values = Values::default();
    for row in 0..texts.len() {
        let value = if texts.is_null(row) {
            Value::NULL
        } else {
            let tag = if types.is_null(row) { "text" } else { types.value(row) };
            value(texts.value(row), tag, &mut values.arena).map_err(|why| Error::data(format!("row {row}: {why}")))?
        };
        values.values.push(value);
    }
    Ok(values)
}

fn value(text: &str, tag: &str, arena: &mut Vec<u8>) -> std::result::Result<Value, String> {
    if tag == "text" {
        return Ok(Json::Text(text.to_owned()).text(arena));
    }
    let json = Json::parse(text)?;
    let value = if ["array", "map"].contains(&tag) { json.nested(arena) } else { json.value(arena) };
    let expected = match tag {
        "bool" => Tag::Bool,
        "int" => Tag::Int,
        "double" => Tag::Double,
        "bytes" => Tag::Bytes,
        "array" => Tag::Array,
        "map" => Tag::Map,
        other => return Err(format!("{other:?} is the type of no value")),
    };
    if value.tag == expected { Ok(value) } else { Err(format!("{text} is no {tag}")) }
}
