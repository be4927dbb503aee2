//! A row group on its way into a file: its columns are encoded each by itself, by all threads that have nothing better to do.
//!
//! Encoding is nearly half of the work on a row, and a file is one after the other in nature: whoever needs it while another
//! thread encodes would wait, with its processor idle. Here it takes part instead.

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{self, Compressor, Encoded, Position};
use super::partition::locked;
use crate::tables::is_json;

/// Rows that become a row group: those that stand there in `batches`, in that order.
pub(super) struct RowGroup {
    batches: Arc<[RecordBatch]>,
    order: Arc<[Position]>,
    rows: Range<usize>,
    /// For each column those of Parquet that it comes to.
    leaves: Vec<Vec<ColumnDescPtr>>,
    compression: Compression,
    /// The columns, those first that take longest, so that the threads end together.
    turns: Vec<usize>,
    /// How many of them somebody has begun.
    begun: AtomicUsize,
    done: Mutex<Done>,
    all_done: Condvar,
}

/// The chunks of each column, none where they are left to Parquet's writer.
type Columns = Vec<Result<Vec<Encoded>>>;

struct Done {
    columns: Vec<Option<Result<Vec<Encoded>>>>,
    missing: usize,
}

impl RowGroup {
    pub(super) fn new(
        batches: &Arc<[RecordBatch]>,
        order: &Arc<[Position]>,
        rows: Range<usize>,
        descriptions: &[ColumnDescPtr],
        compression: Compression,
    ) -> Self {
        let mut rest = descriptions;
        let columns = batches.first().map_or(0, RecordBatch::num_columns);
        let leaves = (0..columns).map(|at| {
            let (own, others) = rest.split_at(leaves(batches[0].column(at).data_type()));
            rest = others;
            own.to_vec()
        });
        let leaves = leaves.collect();
        let bytes = |at: usize| batches.iter().map(|rows| rows.column(at).get_array_memory_size()).sum::<usize>();
        let mut turns: Vec<usize> = (0..columns).collect();
        turns.sort_by_cached_key(|&at| std::cmp::Reverse(bytes(at)));
        let done = Done { columns: (0..columns).map(|_| None).collect(), missing: columns };
        Self {
            batches: Arc::clone(batches),
            order: Arc::clone(order),
            rows,
            leaves,
            compression,
            turns,
            begun: AtomicUsize::new(0),
            done: Mutex::new(done),
            all_done: Condvar::new(),
        }
    }

    /// Where each of its rows stands.
    pub(super) fn order(&self) -> &[Position] {
        &self.order[self.rows.clone()]
    }

    /// A column in each batch.
    pub(super) fn parts(&self, column: usize) -> Vec<&dyn Array> {
        self.batches.iter().map(|rows| rows.column(column).as_ref()).collect()
    }

    /// Whether there is a column that nobody has begun.
    pub(super) fn has_more(&self) -> bool {
        self.begun.load(Relaxed) < self.turns.len()
    }

    /// Encodes columns for as long as there are any that nobody has begun.
    pub(super) fn help(&self) {
        match Compressor::new(self.compression) {
            Ok(mut compressor) => self.work(|column| self.encode(column, &mut compressor)),
            Err(error) => self.work(|_| Err(ParquetError::General(error.to_string()))),
        }
    }

    /// All columns, encoded by this thread and those that help.
    pub(super) fn finish(&self, compressor: &mut Compressor) -> Columns {
        self.work(|column| self.encode(column, compressor));
        let mut done = locked(&self.done);
        while done.missing > 0 {
            done = self.all_done.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
        done.columns.iter_mut().filter_map(Option::take).collect()
    }

    fn work(&self, mut encode: impl FnMut(usize) -> Result<Vec<Encoded>>) {
        while let Some(&column) = self.turns.get(self.begun.fetch_add(1, Relaxed)) {
            let mut begun = Begun { group: self, column, result: None };
            begun.result = Some(encode(column));
        }
    }

    fn encode(&self, column: usize, compressor: &mut Compressor) -> Result<Vec<Encoded>> {
        let (parts, order, leaves) = (self.parts(column), self.order(), &self.leaves[column]);
        let schema = self.batches[0].schema_ref();
        let field = schema.field(column);
        if let (DataType::List(_), true) = (field.data_type(), field.is_nullable()) {
            let chunks = leaves.iter().map(|descr| chunk::nested(&parts, order.len(), descr, compressor));
            return chunks.collect::<Result<Option<_>>>().map(Option::unwrap_or_default);
        }
        match leaves.as_slice() {
            [descr] => {
                let column = chunk::Column { parts: &parts, order, descr, bounded: !is_json(field) };
                Ok(chunk::encode(column, compressor)?.into_iter().collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// A column that a thread has begun: done when dropped, also by a panic, so that nobody waits for it for ever.
struct Begun<'a> {
    group: &'a RowGroup,
    column: usize,
    result: Option<Result<Vec<Encoded>>>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let panicked =
            || Err(ParquetError::General(format!("column {} was encoded by a thread that panicked", self.column)));
        let result = self.result.take().unwrap_or_else(panicked);
        let mut done = locked(&self.group.done);
        done.columns[self.column] = Some(result);
        done.missing -= 1;
        if done.missing == 0 {
            self.group.all_done.notify_all();
        }
    }
}

/// How many columns of Parquet a column comes to.
pub(super) fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(element) => leaves(element.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        _ => 1,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::ArrowSchemaConverter;

    /// Three rows of two columns, the second of which is larger.
    pub(in crate::write) fn rows() -> RowGroup {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["c".repeat(100), "a".repeat(100), "b".repeat(100)]));
        let batch = RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap();
        let schema = ArrowSchemaConverter::new().convert(&batch.schema()).unwrap();
        let order: Arc<[Position]> = [(0, 1), (0, 2), (0, 0)].into();
        RowGroup::new(&[batch].into(), &order, 0..3, schema.columns(), Compression::UNCOMPRESSED)
    }

    fn bytes(columns: Columns) -> Vec<Vec<u8>> {
        columns.into_iter().map(|chunks| chunks.unwrap().into_iter().flat_map(|(bytes, _)| bytes).collect()).collect()
    }

    fn compressor() -> Compressor {
        Compressor::new(Compression::UNCOMPRESSED).unwrap()
    }

    #[test]
    fn whoever_encodes_a_column_it_comes_out_alike_and_in_its_place() {
        let alone = rows();
        assert_eq!(alone.turns, [1, 0], "the largest first");
        let alone = bytes(alone.finish(&mut compressor()));
        assert_eq!(alone.len(), 2);
        assert!(alone[1].len() > 300 && alone[0].len() < 300);
        let helped = rows();
        std::thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(|| helped.help())));
            assert_eq!(bytes(helped.finish(&mut compressor())), alone);
        });
    }

    #[test]
    fn a_thread_that_panics_leaves_an_error_and_nobody_waiting() {
        let group = rows();
        let panicked = std::thread::scope(|scope| scope.spawn(|| group.work(|_| panic!("on purpose"))).join().is_err());
        assert!(panicked);
        let columns = group.finish(&mut compressor());
        let errors: Vec<String> =
            columns.into_iter().filter_map(|chunks| chunks.err()).map(|error| error.to_string()).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("column 1 was encoded by a thread that panicked"), "{errors:?}");
    }
}
