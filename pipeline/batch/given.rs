//! Values of an attribute, as columns: those that rows have, and those that a plugin gives.

use super::access::texts_of;
use super::attributes::{Attributes, Entry, Mover};
use super::change::text_type;
use super::{Any, Tag, Value};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray, new_null_array,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

/// A column as values of an attribute.
pub(super) enum Given<'a> {
    Bools(&'a BooleanArray),
    Ints(&'a Int64Array),
    Doubles(&'a Float64Array),
    Texts(&'a StringArray),
    /// Texts that repeat: a key for each row, null or a number of the texts.
    Names(&'a arrow_array::DictionaryArray<Int32Type>, &'a StringArray),
    Bytes(&'a FixedSizeBinaryArray),
}

impl<'a> Given<'a> {
    pub(super) fn new(values: &'a ArrayRef) -> Result<Self> {
        Ok(match values.data_type() {
            DataType::Boolean => Self::Bools(values.as_boolean()),
            DataType::Int64 => Self::Ints(values.as_primitive()),
            DataType::Float64 => Self::Doubles(values.as_primitive()),
            DataType::FixedSizeBinary(_) => Self::Bytes(values.as_fixed_size_binary()),
            DataType::Utf8 => Self::Texts(values.as_string()),
            _ => match values.as_dictionary_opt::<Int32Type>() {
                Some(names) if names.values().data_type() == &DataType::Utf8 => {
                    Self::Names(names, names.values().as_string())
                }
                _ => return Err(Error::bug(format!("{} was taken for an attribute", values.data_type()))),
            },
        })
    }

    /// The values as a type that attributes have.
    pub(super) fn checked(values: &ArrayRef, path: &str) -> Result<ArrayRef> {
        match values.data_type() {
            DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::FixedSizeBinary(_) => {
                Ok(values.clone())
            }
            DataType::UInt64 => {
                let values = values.as_primitive::<UInt64Type>();
                let signed = values.try_unary::<_, Int64Type, Error>(|value| {
                    i64::try_from(value).map_err(|_| {
                        let max = i64::MAX;
                        Error::plugin(format!("{path}: {value} is above {max}, the largest integer of an attribute"))
                    })
                })?;
                Ok(Arc::new(signed))
            }
            _ if text_type(values) => Ok(values.clone()),
            other => Err(Error::plugin(format!("{path}: {other} cannot be the value of an attribute"))),
        }
    }

    /// The value of a row, if it has one.
    pub(super) fn get(&self, row: usize) -> Option<Any<'a>> {
        match self {
            Self::Bools(values) => values.is_valid(row).then(|| Any::Bool(values.value(row))),
            Self::Ints(values) => values.is_valid(row).then(|| Any::Int(values.value(row))),
            Self::Doubles(values) => values.is_valid(row).then(|| Any::Double(values.value(row))),
            Self::Texts(values) => values.is_valid(row).then(|| Any::Text(values.value(row))),
            Self::Names(keys, values) => {
                let name = keys.key(row)?;
                values.is_valid(name).then(|| Any::Text(values.value(name)))
            }
            Self::Bytes(values) => values.is_valid(row).then(|| Any::Bytes(values.value(row))),
        }
    }
}

/// Puts a value into an arena.
pub(super) fn stored(value: Any<'_>, arena: &mut Vec<u8>) -> Value {
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

/// The values that rows have under a key, where `given` has none for them: of the type that they have, text where types
/// differ and for bytes, lists and maps.
pub(super) fn attribute_values(
    attributes: &Attributes,
    key: &str,
    given: Option<&Given<'_>>,
    rows: impl ExactSizeIterator<Item = usize> + Clone,
) -> ArrayRef {
    let key = attributes.keys.find(key);
    let own = |row| Some(attributes.get(row, key?)?.resolve(&attributes.arena));
    if let Some(given) = given {
        return of_any(rows.map(|row| given.get(row).or_else(|| own(row))));
    }
    let Some(key) = key else { return new_null_array(&DataType::Utf8, rows.len()) };
    let values = rows.clone().map(|row| attributes.get(row, key));
    match texts(values, &attributes.arena) {
        Some(texts) => Arc::new(texts),
        None => of_any(rows.map(own)),
    }
}

/// Values that are all text, or not there, without a look at each text alone.
fn texts(values: impl ExactSizeIterator<Item = Option<Value>>, arena: &[u8]) -> Option<StringArray> {
    let rows = values.len();
    let (mut bytes, mut offsets) = (Vec::new(), Vec::with_capacity(rows + 1));
    let mut valid = arrow_buffer::NullBufferBuilder::new(rows);
    offsets.push(0);
    for value in values {
        match value {
            Some(Value { tag: Tag::Null, .. }) | None => valid.append_null(),
            Some(value) if value.tag == Tag::Text => {
                bytes.extend_from_slice(&arena[value.span()]);
                valid.append_non_null();
            }
            Some(_) => return None,
        }
        offsets.push(i32::try_from(bytes.len()).ok()?);
    }
    let valid: Option<NullBuffer> = valid.finish();
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::try_new(offsets, Buffer::from_vec(bytes), valid).ok()
}

fn of_any<'a>(values: impl Iterator<Item = Option<Any<'a>>> + Clone) -> ArrayRef {
    let values = values.map(|value| value.filter(|value| !matches!(value, Any::Null)));
    let mut kinds = values.clone().flatten().map(|value| std::mem::discriminant(&value));
    let first = values.clone().flatten().next();
    let alike = kinds.next().is_none_or(|first| kinds.all(|kind| kind == first));
    match first.filter(|_| alike) {
        Some(Any::Bool(_)) => Arc::new(
            values
                .map(|value| if let Some(Any::Bool(value)) = value { Some(value) } else { None })
                .collect::<BooleanArray>(),
        ),
        Some(Any::Int(_)) => Arc::new(
            values
                .map(|value| if let Some(Any::Int(value)) = value { Some(value) } else { None })
                .collect::<Int64Array>(),
        ),
        Some(Any::Double(_)) => Arc::new(
            values
                .map(|value| if let Some(Any::Double(value)) = value { Some(value) } else { None })
                .collect::<Float64Array>(),
        ),
        _ => texts_of(values),
    }
}

impl Attributes {
    /// These rows with values laid over them: the first entry of a key is replaced, further ones of that key go, and a
    /// row that has none gets one at its end. Nothing of what was replaced is left in the arena.
    pub(super) fn laid_over(&self, rows: impl Iterator<Item = usize>, written: &[(&str, Given<'_>)]) -> Self {
        const KEPT: usize = usize::MAX;
        let mut laid = Self { keys: self.keys.clone(), ..Self::default() };
        let numbers: Vec<u32> = written.iter().map(|(key, _)| laid.keys.intern(key.as_bytes())).collect();
        let mut given_to = vec![KEPT; laid.keys.len()];
        for (at, &key) in numbers.iter().enumerate() {
            given_to[key as usize] = at;
        }
        laid.reserve_like(self, rows.size_hint().0, written.len());
        let mut mover = Mover::new(&self.arena);
        let mut values: Vec<Option<Any<'_>>> = vec![None; written.len()];
        let mut done = vec![false; written.len()];
        for row in rows {
            for (at, (_, given)) in written.iter().enumerate() {
                values[at] = given.get(row);
                done[at] = values[at].is_none();
            }
            for entry in &self.entries[self.range(row)] {
                let at = given_to[entry.key as usize];
                let value = match values.get(at).copied().flatten() {
                    None => mover.moved(entry.value, &mut laid.arena),
                    Some(_) if done[at] => continue,
                    Some(value) => {
                        done[at] = true;
                        mover.finish(&mut laid.arena);
                        stored(value, &mut laid.arena)
                    }
                };
                laid.entries.push(Entry { key: entry.key, value });
            }
            for (at, value) in values.iter().enumerate().filter(|&(at, _)| !done[at]) {
                mover.finish(&mut laid.arena);
                let value = stored(value.unwrap_or(Any::Null), &mut laid.arena);
                laid.entries.push(Entry { key: numbers[at], value });
            }
            laid.end_row();
        }
        mover.finish(&mut laid.arena);
        laid
    }
}
