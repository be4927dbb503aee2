//! Memory for texts that is used again. What the rows of one row group held, those of the next want, and pages that the kernel has
//! taken back and gives anew cost more than to write them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;

/// Bytes that wait to be used again at most.
const BYTES_MAX: usize = 32 << 20;

/// Fewer bytes the allocator keeps itself.
const BYTES_MIN: usize = 128 << 10;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// An empty buffer with room for so many bytes, and not for many more: those would be held for nothing.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < BYTES_MIN {
            return Vec::with_capacity(bytes);
        }
        let mut buffers = self.buffers();
        let fits = |buffer: &Vec<u8>| (bytes..=bytes.saturating_add(bytes / 4)).contains(&buffer.capacity());
        let fitting = buffers.iter().enumerate().filter(|(_, buffer)| fits(buffer));
        let found = fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(at, _)| at);
        let found = found.map(|at| buffers.swap_remove(at));
        drop(buffers);
        found.unwrap_or_else(|| Vec::with_capacity(bytes))
    }

    /// Takes a buffer back.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers();
        let held: usize = buffers.iter().map(Vec::capacity).sum();
        if buffer.capacity() >= BYTES_MIN && held + buffer.capacity() <= BYTES_MAX {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Takes the texts of rows that nobody else has.
    pub(crate) fn give_rows(&self, rows: RecordBatch) {
        let (_, columns, _) = rows.into_parts();
        columns.into_iter().filter_map(texts).for_each(|texts| self.give(texts));
    }

    /// Gives everything back to the allocator.
    pub(crate) fn clear(&self) {
        self.buffers().clear();
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a column of texts, if they are nobody else's.
fn texts(column: ArrayRef) -> Option<Vec<u8>> {
    if column.data_type() != &DataType::Utf8 {
        return None;
    }
    let data = column.to_data();
    drop(column);
    let bytes = data.buffers().get(1).cloned();
    drop(data);
    bytes?.into_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;
    use std::sync::Arc;

    fn rows(length: usize) -> RecordBatch {
        let column = StringArray::from(vec!["x".repeat(length)]);
        RecordBatch::try_from_iter([("text", Arc::new(column) as ArrayRef)]).unwrap()
    }

    #[test]
    fn the_memory_of_rows_is_used_again_by_those_that_need_as_much() {
        let spare = Spare::default();
        spare.give_rows(rows(BYTES_MIN));
        assert!(spare.take(BYTES_MIN / 4).capacity() < BYTES_MIN, "that would waste it");
        let buffer = spare.take(BYTES_MIN);
        assert!(buffer.is_empty() && buffer.capacity() >= BYTES_MIN);
        assert_eq!(spare.buffers().len(), 0);
        spare.give(buffer);
        spare.clear();
        assert_eq!(spare.buffers().len(), 0);
    }

    #[test]
    fn what_somebody_else_has_is_not_taken_and_not_more_than_a_limit() {
        let spare = Spare::default();
        let shared = rows(BYTES_MIN);
        spare.give_rows(shared.clone());
        assert_eq!((spare.buffers().len(), shared.num_rows()), (0, 1));
        (0..300).for_each(|_| spare.give(Vec::with_capacity(BYTES_MIN)));
        assert_eq!(spare.buffers().len(), BYTES_MAX / BYTES_MIN);
    }
}
