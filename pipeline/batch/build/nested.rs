//! Columns of lists, attributes and structures under construction.

use super::{Part, harvest, none_yet, offsets};
use crate::batch::attributes::{Attributes, Mark};
use crate::batch::value::Value;
use crate::batch::{Children, Column, Shared, Values};
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, ListArray, PrimitiveArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use std::sync::Arc;

/// Lists of numbers.
#[derive(Debug)]
pub(crate) struct Lists<T: ArrowPrimitiveType> {
    pub(crate) values: Vec<T::Native>,
    ends: Vec<i32>,
    valid: NullBufferBuilder,
    /// Rows without a list at the end that are only counted yet.
    missing: usize,
    kept: usize,
}

impl<T: ArrowPrimitiveType> Default for Lists<T> {
    fn default() -> Self {
        Self { values: Vec::new(), ends: Vec::new(), valid: none_yet(), missing: 0, kept: 0 }
    }
}

impl<T: ArrowPrimitiveType> Lists<T> {
    /// Ends a row, whose values are those that were added since the last one.
    #[inline]
    pub(crate) fn end_row(&mut self, valid: bool) {
        let end = self.values.len() as i32;
        if !valid && self.ends.last().copied().unwrap_or(0) == end {
            self.missing += 1;
            return;
        }
        self.settle();
        self.ends.push(end);
        self.valid.append(valid);
    }

    /// Adds the rows that were only counted: no values were added after the last of `ends` while they came.
    fn settle(&mut self) {
        if self.missing > 0 {
            let missing = std::mem::take(&mut self.missing);
            self.ends.resize(self.ends.len() + missing, self.ends.last().copied().unwrap_or(0));
            self.valid.append_n_nulls(missing);
        }
    }

    fn take_ends(&mut self) -> (OffsetBuffer<i32>, Option<arrow_buffer::NullBuffer>) {
        self.settle();
        self.kept = 0;
        (offsets(&harvest(&mut self.ends)), self.valid.finish())
    }
}

impl<T: ArrowPrimitiveType + std::fmt::Debug> Part for Lists<T> {
    fn commit(&mut self) -> usize {
        self.settle();
        self.kept = self.ends.len();
        self.ends.len() * 4 + self.values.len() * size_of::<T::Native>()
    }

    fn rollback(&mut self) {
        self.missing = 0;
        self.ends.truncate(self.kept);
        self.valid.truncate(self.kept);
        self.values.truncate(self.ends.last().map_or(0, |&end| end as usize));
    }

    fn finish(&mut self) -> Column {
        let (offsets, valid) = self.take_ends();
        let values = PrimitiveArray::<T>::new(ScalarBuffer::from(harvest(&mut self.values)), None);
        let field = Arc::new(Field::new("item", T::DATA_TYPE, false));
        Column::Array(Arc::new(ListArray::new(field, offsets, Arc::new(values), valid)))
    }
}

/// Quantiles of summaries: pairs of the quantile and its value.
#[derive(Debug, Default)]
pub(crate) struct QuantileLists {
    pub(crate) quantiles: Vec<f64>,
    /// The value of each quantile, and the lists' ends.
    pub(crate) values: Lists<arrow_array::types::Float64Type>,
}

impl Part for QuantileLists {
    fn commit(&mut self) -> usize {
        self.values.commit() + self.quantiles.len() * 8
    }

    fn rollback(&mut self) {
        self.values.rollback();
        self.quantiles.truncate(self.values.values.len());
    }

    fn finish(&mut self) -> Column {
        let (offsets, valid) = self.values.take_ends();
        let column = |values: Vec<f64>| -> ArrayRef { Arc::new(arrow_array::Float64Array::from(values)) };
        let field = |name: &str| Field::new(name, DataType::Float64, false);
        let pairs = StructArray::new(
            vec![field("quantile"), field("value")].into(),
            vec![column(harvest(&mut self.quantiles)), column(harvest(&mut self.values.values))],
            None,
        );
        let item = Arc::new(Field::new("item", arrow_array::Array::data_type(&pairs).clone(), false));
        Column::Array(Arc::new(ListArray::new(item, offsets, Arc::new(pairs), valid)))
    }
}

/// Attributes of each row.
#[derive(Debug, Default)]
pub(crate) struct AttributesPart {
    pub(crate) values: Attributes,
    kept: Mark,
}

impl AttributesPart {
    fn take(&mut self) -> Attributes {
        self.kept = Mark::default();
        self.values.harvest()
    }
}

impl Part for AttributesPart {
    fn commit(&mut self) -> usize {
        self.kept = self.values.mark();
        self.values.bytes()
    }

    fn rollback(&mut self) {
        self.values.truncate(self.kept);
    }

    fn finish(&mut self) -> Column {
        Column::Attributes(self.take())
    }
}

/// Attributes that rows share.
#[derive(Debug, Default)]
pub(crate) struct SharedPart {
    pub(crate) keys: Vec<u32>,
    pub(crate) distinct: AttributesPart,
    kept: usize,
}

impl SharedPart {
    /// Ends a shared row and gives it to every row up to `rows` that has none yet.
    pub(crate) fn fill(&mut self, rows: usize) {
        let key = self.distinct.values.end_shared_row();
        self.keys.resize(rows, key);
    }
}

impl Part for SharedPart {
    fn commit(&mut self) -> usize {
        self.kept = self.keys.len();
        self.keys.len() * 4 + self.distinct.commit()
    }

    fn rollback(&mut self) {
        self.keys.truncate(self.kept);
        self.distinct.rollback();
    }

    fn finish(&mut self) -> Column {
        self.kept = 0;
        Column::Shared(Shared { keys: harvest(&mut self.keys), values: self.distinct.take() })
    }
}

/// One value of any type a row.
#[derive(Debug, Default)]
pub(crate) struct ValuesPart {
    pub(crate) values: Vec<Value>,
    pub(crate) arena: Vec<u8>,
    kept: (usize, usize),
}

impl Part for ValuesPart {
    fn commit(&mut self) -> usize {
        self.kept = (self.values.len(), self.arena.len());
        self.values.len() * size_of::<Value>() + self.arena.len()
    }

    fn rollback(&mut self) {
        self.values.truncate(self.kept.0);
        self.arena.truncate(self.kept.1);
    }

    fn finish(&mut self) -> Column {
        self.kept = (0, 0);
        Column::Values(Values { values: harvest(&mut self.values), arena: harvest(&mut self.arena) })
    }
}

/// The columns of a structure, apart from its attributes.
pub(crate) trait Fields: std::fmt::Debug {
    fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut dyn Part));
}

/// A list of structures a row.
#[derive(Debug, Default)]
pub(crate) struct ChildrenPart<F> {
    ends: Vec<u32>,
    pub(crate) attributes: AttributesPart,
    pub(crate) fields: F,
    kept: usize,
}

impl<F> ChildrenPart<F> {
    /// Ends a row, whose children are those that were added since the last one.
    pub(crate) fn end_row(&mut self) {
        self.ends.push(self.attributes.values.rows() as u32);
    }
}

impl<F: Fields> Part for ChildrenPart<F> {
    fn commit(&mut self) -> usize {
        self.kept = self.ends.len();
        let mut bytes = self.kept * 4 + self.attributes.commit();
        self.fields.each(&mut |_, part| bytes += part.commit());
        bytes
    }

    fn rollback(&mut self) {
        self.ends.truncate(self.kept);
        self.attributes.rollback();
        self.fields.each(&mut |_, part| part.rollback());
    }

    fn finish(&mut self) -> Column {
        self.kept = 0;
        let mut columns = Vec::new();
        self.fields.each(&mut |name, part| {
            if let Column::Array(array) = part.finish() {
                columns.push((name, array));
            }
        });
        Column::Children(Children { ends: harvest(&mut self.ends), columns, attributes: self.attributes.take() })
    }
}
