//! Some rows of a batch.

use super::{Attributes, Batch, Children, Column, Shared, Values};
use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;
use std::sync::Arc;
#[cfg(test)]
use {arrow_array::BooleanArray, arrow_buffer::BooleanBuffer};

impl Batch {
    /// The rows whose bit is set; a row beyond the end of `keep` goes. What a view is compared with: plugins work on those.
    #[cfg(test)]
    pub(crate) fn filter(&self, keep: &BooleanBuffer) -> Self {
        let rows: Vec<u32> = keep.set_indices_u32().take_while(|&row| (row as usize) < self.rows).collect();
        if rows.len() == self.rows {
            return self.clone();
        }
        let mask = if keep.len() == self.rows {
            BooleanArray::new(keep.clone(), None)
        } else {
            (0..self.rows).map(|row| Some(row < keep.len() && keep.value(row))).collect()
        };
        self.chosen(&rows, Vec::new(), &|array| {
            arrow_select::filter::filter(array, &mask).unwrap_or_else(|_| array.clone())
        })
    }

    /// So many rows from `offset` on, fewer where the batch ends.
    pub fn slice(&self, offset: usize, rows: usize) -> Self {
        let offset = offset.min(self.rows);
        let rows = rows.min(self.rows - offset);
        if rows == self.rows {
            return self.clone();
        }
        let chosen: Vec<u32> = (offset as u32..(offset + rows) as u32).collect();
        self.chosen(&chosen, Vec::new(), &|array| array.slice(offset, rows))
    }

    /// These rows, in this order; columns of `done` are taken as they are.
    pub(super) fn select(&self, rows: &[u32], done: Vec<Option<Column>>) -> Self {
        let indices = UInt32Array::from(rows.to_vec());
        let of_array = |array: &ArrayRef| take(array, &indices, None).unwrap_or_else(|_| array.clone());
        self.chosen(rows, done, &of_array)
    }

    fn chosen(&self, rows: &[u32], mut done: Vec<Option<Column>>, of_array: &dyn Fn(&ArrayRef) -> ArrayRef) -> Self {
        let columns = self.columns.iter().enumerate().map(|(at, (name, column))| {
            if let Some(done) = done.get_mut(at).and_then(Option::take) {
                return (name.clone(), Arc::new(done));
            }
            let column = match &**column {
                Column::Array(array) => Column::Array(of_array(array)),
                Column::Attributes(attributes) => Column::Attributes(attributes.rows_of(rows)),
                Column::Shared(shared) => Column::Shared(shared.rows_of(rows)),
                Column::Values(values) => Column::Values(values.rows_of(rows)),
                Column::Children(children) => Column::Children(children.rows_of(rows)),
            };
            (name.clone(), Arc::new(column))
        });
        Self { signal: self.signal, rows: rows.len(), columns: columns.collect() }
    }
}

impl Attributes {
    fn rows_of(&self, rows: &[u32]) -> Self {
        self.take(rows.iter().map(|&row| row as usize))
    }
}

impl Shared {
    fn rows_of(&self, rows: &[u32]) -> Self {
        let keys = rows.iter().map(|&row| self.keys[row as usize]).collect();
        Self::compact(keys, &self.values)
    }

    /// Only the distinct attributes that a row has.
    pub(super) fn compact(mut keys: Vec<u32>, values: &Attributes) -> Self {
        const UNUSED: u32 = u32::MAX;
        let mut moved = vec![UNUSED; values.rows()];
        let mut used = Vec::new();
        for key in &mut keys {
            let to = &mut moved[*key as usize];
            if *to == UNUSED {
                *to = used.len() as u32;
                used.push(*key);
            }
            *key = *to;
        }
        Self { keys, values: values.rows_of(&used) }
    }
}

impl Values {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.len()
    }

    /// The value of a row.
    pub fn get(&self, row: usize) -> super::Any<'_> {
        self.values[row].resolve(&self.arena)
    }

    pub(super) fn rows_of(&self, rows: &[u32]) -> Self {
        let mut arena = Vec::new();
        let values = rows.iter().map(|&row| self.values[row as usize].moved(&self.arena, &mut arena)).collect();
        Self { values, arena }
    }
}

impl Children {
    /// The children of a row.
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        start..self.ends[row] as usize
    }

    fn rows_of(&self, rows: &[u32]) -> Self {
        let (mut children, mut ends) = (Vec::new(), Vec::with_capacity(rows.len()));
        for &row in rows {
            children.extend(self.range(row as usize).map(|child| child as u32));
            ends.push(children.len() as u32);
        }
        let attributes = self.attributes.rows_of(&children);
        let indices = UInt32Array::from(children);
        let taken = |array: &ArrayRef| take(array, &indices, None).unwrap_or_else(|_| array.clone());
        let columns = self.columns.iter().map(|(name, array)| (*name, taken(array))).collect();
        Self { ends, columns, attributes }
    }
}
