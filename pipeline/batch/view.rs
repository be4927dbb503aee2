//! A batch as plugins work on it.

use super::access::Place;
use super::given::{Given, attribute_values};
use super::{Attributes, Batch, Column};
use crate::{Error, Result, Signal};
use arrow_array::{Array, ArrayRef, StringArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, ScalarBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// A batch as the plugins of a chain work on it: values that are given to an attribute lie beside the batch, and rows
/// that are dropped are only left out, so that neither costs a copy of what stays. A clone shares everything.
/// [`View::settle`] makes a batch of it again.
#[derive(Clone, Debug)]
pub struct View {
    batch: Batch,
    /// The rows of the batch that are in view, in their order; all of them where it is `None`.
    rows: Option<ScalarBuffer<u32>>,
    written: Vec<Written>,
}

/// What an attribute was set to: a value or null for each row of the batch.
#[derive(Clone, Debug)]
struct Written {
    column: usize,
    key: Arc<str>,
    values: ArrayRef,
}

impl From<Batch> for View {
    fn from(batch: Batch) -> Self {
        Self { batch, rows: None, written: Vec::new() }
    }
}

impl View {
    /// The signal of the rows.
    pub fn signal(&self) -> Signal {
        self.batch.signal
    }

    /// How many rows are in view.
    pub fn rows(&self) -> usize {
        self.rows.as_ref().map_or(self.batch.rows, |rows| rows.len())
    }

    /// Whether there is a column of that name.
    pub fn has_column(&self, name: &str) -> bool {
        self.batch.column(name).is_some()
    }

    /// The names of the columns that hold text.
    pub fn places(&self) -> Vec<&str> {
        self.batch.places()
    }

    /// A column or an attribute, as [`Batch::read`] gives it.
    pub fn read(&self, path: &str) -> Result<ArrayRef> {
        let written = match self.batch.place(path) {
            Some(Place::Attribute(at, key)) => match (&*self.batch.columns[at].1, &self.rows) {
                (Column::Attributes(attributes), _) => return self.attribute(at, attributes, key),
                // Of what type it is, is a question of the rows in view.
                (Column::Shared(shared), Some(rows)) => {
                    let rows = rows.iter().map(|&row| shared.keys[row as usize] as usize);
                    return Ok(attribute_values(&shared.values, key, None, rows));
                }
                _ => false,
            },
            Some(Place::Column(at)) => self.written.iter().any(|written| written.column == at),
            None => false,
        };
        if written {
            return self.clone().settle().read(path);
        }
        self.in_view(path, self.batch.read(path)?)
    }

    fn in_view(&self, path: &str, column: ArrayRef) -> Result<ArrayRef> {
        match &self.rows {
            None => Ok(column),
            Some(rows) => arrow_select::take::take(&column, &UInt32Array::new(rows.clone(), None), None)
                .map_err(|error| Error::bug(format!("{path}: {error}"))),
        }
    }

    fn attribute(&self, at: usize, attributes: &Attributes, key: &str) -> Result<ArrayRef> {
        let written = self.written.iter().find(|written| written.column == at && *written.key == *key);
        let plain = |values: &&ArrayRef| {
            let scalar = matches!(values.data_type(), DataType::Boolean | DataType::Int64 | DataType::Float64);
            self.rows() > 0 && values.null_count() == 0 && (scalar || values.data_type() == &DataType::Utf8)
        };
        if let Some(values) = written.map(|written| &written.values).filter(plain) {
            return self.in_view(key, values.clone());
        }
        let written = written.map(|written| Given::new(&written.values)).transpose()?;
        Ok(match &self.rows {
            None => attribute_values(attributes, key, written.as_ref(), 0..self.batch.rows),
            Some(rows) => attribute_values(attributes, key, written.as_ref(), rows.iter().map(|&row| row as usize)),
        })
    }

    /// Sets a column or attribute, as [`Batch::write`] does.
    pub fn write(&mut self, path: &str, values: &ArrayRef) -> Result<()> {
        let (rows, given) = (self.rows(), values.len());
        if given != rows {
            return Err(Error::plugin(format!("{path}: has {rows} rows, {given} values were given")));
        }
        let values = self.expanded(path, values)?;
        if let Some(Place::Attribute(column, key)) = self.batch.place(path)
            && let Column::Attributes(_) = &*self.batch.columns[column].1
        {
            let values = Given::checked(&values, path)?;
            let before = self.written.iter().position(|written| written.column == column && *written.key == *key);
            if let Some(before) = before {
                if values.logical_null_count() > 0 {
                    // Some rows keep what the attribute was set to before.
                    self.lay_over(column);
                } else {
                    self.written[before].values = values;
                    return Ok(());
                }
            }
            self.written.push(Written { column, key: key.into(), values });
            return Ok(());
        }
        self.batch.write(path, &values)
    }

    /// Makes a column null, or deletes the attribute, in the rows whose bit is set.
    pub fn remove(&mut self, path: &str, rows: &BooleanBuffer) -> Result<()> {
        let (known, given) = (self.rows(), rows.len());
        if given != known {
            return Err(Error::plugin(format!("{path}: has {known} rows, a mask of {given} was given")));
        }
        self.settle_place(path);
        let Some(in_view) = &self.rows else { return self.batch.remove(path, rows) };
        let mut all = BooleanBufferBuilder::new(self.batch.rows);
        all.append_n(self.batch.rows, false);
        rows.set_indices().for_each(|row| all.set_bit(in_view[row] as usize, true));
        self.batch.remove(path, &all.finish())
    }

    /// Renames an attribute in every row that has it; what the row had under the new name goes.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.settle_place(from);
        self.batch.rename(from, to)
    }

    /// The distinct texts of a place, as [`Batch::texts`] lists them.
    pub fn texts(&mut self, place: &str) -> Result<StringArray> {
        self.settle_in_place();
        self.batch.texts(place)
    }

    /// Replaces the texts of a place, as [`Batch::replace_texts`] does.
    pub fn replace_texts(&mut self, place: &str, replacements: &StringArray) -> Result<()> {
        self.settle_in_place();
        self.batch.replace_texts(place, replacements)
    }

    /// Leaves out the rows whose bit is clear, and those beyond the end of `keep`.
    pub fn keep(&mut self, keep: &BooleanBuffer) {
        let count = self.rows();
        let kept = keep.set_indices_u32().take_while(|&row| (row as usize) < count);
        let kept: Vec<u32> = match &self.rows {
            None => kept.collect(),
            Some(rows) => kept.map(|row| rows[row as usize]).collect(),
        };
        if kept.len() < count {
            self.rows = Some(kept.into());
        }
    }

    /// The rows of these numbers, as a batch that holds what they need and no more.
    pub fn take(&self, rows: &[u32]) -> Batch {
        let known = rows.iter().filter(|&&row| (row as usize) < self.rows());
        let rows: Vec<u32> = match &self.rows {
            None => known.copied().collect(),
            Some(in_view) => known.map(|&row| in_view[row as usize]).collect(),
        };
        // Only what lies over these rows is laid over, before the rest is left behind.
        let part = Self { batch: self.batch.clone(), rows: Some(rows.into()), written: self.written.clone() }.settle();
        let all: Vec<u32> = (0..part.rows as u32).collect();
        part.take(&all)
    }

    /// The rows in view as a batch of their own, with the values that were given to them.
    pub fn settle(mut self) -> Batch {
        self.settle_in_place();
        self.batch
    }

    fn settle_in_place(&mut self) {
        match self.rows.take() {
            Some(rows) => {
                let mut written: Vec<_> = (0..self.batch.columns.len()).map(|_| None).collect();
                for (at, laid) in written.iter_mut().enumerate() {
                    *laid = self.laid_over(at, rows.iter().map(|&row| row as usize));
                }
                self.written.clear();
                self.batch = self.batch.select(&rows, written);
            }
            None => {
                while let Some(written) = self.written.first() {
                    self.lay_over(written.column);
                }
            }
        }
    }

    /// Before something else happens to a column: lays over it what was given to its attributes.
    fn settle_place(&mut self, path: &str) {
        if let Some(Place::Column(at) | Place::Attribute(at, _)) = self.batch.place(path) {
            self.lay_over(at);
        }
    }

    fn lay_over(&mut self, at: usize) {
        if let Some(column) = self.laid_over(at, 0..self.batch.rows) {
            self.batch.columns[at].1 = Arc::new(column);
        }
        self.written.retain(|written| written.column != at);
    }

    /// These rows of a column whose attributes were given values; nothing for any other column.
    fn laid_over(&self, at: usize, rows: impl Iterator<Item = usize>) -> Option<Column> {
        let Column::Attributes(attributes) = &*self.batch.columns[at].1 else { return None };
        let written = self.written.iter().filter(|written| written.column == at);
        let written = written.filter_map(|written| Some((&*written.key, Given::new(&written.values).ok()?)));
        let written: Vec<_> = written.collect();
        (!written.is_empty()).then(|| Column::Attributes(attributes.laid_over(rows, &written)))
    }

    /// Values for the rows in view as values for the rows of the batch, null where one is not in view.
    fn expanded(&self, path: &str, values: &ArrayRef) -> Result<ArrayRef> {
        let Some(rows) = &self.rows else { return Ok(values.clone()) };
        let mut places = vec![None; self.batch.rows];
        for (place, &row) in rows.iter().enumerate() {
            places[row as usize] = Some(place as u32);
        }
        arrow_select::take::take(values, &UInt32Array::from(places), None)
            .map_err(|error| Error::bug(format!("{path}: {error}")))
    }
}
