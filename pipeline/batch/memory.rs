//! The memory that a batch keeps.

use super::{Attributes, Batch, Children, Column, Entry, Shared, Value};
use arrow_array::{Array, ArrayRef};
use std::collections::HashSet;
use std::sync::Arc;

impl Batch {
    /// The bytes of memory that the batch keeps from being freed: whole allocations, also where it uses a part of one,
    /// each of them once. [`Batch::bytes`] counts what the rows need.
    pub fn memory_bytes(&self) -> usize {
        let mut seen = HashSet::new();
        let column = |(name, column): &(Arc<str>, Arc<Column>)| {
            size_of::<(Arc<str>, Arc<Column>)>() + size_of::<Column>() + name.len() + of_column(column, &mut seen)
        };
        self.columns.iter().map(column).sum()
    }
}

fn of_column(column: &Column, seen: &mut HashSet<usize>) -> usize {
    match column {
        Column::Array(array) => of_array(array, seen),
        Column::Attributes(attributes) => of_attributes(attributes),
        Column::Shared(Shared { keys, values }) => keys.capacity() * size_of::<u32>() + of_attributes(values),
        Column::Values(values) => values.values.capacity() * size_of::<Value>() + values.arena.capacity(),
        Column::Children(Children { ends, columns, attributes }) => {
            let columns = columns.iter().map(|(_, array)| of_array(array, seen)).sum::<usize>();
            ends.capacity() * size_of::<u32>() + columns + of_attributes(attributes)
        }
    }
}

fn of_attributes(attributes: &Attributes) -> usize {
    attributes.ends.capacity() * size_of::<u32>()
        + attributes.entries.capacity() * size_of::<Entry>()
        + attributes.arena.capacity()
        + attributes.keys.bytes()
}

/// The allocations behind an array; arrays that are slices of one allocation hold it together.
fn of_array(array: &ArrayRef, seen: &mut HashSet<usize>) -> usize {
    let mut bytes = 0;
    let mut parts = vec![array.to_data()];
    while let Some(part) = parts.pop() {
        bytes += size_of_val(&part);
        for buffer in part.buffers().iter().chain(part.nulls().map(|nulls| nulls.buffer())) {
            if seen.insert(buffer.data_ptr().as_ptr().addr()) {
                bytes += buffer.capacity();
            }
        }
        parts.extend(part.child_data().iter().cloned());
    }
    bytes
}
