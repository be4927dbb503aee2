//! Columns and attributes changed: values laid over others, deleted, given to some of the rows that shared them.

use super::access::convert;
use super::attributes::{Attributes, Entry};
use super::given::{Given, stored};
use super::{Any, Shared, Value, Values};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow_buffer::BooleanBuffer;
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
    let values = Given::checked(values, path)?;
    let given = Given::new(&values)?;
    (0..values.len()).for_each(|row| {
        if let Some(value) = given.get(row) {
            see(row, value);
        }
    });
    Ok(())
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
    let values = Given::checked(values, path)?;
    *attributes = attributes.laid_over(0..attributes.rows(), &[(key, Given::new(&values)?)]);
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
