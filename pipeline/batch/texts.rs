//! The texts of a batch, place by place, for those who look for what must not be there.

use super::attributes::{Texts, edit_value};
use super::value::visit_texts;
use super::{Batch, Column};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow_schema::DataType;
use std::sync::Arc;

impl Batch {
    /// The names of the columns that hold text: those of text, of attributes, of values and of structures.
    pub fn places(&self) -> Vec<&str> {
        self.columns().filter(|(_, column)| has_text(column)).map(|(name, _)| name).collect()
    }

    /// The distinct texts of a place and of all that it contains, in the order in which they come first: values, keys,
    /// text in bytes, and numbers of twelve digits or more.
    pub fn texts(&self, place: &str) -> Result<StringArray> {
        let column = self.column(place).filter(|column| has_text(column));
        let column = column.ok_or_else(|| self.no_place(place))?;
        Ok(StringArray::from_iter_values(distinct(column).iter()))
    }

    /// Replaces the texts of a place, as [`Batch::texts`] lists them; null leaves one as it is. No byte of a text that
    /// was replaced remains in the batch's column.
    pub fn replace_texts(&mut self, place: &str, replacements: &StringArray) -> Result<()> {
        let unknown = self.no_place(place);
        let found = self.columns.iter_mut().find(|(name, column)| **name == *place && has_text(column));
        let (_, column) = found.ok_or(unknown)?;
        let known = distinct(column);
        if known.len() != replacements.len() {
            let (known, given) = (known.len(), replacements.len());
            return Err(Error::plugin(format!("{place}: has {known} texts, {given} replacements were given")));
        }
        if replacements.null_count() == replacements.len() {
            return Ok(());
        }
        let mut edit = |text: &str| {
            let id = known.find(text)? as usize;
            replacements.is_valid(id).then(|| replacements.value(id).to_owned())
        };
        match Arc::make_mut(column) {
            Column::Array(array) => *array = edit_array(array, &mut edit),
            Column::Attributes(attributes) => attributes.edit_texts(&mut edit),
            Column::Shared(shared) => shared.values.edit_texts(&mut edit),
            Column::Values(values) => {
                let (mut arena, mut scratch) = (Vec::new(), Vec::new());
                for value in &mut values.values {
                    let any = value.resolve(&values.arena);
                    *value = edit_value(any, *value, &mut arena, &mut scratch, &mut edit);
                }
                values.arena = arena;
            }
            Column::Children(children) => {
                for (_, array) in children.columns.iter_mut().filter(|(_, array)| is_text(array)) {
                    *array = edit_array(array, &mut edit);
                }
                children.attributes.edit_texts(&mut edit);
            }
        }
        Ok(())
    }

    fn no_place(&self, place: &str) -> Error {
        Error::plugin(format!("{place}: no such place of texts; there are {}", self.places().join(", ")))
    }
}

fn is_text(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::Utf8 | DataType::Dictionary(..))
}

fn has_text(column: &Column) -> bool {
    match column {
        Column::Array(array) => is_text(array),
        Column::Attributes(_) | Column::Shared(_) | Column::Values(_) | Column::Children(_) => true,
    }
}

fn distinct(column: &Column) -> Texts {
    let mut texts = Texts::default();
    let mut see = |text: &str| {
        texts.intern(text.as_bytes());
    };
    match column {
        Column::Array(array) => visit_array(array, &mut see),
        Column::Attributes(attributes) => attributes.visit_texts(&mut see),
        Column::Shared(shared) => shared.values.visit_texts(&mut see),
        Column::Values(values) => {
            values.values.iter().for_each(|value| visit_texts(value.resolve(&values.arena), &mut see));
        }
        Column::Children(children) => {
            children.columns.iter().for_each(|(_, array)| visit_array(array, &mut see));
            children.attributes.visit_texts(&mut see);
        }
    }
    texts
}

fn visit_array(array: &ArrayRef, see: &mut dyn FnMut(&str)) {
    if let Some(texts) = array.as_string_opt::<i32>() {
        texts.iter().flatten().for_each(see);
    } else if let Some(texts) = array.as_dictionary_opt::<Int32Type>()
        && let Some(values) = texts.values().as_string_opt::<i32>()
    {
        let mut used = vec![false; values.len()];
        for key in texts.keys().iter().flatten() {
            if !std::mem::replace(&mut used[key as usize], true) {
                see(values.value(key as usize));
            }
        }
    }
}

fn edit_array(array: &ArrayRef, edit: &mut dyn FnMut(&str) -> Option<String>) -> ArrayRef {
    if let Some(texts) = array.as_string_opt::<i32>() {
        let edited = texts.iter().map(|text| {
            let text = text?;
            Some(edit(text).map_or(std::borrow::Cow::Borrowed(text), std::borrow::Cow::Owned))
        });
        return Arc::new(edited.collect::<StringArray>());
    }
    let Some(texts) = array.as_dictionary_opt::<Int32Type>() else { return array.clone() };
    let Some(values) = texts.values().as_string_opt::<i32>() else { return array.clone() };
    // Only what a row has comes along, so that a value that no row has any more does not stay behind.
    let (mut new, mut moved) = (Texts::default(), vec![None; values.len()]);
    let keys: Int32Array = texts
        .keys()
        .iter()
        .map(|key| {
            let old = key? as usize;
            let to = moved[old].get_or_insert_with(|| {
                let text = values.value(old);
                new.intern(edit(text).as_deref().unwrap_or(text).as_bytes()) as i32
            });
            Some(*to)
        })
        .collect();
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values(new.iter()))))
}
