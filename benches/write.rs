//! What writing costs: batches into rows of tables, and rows into Parquet files.
//!
//! `cargo bench --bench write`. Figures are medians in nanoseconds a row. Files go to a folder for temporary files
//! (`TMPDIR`); the figure `close` is what encoding, fsync and rename of one file with all rows cost together.

mod requests;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use requests::{Numbers, ROWS, logs, metrics, spans};
use weir::Signal;
use weir::batch::Batch;
use weir::decode::{Builder, decode};
use weir::tables::{TableOptions, Tables};
use weir::write::{Destination, WriteOptions, Writer};

/// Requests of 8192 rows that one file has: a row group of 65,536 rows.
const REQUESTS: usize = 8;
const ROUNDS: usize = 15;

fn main() {
    println!(
        "{:<8} {:<13} {:<9} {:>10} {:>10} {:>10}",
        "", "compression", "order", "write ns", "close ns", "bytes/row"
    );
    run(Signal::Spans, spans);
    run(Signal::Logs, logs);
    run(Signal::Metrics, metrics);
}

fn run(signal: Signal, request: fn(u64) -> Vec<u8>) {
    let tables = Arc::new(Tables::new(TableOptions::default()).expect("default tables"));
    // No row stands twice: that would compress as nothing else does.
    let batches: Vec<Batch> = (0..REQUESTS as u64).map(|number| decoded(signal, &request(number))).collect();
    println!("{signal:<8} record_batch {:>20.0}", record_batch(&tables, &batches[0]));
    let rows = |batch: &Batch| shuffled(&tables.record_batch(batch).expect("rows of a table"));
    let rows: Vec<RecordBatch> = batches.iter().map(rows).collect();
    for (compression, zstd_level) in [("zstd-1", Some(1)), ("uncompressed", None)] {
        for (order, sort) in [("sorted", true), ("unsorted", false)] {
            let [write, close, bytes] = files(signal, &tables, &rows, zstd_level, sort);
            println!("{signal:<8} {compression:<13} {order:<9} {write:>10.0} {close:>10.0} {bytes:>10.1}");
        }
    }
}

fn decoded(signal: Signal, body: &[u8]) -> Batch {
    let mut builder = Builder::new(signal);
    let decoded = decode(body, &mut builder).expect("a valid request");
    assert_eq!(decoded.rows, ROWS as u64);
    builder.finish()
}

/// Nanoseconds a row for a batch into rows of its table.
fn record_batch(tables: &Tables, batch: &Batch) -> f64 {
    let round = |_| {
        let start = Instant::now();
        drop(black_box(tables.record_batch(black_box(batch))));
        start.elapsed()
    };
    per_row((0..ROUNDS).map(round).collect(), ROWS)
}

/// The rows as concurrent senders bring them: nearly, but not quite by time, so that ordering them is work.
fn shuffled(rows: &RecordBatch) -> RecordBatch {
    let mut numbers = Numbers(4);
    let mut order: Vec<(u64, u32)> =
        (0..rows.num_rows() as u32).map(|row| (u64::from(row) + numbers.next() % 512, row)).collect();
    order.sort_unstable();
    let order = UInt32Array::from_iter_values(order.into_iter().map(|(_, row)| row));
    take_record_batch(rows, &order).expect("rows in another order")
}

/// Nanoseconds a row for the writer to take rows (without encoding them) and to end the epoch, and bytes a row.
fn files(
    signal: Signal,
    tables: &Arc<Tables>,
    batches: &[RecordBatch],
    zstd_level: Option<i32>,
    sort: bool,
) -> [f64; 3] {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let to = Destination::Local(folder.path().join("tables"));
    let options = WriteOptions {
        zstd_level,
        sort,
        // All rows are encoded when the epoch ends, as one row group.
        row_group_rows: REQUESTS * ROWS + 1,
        memory_bytes_max: usize::MAX,
        ..WriteOptions::new(to, folder.path().join("staging"))
    };
    let (writer, _) = Writer::start(options, Arc::clone(tables)).expect("a writer");
    let (mut write, mut close, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for rows in batches {
            writer.write(signal.name(), black_box(rows.clone())).expect("rows are taken");
        }
        write.push(start.elapsed());
        let start = Instant::now();
        let closed = writer.close_epoch().expect("files are published");
        close.push(start.elapsed());
        assert_eq!((closed.rows, closed.files), ((REQUESTS * ROWS) as u64, 1));
        bytes = closed.bytes;
    }
    let rows = REQUESTS * ROWS;
    [per_row(write, rows), per_row(close, rows), bytes as f64 / rows as f64]
}

fn per_row(mut times: Vec<Duration>, rows: usize) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / rows as f64
}
