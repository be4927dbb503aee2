//! Promoted attributes: typed columns of their own, from the record or else from its resource.

use std::sync::Arc;

use arrow_array::builder::PrimitiveBuilder;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, Int32Array, StringArray, new_null_array,
};
use hashbrown::HashMap;

use super::json::{Objects, TextColumn, entries_of};
use super::promoted_type;
use super::repeats::Repeats;
use crate::batch::{Attributes, Shared, Tag, Value};
use crate::config::{ColumnType, Promoted};
use crate::{Error, Result};

const NONE: u32 = u32::MAX;

/// The first entry that each row of `attributes` has under each promoted key.
struct Found<'a> {
    attributes: &'a Attributes,
    /// For each key of `attributes`, the promoted attribute that it is.
    promoted_of_key: Vec<Option<usize>>,
    /// For each promoted attribute, the entry of each row; empty where no row has one.
    entries: Vec<Vec<u32>>,
}

impl<'a> Found<'a> {
    fn new(attributes: &'a Attributes, promote: &[Promoted]) -> Self {
        let mut promoted_of_key = vec![None; attributes.keys.len()];
        let mut entries = vec![Vec::new(); promote.len()];
        for (at, promoted) in promote.iter().enumerate() {
            if let Some(key) = attributes.keys.find(&promoted.attribute) {
                promoted_of_key[key as usize] = Some(at);
                entries[at] = vec![NONE; attributes.rows()];
            }
        }
        let mut found = Self { attributes, promoted_of_key, entries };
        if found.promoted_of_key.iter().any(Option::is_some) {
            found.search();
        }
        found
    }

    fn search(&mut self) {
        for row in 0..self.attributes.rows() {
            for at in entries_of(self.attributes, row) {
                let key = self.attributes.entries[at].key as usize;
                if let Some(promoted) = self.promoted_of_key[key] {
                    let first = &mut self.entries[promoted][row];
                    *first = (*first).min(at as u32);
                }
            }
        }
    }

    fn entry(&self, promoted: usize, row: usize) -> Option<u32> {
        self.entries[promoted].get(row).copied().filter(|&entry| entry != NONE)
    }

    fn value(&self, entry: u32) -> Value {
        self.attributes.entries[entry as usize].value
    }

    /// The text that an entry is, if it is one.
    #[inline]
    fn text(&self, entry: u32) -> Option<&'a [u8]> {
        let value = self.value(entry);
        (value.tag == Tag::Text).then(|| &self.attributes.arena[value.span()])
    }
}

/// Whether a column of that type takes the value.
fn fits(column_type: ColumnType, value: Value) -> bool {
    match column_type {
        ColumnType::Text => value.tag == Tag::Text,
        ColumnType::Int32 => int(value).is_some_and(|int| i32::try_from(int).is_ok()),
        ColumnType::Int64 => value.tag == Tag::Int,
        ColumnType::Double => value.tag == Tag::Double,
        ColumnType::Bool => value.tag == Tag::Bool,
    }
}

fn int(value: Value) -> Option<i64> {
    (value.tag == Tag::Int).then(|| value.bits.cast_signed())
}

/// The promoted attributes of a batch.
pub(super) struct Promotion<'a> {
    promote: &'a [Promoted],
    record: Found<'a>,
    resource: Found<'a>,
    resource_keys: &'a [u32],
}

impl<'a> Promotion<'a> {
    pub(super) fn new(promote: &'a [Promoted], record: &'a Attributes, resource: &'a Shared) -> Self {
        let record = Found::new(record, promote);
        Self { promote, record, resource: Found::new(&resource.values, promote), resource_keys: &resource.keys }
    }

    fn value(&self, promoted: usize, row: usize) -> Option<Value> {
        if let Some(entry) = self.record.entry(promoted, row) {
            return Some(self.record.value(entry));
        }
        let entry = self.resource.entry(promoted, self.resource_keys[row] as usize)?;
        Some(self.resource.value(entry))
    }

    /// A column for each promoted attribute.
    pub(super) fn columns(&self) -> Result<Vec<ArrayRef>> {
        (0..self.promote.len()).map(|promoted| self.column(promoted)).collect()
    }

    fn column(&self, promoted: usize) -> Result<ArrayRef> {
        let rows = self.resource_keys.len();
        let column_type = self.promote[promoted].column_type;
        if self.record.entries[promoted].is_empty() && self.resource.entries[promoted].is_empty() {
            return Ok(new_null_array(&promoted_type(column_type), rows));
        }
        let values = (0..rows).map(|row| self.value(promoted, row));
        Ok(match column_type {
            ColumnType::Text => {
                let column = self.texts(promoted).map_err(|error| error.within(&self.promote[promoted].column))?;
                Arc::new(column)
            }
            ColumnType::Int32 => {
                numbers::<Int32Type>(values.map(|value| value.and_then(int).and_then(|int| i32::try_from(int).ok())))
            }
            ColumnType::Int64 => numbers::<Int64Type>(values.map(|value| value.and_then(int))),
            ColumnType::Double => {
                let double = |value: Value| (value.tag == Tag::Double).then(|| f64::from_bits(value.bits));
                numbers::<Float64Type>(values.map(|value| value.and_then(double)))
            }
            ColumnType::Bool => {
                let bool = |value: Value| (value.tag == Tag::Bool).then_some(value.bits != 0);
                Arc::new(values.map(|value| value.and_then(bool)).collect::<BooleanArray>())
            }
        })
    }

    fn texts(&self, promoted: usize) -> Result<DictionaryArray<Int32Type>> {
        let rows = self.resource_keys.len();
        let mut texts = Repeats::new(rows);
        // What rows take from their resource is looked at once a resource.
        let of_resource = |shared| self.resource.entry(promoted, shared).and_then(|entry| self.resource.text(entry));
        let of_resource = (0..self.resource.attributes.rows()).map(|shared| {
            let text = of_resource(shared);
            text.map(|text| texts.number(text)).transpose()
        });
        let of_resource = of_resource.collect::<Result<Vec<Option<i32>>>>()?;
        for row in 0..rows {
            let number = match self.record.entry(promoted, row) {
                Some(entry) => self.record.text(entry).map(|text| texts.number(text)).transpose()?,
                None => of_resource[self.resource_keys[row] as usize],
            };
            texts.push(number);
        }
        texts.finish()
    }

    /// The record's attributes without those that have a place in their columns.
    pub(super) fn residual_record(&self) -> Result<StringArray> {
        let attributes = self.record.attributes;
        let objects = Objects::new(attributes);
        let mut texts = TextColumn::new(attributes.rows(), 0);
        for row in 0..attributes.rows() {
            texts.push(|out| {
                objects.write(out, row, |at, key| {
                    self.record.promoted_of_key[key as usize].is_some_and(|promoted| {
                        self.record.entry(promoted, row) == Some(at as u32)
                            && fits(self.promote[promoted].column_type, self.record.value(at as u32))
                    })
                });
            })?;
        }
        texts.finish(None)
    }

    /// The promoted attributes that the row takes from its resource, as bits. Those beyond the 64th stay in the text.
    fn taken_from_resource(&self, row: usize) -> u64 {
        let shared = self.resource_keys[row] as usize;
        let mut taken = 0;
        for promoted in 0..self.promote.len().min(64) {
            let from_resource =
                if self.record.entry(promoted, row).is_none() { self.resource.entry(promoted, shared) } else { None };
            if from_resource.is_some_and(|entry| fits(self.promote[promoted].column_type, self.resource.value(entry))) {
                taken |= 1 << promoted;
            }
        }
        taken
    }

    /// The resource's attributes without those that rows took from there. Rows of one resource differ in what they took
    /// where some have the attribute themselves, so a text belongs to a resource and a set of attributes.
    pub(super) fn residual_resource(&self) -> Result<DictionaryArray<Int32Type>> {
        let attributes = self.resource.attributes;
        let objects = Objects::new(attributes);
        let mut texts = TextColumn::new(attributes.rows(), 0);
        let mut known: HashMap<(u32, u64), i32> = HashMap::new();
        let mut keys = Vec::with_capacity(self.resource_keys.len());
        for (row, &shared) in self.resource_keys.iter().enumerate() {
            let taken = self.taken_from_resource(row);
            let key = match known.get(&(shared, taken)) {
                Some(&key) => key,
                None => {
                    let key = texts.len() as i32;
                    let skip = |at: usize, key: u32| {
                        self.resource.promoted_of_key[key as usize].is_some_and(|promoted| {
                            promoted < 64
                                && taken & (1 << promoted) != 0
                                && self.resource.entry(promoted, shared as usize) == Some(at as u32)
                        })
                    };
                    texts.push(|out| objects.write(out, shared as usize, skip))?;
                    known.insert((shared, taken), key);
                    key
                }
            };
            keys.push(key);
        }
        DictionaryArray::try_new(Int32Array::from(keys), Arc::new(texts.finish(None)?))
            .map_err(|error| Error::bug(format!("column `resource_attributes`: {error}")))
    }
}

fn numbers<T: ArrowPrimitiveType>(values: impl Iterator<Item = Option<T::Native>>) -> ArrayRef {
    let mut column = PrimitiveBuilder::<T>::with_capacity(values.size_hint().0);
    values.for_each(|value| column.append_option(value));
    Arc::new(column.finish())
}
