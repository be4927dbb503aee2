//! Promoted attributes: typed columns of their own, from the record or else from its resource.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder};
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, DictionaryArray, Int32Array, StringArray, new_null_array};
use hashbrown::HashMap;

use super::json::{Objects, TextColumn, entries_of};
use super::promoted_type;
use crate::batch::{Any, Attributes, Shared, Texts};
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

    fn value(&self, entry: u32) -> Any<'a> {
        self.attributes.entries[entry as usize].value.resolve(&self.attributes.arena)
    }
}

/// Whether a column of that type takes the value.
fn fits(column_type: ColumnType, value: Any<'_>) -> bool {
    match column_type {
        ColumnType::Text => matches!(value, Any::Text(_)),
        ColumnType::Int32 => matches!(value, Any::Int(int) if i32::try_from(int).is_ok()),
        ColumnType::Int64 => matches!(value, Any::Int(_)),
        ColumnType::Double => matches!(value, Any::Double(_)),
        ColumnType::Bool => matches!(value, Any::Bool(_)),
    }
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

    fn value(&self, promoted: usize, row: usize) -> Option<Any<'a>> {
        if let Some(entry) = self.record.entry(promoted, row) {
            return Some(self.record.value(entry));
        }
        let entry = self.resource.entry(promoted, self.resource_keys[row] as usize)?;
        Some(self.resource.value(entry))
    }

    /// A column for each promoted attribute.
    pub(super) fn columns(&self) -> Vec<ArrayRef> {
        (0..self.promote.len()).map(|promoted| self.column(promoted)).collect()
    }

    fn column(&self, promoted: usize) -> ArrayRef {
        let rows = self.resource_keys.len();
        let column_type = self.promote[promoted].column_type;
        if self.record.entries[promoted].is_empty() && self.resource.entries[promoted].is_empty() {
            return new_null_array(&promoted_type(column_type), rows);
        }
        let values = (0..rows).map(|row| self.value(promoted, row));
        let int = |value| if let Some(Any::Int(int)) = value { Some(int) } else { None };
        match column_type {
            ColumnType::Text => dictionary(values),
            ColumnType::Int32 => {
                numbers::<Int32Type>(values.map(|value| int(value).and_then(|int| i32::try_from(int).ok())))
            }
            ColumnType::Int64 => numbers::<Int64Type>(values.map(int)),
            ColumnType::Double => {
                let double = |value| if let Some(Any::Double(double)) = value { Some(double) } else { None };
                numbers::<Float64Type>(values.map(double))
            }
            ColumnType::Bool => {
                let mut column = BooleanBuilder::with_capacity(rows);
                values.for_each(|value| {
                    column.append_option(if let Some(Any::Bool(bool)) = value { Some(bool) } else { None })
                });
                Arc::new(column.finish())
            }
        }
    }

    /// The record's attributes without those that have a place in their columns.
    pub(super) fn residual_record(&self) -> Result<StringArray> {
        let attributes = self.record.attributes;
        let objects = Objects::new(attributes);
        let mut texts = TextColumn::new(attributes.rows());
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
        let mut texts = TextColumn::new(attributes.rows());
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

/// Text of few or many different values: what repeats is copied, put in order and encoded once.
fn dictionary<'a>(values: impl Iterator<Item = Option<Any<'a>>>) -> ArrayRef {
    let mut texts = Texts::default();
    let text = |value| if let Some(Any::Text(text)) = value { Some(text) } else { None };
    let keys: Int32Array = values.map(|value| text(value).map(|text| texts.intern(text.as_bytes()) as i32)).collect();
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values(texts.iter()))))
}

fn numbers<T: ArrowPrimitiveType>(values: impl Iterator<Item = Option<T::Native>>) -> ArrayRef {
    let mut column = PrimitiveBuilder::<T>::with_capacity(values.size_hint().0);
    values.for_each(|value| column.append_option(value));
    Arc::new(column.finish())
}
