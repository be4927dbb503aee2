//! What writing costs: batches into rows of tables, and rows into Parquet files.
//!
//! `cargo bench --bench write [-- [SIGNAL] [rounds=N]]`. Figures are means of CPU time in nanoseconds a row. Files go to a
//! folder for temporary files (`TMPDIR`); the figure `close` is what encoding, fsync and rename of one file with all rows cost
//! together. `mixed` are rows of requests of 1,000 rows from 4 resources each, others are 8,192 rows of one resource.

mod requests;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use requests::shaped::{self, Shape};
use requests::{Numbers, ROWS, logs, metrics, spans};
use weir::Signal;
use weir::batch::Batch;
use weir::decode::{Builder, decode};
use weir::tables::{TableOptions, Tables};
use weir::write::{Destination, WriteOptions, Writer};

/// Requests of 8192 rows that one file has: a row group of 65,536 rows.
const REQUESTS: usize = 8;
const MIXED: Shape = Shape { rows: 1024, resources: 4, services: 20 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let rounds = arguments.iter().find_map(|argument| argument.strip_prefix("rounds="));
    let rounds = rounds.map_or(15, |rounds| rounds.parse().expect("a number of rounds"));
    println!(
        "{:<8} {:<13} {:<9} {:>10} {:>10} {:>10}",
        "", "compression", "order", "write ns", "close ns", "bytes/row"
    );
    let all = !arguments.iter().any(|argument| Signal::ALL.iter().any(|signal| argument == signal.name()));
    for signal in Signal::ALL.into_iter().filter(|signal| all || arguments.iter().any(|name| name == signal.name())) {
        let alike = match signal {
            Signal::Spans => spans,
            Signal::Logs => logs,
            Signal::Metrics => metrics,
        };
        let mixed = match signal {
            Signal::Spans => shaped::spans,
            Signal::Logs => shaped::logs,
            Signal::Metrics => shaped::metrics,
        };
        let parts = (ROWS / MIXED.rows) as u64;
        run(signal, rounds, signal.name(), &|number| vec![alike(number)]);
        run(signal, rounds, "mixed", &|number| (0..parts).map(|part| mixed(number * parts + part, &MIXED)).collect());
    }
}

fn run(signal: Signal, rounds: usize, name: &str, requests: &dyn Fn(u64) -> Vec<Vec<u8>>) {
    let tables = Arc::new(Tables::new(options()).expect("default tables"));
    // No row stands twice: that would compress as nothing else does.
    let batches: Vec<Batch> = (0..REQUESTS as u64).map(|number| decoded(signal, &requests(number))).collect();
    println!("{name:<8} record_batch {:>20.0}", record_batch(&tables, &batches, rounds));
    let rows = |batch: &Batch| shuffled(&tables.record_batch(batch).expect("rows of a table"));
    let rows: Vec<RecordBatch> = batches.iter().map(rows).collect();
    println!("{name:<8} memory       {:>20.0} bytes a row", memory(&rows));
    for (compression, zstd_level) in [("zstd-1", Some(1)), ("uncompressed", None)] {
        for (order, sort) in [("sorted", true), ("unsorted", false)] {
            let [write, close, bytes] = files(signal, &tables, &rows, zstd_level, sort, rounds);
            println!("{name:<8} {compression:<13} {order:<9} {write:>10.0} {close:>10.0} {bytes:>10.2}");
        }
    }
}

/// The promoted columns of the default configuration.
fn options() -> TableOptions {
    TableOptions { promote: weir::config::Config::default().write.promote, ..TableOptions::default() }
}

/// Bytes in memory of a row that waits to be encoded.
fn memory(rows: &[RecordBatch]) -> f64 {
    rows.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() as f64 / (REQUESTS * ROWS) as f64
}

fn decoded(signal: Signal, requests: &[Vec<u8>]) -> Batch {
    let mut builder = Builder::new(signal);
    let rows = requests.iter().map(|body| decode(body, &mut builder).expect("a valid request").rows);
    assert_eq!(rows.sum::<u64>(), ROWS as u64);
    builder.finish()
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(stat.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

/// Nanoseconds a row for batches into rows of their table.
fn record_batch(tables: &Tables, batches: &[Batch], rounds: usize) -> f64 {
    let round = |_| {
        let start = cpu();
        for batch in batches {
            drop(black_box(tables.record_batch(black_box(batch))));
        }
        cpu() - start
    };
    per_row((0..rounds).map(round).collect(), batches.len() * ROWS)
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
    rounds: usize,
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
    for _ in 0..rounds {
        let start = cpu();
        for rows in batches {
            writer.write(signal.name(), black_box(rows.clone())).expect("rows are taken");
        }
        write.push(cpu() - start);
        let start = cpu();
        let closed = writer.close_epoch().expect("files are published");
        close.push(cpu() - start);
        assert_eq!((closed.rows, closed.files), ((REQUESTS * ROWS) as u64, 1));
        bytes = closed.bytes;
    }
    let rows = REQUESTS * ROWS;
    [per_row(write, rows), per_row(close, rows), bytes as f64 / rows as f64]
}

/// The kernel counts in ticks, so that many rounds together are exact and one is not.
fn per_row(times: Vec<Duration>, rows: usize) -> f64 {
    times.iter().sum::<Duration>().as_nanos() as f64 / (times.len() * rows) as f64
}
