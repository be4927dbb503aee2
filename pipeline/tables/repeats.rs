//! A column of texts of which some repeat, in a batch: a dictionary in the order in which they come.

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int32Array};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

use super::json::TextColumn;
use crate::batch::build::{RECENT, recent_place, same_text};
use crate::{Error, Result};

const NONE: u32 = u32::MAX;

/// After so many texts it is seen whether they repeat at all.
const TRIAL: usize = 1_024;

/// Texts under construction.
pub(super) struct Repeats {
    texts: TextColumn,
    recent: [u32; RECENT],
    known: HashTable<u32>,
    state: DefaultHashBuilder,
    keys: Vec<i32>,
    /// Rows that have no text.
    missing: Vec<usize>,
}

impl Repeats {
    pub(super) fn new(rows: usize) -> Self {
        Self {
            texts: TextColumn::new(0, 0),
            recent: [NONE; RECENT],
            known: HashTable::new(),
            state: DefaultHashBuilder::default(),
            keys: Vec::with_capacity(rows),
            missing: Vec::new(),
        }
    }

    /// The number of a text. Where most texts were new, one that is not recent gets another number each time: that costs
    /// less than to find the few that are not.
    #[inline]
    pub(super) fn number(&mut self, text: &[u8]) -> Result<i32> {
        let place = recent_place(text);
        let recent = self.recent[place];
        if recent != NONE && same_text(self.texts.get(recent as usize), text) {
            return Ok(recent as i32);
        }
        let number = self.find(text)?;
        self.recent[place] = number;
        Ok(number as i32)
    }

    fn find(&mut self, text: &[u8]) -> Result<u32> {
        let new = self.texts.len() as u32;
        if self.keys.len() < TRIAL || self.texts.len() * 2 < self.keys.len() {
            let (texts, state) = (&self.texts, &self.state);
            let same = |&known: &u32| texts.get(known as usize) == text;
            let hash = |text: &[u8]| state.hash_one(text);
            if let Some(&known) = self.known.find(hash(text), same) {
                return Ok(known);
            }
            self.known.insert_unique(hash(text), new, |&known| hash(texts.get(known as usize)));
        }
        self.texts.push(|out| out.extend_from_slice(text))?;
        Ok(new)
    }

    /// Adds a row with the text of that number.
    #[inline]
    pub(super) fn push(&mut self, number: Option<i32>) {
        if number.is_none() {
            self.missing.push(self.keys.len());
        }
        self.keys.push(number.unwrap_or(0));
    }

    pub(super) fn finish(self) -> Result<DictionaryArray<Int32Type>> {
        let mut valid = None;
        if !self.missing.is_empty() {
            let mut bits = vec![true; self.keys.len()];
            self.missing.iter().for_each(|&row| bits[row] = false);
            valid = Some(NullBuffer::new(BooleanBuffer::from(bits)));
        }
        let keys = Int32Array::new(ScalarBuffer::from(self.keys), valid);
        DictionaryArray::try_new(keys, Arc::new(self.texts.finish(None)?))
            .map_err(|error| Error::bug(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Array, StringArray};

    #[test]
    fn texts_that_repeat_have_one_number_and_those_that_do_not_are_there_all_the_same() {
        for distinct in [3, 3_000, 30_000] {
            let text = |row: usize| format!("text {}", row * 7 % distinct);
            let mut column = Repeats::new(5_000);
            for row in 0..5_000 {
                let number = (row % 5 > 0).then(|| column.number(text(row).as_bytes()).unwrap());
                column.push(number);
            }
            let column = column.finish().unwrap();
            let texts = column.downcast_dict::<StringArray>().unwrap();
            for (row, found) in texts.into_iter().enumerate() {
                assert_eq!(found.map(str::to_owned), (row % 5 > 0).then(|| text(row)));
            }
            assert!(distinct > 3 || column.values().len() == 3);
        }
    }
}
