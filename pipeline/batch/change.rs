//! Columns and attributes changed: values laid over others, deleted, given to some of the rows that shared them.

use super::access::convert;
use super::attributes::{Attributes, Entry, Texts};
use super::{Any, Shared, Tag, Value, Values};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use std::collections::HashMap;

pub(super) fn text_type(array: &ArrayRef) -> bool {
    array.data_type() == &DataType::Utf8 || array.as_dictionary_opt::<Int32Type>().is_some()
}

/// The types that a plugin may add a column of.
pub(super) fn scalars(values: &ArrayRef, path: &str) -> Result<()> {
    match values.data_type() {
        DataType::Boolean | DataType::Int64 | DataType::UInt64 | DataType::Float64 => Ok(()),
        DataType::FixedSizeBinary(_) | DataType::Timestamp(TimeUnit::Nanosecond, _) => Ok(()),
        _ if text_type(values) => Ok(()),
        other => Err(Error::plugin(format!("{path}: a column of {other} cannot be added"))),
    }
}

/// A column with new values where they are not null.
pub(super) fn overlay(old: &ArrayRef, new: &ArrayRef, path: &str) -> Result<ArrayRef> {
    use DataType::{Int32, Int64, Timestamp, UInt32, UInt64};
    let same = old.data_type() == new.data_type() || (text_type(old) && text_type(new));
    let fits = same
        || matches!((old.data_type(), new.data_type()), (Int32, Int64) | (UInt32, UInt64) | (Timestamp(..), Int64))
        || matches!((old.data_type(), new.data_type()), (Timestamp(a, _), Timestamp(b, _)) if a == b);
    if !fits {
        let (old, new) = (old.data_type(), new.data_type());
        return Err(Error::plugin(format!("{path}: is a column of {old}, {new} was written")));
    }
    let converted = convert(new, old.data_type(), path)?;
    if new.logical_null_count() == 0 {
        return Ok(converted);
    }
    let mask = match new.logical_nulls() {
        Some(nulls) => BooleanArray::new(nulls.into_inner(), None),
        None => return Ok(converted),
    };
    choose(&mask, &converted, old, path)
}

/// The values of one array where the mask is set, of the other where it is not.
fn choose(mask: &BooleanArray, yes: &ArrayRef, no: &ArrayRef, path: &str) -> Result<ArrayRef> {
    // As plain text, so that what is not chosen does not stay in a dictionary.
    if matches!(no.data_type(), DataType::Dictionary(..)) {
        let (yes, no_text) = (convert(yes, &DataType::Utf8, path)?, convert(no, &DataType::Utf8, path)?);
        return convert(&choose(mask, &yes, &no_text, path)?, no.data_type(), path);
    }
    arrow_select::zip::zip(mask, yes, no).map_err(|error| Error::plugin(format!("{path}: {error}")))
}

pub(super) fn without(array: &ArrayRef, rows: &BooleanBuffer, path: &str) -> Result<ArrayRef> {
    let mask = BooleanArray::new(rows.clone(), None);
    choose(&mask, &new_null_array(array.data_type(), array.len()), array, path)
}

/// Calls `see` with every row that has a value, and the value.
fn each_value(values: &ArrayRef, path: &str, mut see: impl FnMut(usize, Any<'_>)) -> Result<()> {
    let nulls = values.logical_nulls();
    let mut rows = (0..values.len()).filter(|&row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
    match values.data_type() {
        DataType::Boolean => rows.for_each(|row| see(row, Any::Bool(values.as_boolean().value(row)))),
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            rows.for_each(|row| see(row, Any::Int(values.value(row))));
        }
        DataType::UInt64 => {
            let values = values.as_primitive::<UInt64Type>();
            for row in rows.by_ref() {
                let value = i64::try_from(values.value(row));
                let value = value.map_err(|_| {
                    let (value, max) = (values.value(row), i64::MAX);
                    Error::plugin(format!("{path}: {value} is above {max}, the largest integer of an attribute"))
                })?;
                see(row, Any::Int(value));
            }
        }
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>();
            rows.for_each(|row| see(row, Any::Double(values.value(row))));
        }
        DataType::FixedSizeBinary(_) => {
            rows.for_each(|row| see(row, Any::Bytes(values.as_fixed_size_binary().value(row))));
        }
        _ if text_type(values) => {
            let texts = cast(values, &DataType::Utf8).map_err(|error| Error::plugin(format!("{path}: {error}")))?;
            rows.for_each(|row| see(row, Any::Text(texts.as_string::<i32>().value(row))));
        }
        other => return Err(Error::plugin(format!("{path}: {other} cannot be the value of an attribute"))),
    }
    Ok(())
}

/// Puts a scalar into an arena.
fn stored(value: Any<'_>, arena: &mut Vec<u8>) -> Value {
    let (tag, content) = match value {
        Any::Bool(value) => return Value::bool(value),
        Any::Int(value) => return Value::int(value),
        Any::Double(value) => return Value::double(value),
        Any::Null => return Value::NULL,
        Any::Text(text) => (Tag::Text, text.as_bytes()),
        Any::Bytes(bytes) => (Tag::Bytes, bytes),
        Any::Array(items) => (Tag::Array, items.0),
        Any::Map(items) => (Tag::Map, items.0),
    };
    let start = arena.len();
    arena.extend_from_slice(content);
    Value::long(tag, start, content.len())
}

pub(super) fn write_values(body: &mut Values, values: &ArrayRef, path: &str) -> Result<()> {
    let mut new = Values { values: vec![Value::NULL; body.rows()], arena: Vec::new() };
    let mut written = vec![false; body.rows()];
    each_value(values, path, |row, value| {
        new.values[row] = stored(value, &mut new.arena);
        written[row] = true;
    })?;
    for row in (0..body.rows()).filter(|&row| !written[row]) {
        new.values[row] = body.values[row].moved(&body.arena, &mut new.arena);
    }
    *body = new;
    Ok(())
}

/// The values to write, in an arena of their own.
fn given(values: &ArrayRef, path: &str) -> Result<(Vec<Option<Value>>, Vec<u8>)> {
    let (mut given, mut arena) = (vec![None; values.len()], Vec::new());
    each_value(values, path, |row, value| given[row] = Some(stored(value, &mut arena)))?;
    Ok((given, arena))
}

pub(super) fn write_attribute(attributes: &mut Attributes, key: &str, values: &ArrayRef, path: &str) -> Result<()> {
    let (given, content) = given(values, path)?;
    let key = attributes.keys.intern(key.as_bytes());
    attributes.rebuild(|row, entries, arena, _: &mut Texts| {
        if let Some(value) = given[row] {
            Attributes::set_in(entries, key, value.moved(&content, arena));
        }
    });
    // What was overwritten does not stay behind in the arena.
    *attributes = attributes.take(0..attributes.rows());
    Ok(())
}

/// What is the same for values that are the same; doubles go by their bits.
type Identity<'a> = (u8, u64, &'a [u8]);

fn identity(value: Value, arena: &[u8]) -> Identity<'_> {
    if value.is_long() { (value.tag as u8, 0, &arena[value.span()]) } else { (value.tag as u8, value.bits, &[]) }
}

pub(super) fn write_shared(shared: &mut Shared, key: &str, values: &ArrayRef, path: &str) -> Result<()> {
    let (given, content) = given(values, path)?;
    let key = shared.values.keys.intern(key.as_bytes());
    let mut rows: HashMap<(u32, Identity<'_>), u32> = HashMap::new();
    let mut keys = shared.keys.clone();
    for (row, value) in keys.iter_mut().zip(given) {
        let Some(value) = value else { continue };
        let old = *row;
        *row = *rows.entry((old, identity(value, &content))).or_insert_with(|| {
            let mut entries: Vec<Entry> = shared.values.entries[shared.values.range(old as usize)].to_vec();
            let value = value.moved(&content, &mut shared.values.arena);
            Attributes::set_in(&mut entries, key, value);
            shared.values.entries.extend_from_slice(&entries);
            shared.values.end_row();
            shared.values.rows() as u32 - 1
        });
    }
    *shared = Shared::compact(keys, &shared.values);
    Ok(())
}

/// Deletes a key, or every key, of the rows that `gone` names.
pub(super) fn delete(attributes: &mut Attributes, key: Option<&str>, gone: impl Fn(usize) -> bool) {
    let key = match key.map(|key| attributes.keys.find(key)) {
        Some(None) => return,
        Some(Some(key)) => Some(key),
        None => None,
    };
    attributes.rebuild(|row, entries, _, _| {
        if gone(row) {
            entries.retain(|entry| key.is_some_and(|key| entry.key != key));
        }
    });
    *attributes = attributes.take(0..attributes.rows());
}

pub(super) fn delete_shared(shared: &mut Shared, key: Option<&str>, rows: &BooleanBuffer) {
    // Each distinct row gets a twin without the key; the rows to change go over to the twins.
    let distinct = shared.values.rows();
    let mut values = shared.values.take((0..distinct).chain(0..distinct));
    delete(&mut values, key, |row| row >= distinct);
    let keys = shared.keys.iter().enumerate();
    let keys = keys.map(|(row, &key)| if rows.value(row) { key + distinct as u32 } else { key }).collect();
    *shared = Shared::compact(keys, &values);
}
