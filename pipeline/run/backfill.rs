//! Stored rows through the chain once more, in the order of their event time, as if they came in now.

use super::watermark::LATENESS;
use super::{Pipeline, Shared, Summary};
use crate::batch::Batch;
use crate::config::{Config, Destination, Durability};
use crate::tables::Table;
use crate::write::{StoredHour, stored_hours};
use crate::{Error, Result, Signal};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Rows of all tables together that are in memory at once, beside those in the pipeline.
const ROWS_MAX: usize = 1 << 18;

/// Rows of the tables are taken in turns of so much event time, so that they come in the order in which they happened.
const TURN_NS: i64 = 60_000_000_000;

const DAY_NS: i64 = 86_400_000_000_000;

/// What a call of a plugin may take at least.
const CALL_TIME: Duration = Duration::from_secs(10);

/// Memory that a batch needs on its way, in units of its own.
const COPIES: usize = 2;

/// Stored rows.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The folder of the tables.
    pub folder: PathBuf,
    /// The tables.
    pub signals: Vec<Signal>,
    /// The first day, in days since 1970.
    pub first_day: i64,
    /// The last day, which counts.
    pub last_day: i64,
}

/// What became of stored rows.
#[derive(Clone, Debug)]
pub struct Backfilled {
    /// Where every row went.
    pub summary: Summary,
    /// Calls that failed, by plugin: what they would have done is missing in the tables.
    pub faults: Vec<(String, u64)>,
}

/// One hour of every table.
type Hour = Vec<(Signal, StoredHour)>;

/// Runs stored rows through the chain of a configuration, and writes what comes out, derived tables included, into the tables
/// of a folder. `progress` is told rows read and rows in all. Event time has passed the last day by five minutes in the end,
/// so that what plugins gather over time is complete. Plugins have ten seconds for a call at least: hours pass between two
/// batches where minutes did, and nobody waits for an answer.
///
/// The configuration's own tables, log and state are not touched: of it count the plugins, and how tables are written.
///
/// # Errors
///
/// `Storage` where files cannot be read or written, `Data` where they are not what a weir writes, and what a start says.
pub fn backfill(config: &Config, stored: &Stored, to: &Path, progress: &dyn Fn(u64, u64)) -> Result<Backfilled> {
    let mut config = config.clone();
    config.write.to = Destination::Local(to.to_owned());
    config.write.staging = None;
    config.log.durability = Durability::Memory;
    config.watch.otlp = None;
    for plugin in &mut config.plugins {
        plugin.limits.call_time_max = plugin.limits.call_time_max.max(CALL_TIME);
    }
    let hours = hours(stored)?;
    let total: u64 = hours.values().flatten().map(|(_, hour)| hour.rows).sum();
    let pipeline = Pipeline::builder().config(config).start()?;
    let (shared, counts) = (&*pipeline.shared, Arc::clone(&pipeline.shared.counts));
    let mut done = 0;
    let mut taken = || {
        for hour in hours.values() {
            for part in parts(hour)? {
                done += take(shared, hour, &part)?;
                progress(done, total);
            }
        }
        Ok(())
    };
    let taken: Result<()> = taken();
    if taken.is_ok() {
        let end = stored.last_day.saturating_add(1).saturating_mul(DAY_NS);
        shared.queue.advance(end.saturating_add(LATENESS.as_nanos() as i64));
    }
    let summary = pipeline.shutdown();
    taken?;
    let faults = counts.snapshot().plugins.into_iter().map(|(plugin, of)| (plugin, of.faults.values().sum()));
    Ok(Backfilled { summary, faults: faults.filter(|(_, faults)| *faults > 0).collect() })
}

fn hours(stored: &Stored) -> Result<BTreeMap<i64, Hour>> {
    let mut hours: BTreeMap<i64, Hour> = BTreeMap::new();
    for signal in &stored.signals {
        for hour in stored_hours(&stored.folder, signal.name(), stored.first_day, stored.last_day)? {
            hours.entry(hour.hour).or_default().push((*signal, hour));
        }
    }
    Ok(hours)
}

/// The hour in parts of which each fits into memory, unless very many rows have one time.
fn parts(hour: &Hour) -> Result<Vec<Range<i64>>> {
    let Some(span) = hour.first().map(|(_, hour)| hour.span_ns()) else { return Ok(Vec::new()) };
    let rows: u64 = hour.iter().map(|(_, hour)| hour.rows).sum();
    if rows <= ROWS_MAX as u64 {
        return Ok(vec![span]);
    }
    let mut times = Vec::new();
    for (_, hour) in hour {
        times.extend(hour.times()?);
    }
    Ok(cut(&span, times, ROWS_MAX))
}

/// Parts of a span that lie side by side, each with so many of the times at most, unless more of them are the same.
fn cut(span: &Range<i64>, mut times: Vec<i64>, most: usize) -> Vec<Range<i64>> {
    times.sort_unstable();
    let mut starts = vec![span.start];
    let mut count = 0;
    for same in times.chunk_by(|one, other| one == other) {
        if count + same.len() > most && count > 0 {
            starts.push(same[0]);
            count = 0;
        }
        count += same.len();
    }
    starts.push(span.end);
    starts.dedup();
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Takes the rows of a part of an hour, turn by turn; says how many they are.
fn take(shared: &Shared, hour: &Hour, part: &Range<i64>) -> Result<u64> {
    let mut left = Vec::new();
    let mut count = 0;
    for (signal, hour) in hour {
        let table: &Table =
            shared.tables.table(signal.name()).ok_or_else(|| Error::bug(format!("there is no table of {signal}")))?;
        let rows = hour.rows(table, part)?;
        count += rows.num_rows() as u64;
        left.push((*signal, rows));
    }
    let first = left.iter().filter_map(|(_, rows)| times(rows).first().copied()).min();
    let Some(mut turn) = first else { return Ok(0) };
    while left.iter().any(|(_, rows)| rows.num_rows() > 0) {
        turn = turn.saturating_add(TURN_NS);
        for (signal, rows) in &mut left {
            // The last turn takes everything: there are times at the very end of the range.
            let until = match turn {
                i64::MAX => rows.num_rows(),
                turn => times(rows).partition_point(|time| *time < turn),
            };
            push(shared, *signal, &rows.slice(0, until))?;
            *rows = rows.slice(until, rows.num_rows() - until);
        }
        let next = left.iter().filter_map(|(_, rows)| times(rows).first().copied()).min();
        turn = turn.max(next.unwrap_or(turn));
    }
    Ok(count)
}

/// The times of rows, in their order.
fn times(rows: &RecordBatch) -> &[i64] {
    let column = rows.column_by_name("time").and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>());
    column.map(|times| &times.values()[..]).unwrap_or_default()
}

/// Rows into the queue, in batches that are not larger than others; waits for the memory that they need.
fn push(shared: &Shared, signal: Signal, rows: &RecordBatch) -> Result<()> {
    let rows_max = shared.config.batch.rows_max.max(1);
    for at in (0..rows.num_rows()).step_by(rows_max) {
        let batch: Batch = shared.tables.restore(signal, &rows.slice(at, rows_max.min(rows.num_rows() - at)))?;
        let bytes = batch.bytes().saturating_mul(COPIES).min(shared.budget.bytes_max() / 2);
        let permit = loop {
            if let Some(failure) = shared.failure.get() {
                return Err(failure.clone());
            }
            match shared.budget.hold(bytes) {
                Ok(permit) => break permit,
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        shared.received[signal.index()].fetch_add(batch.rows() as u64, Relaxed);
        shared.queue.push(vec![batch], vec![permit]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_cut_so_that_each_row_is_in_one_part_and_no_part_is_too_large() {
        let (span, most) = (1_000..2_000, 10);
        // 7 rows a nanosecond for a while, then 25 at one, then one in seven.
        let mut times: Vec<i64> = (0..70).map(|row| 1_000 + row / 7).collect();
        times.extend([1_500; 25]);
        times.extend((1_501..2_000).step_by(7));
        times.reverse();
        let parts = cut(&span, times.clone(), most);
        assert_eq!((parts[0].start, parts[parts.len() - 1].end), (span.start, span.end));
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
        for part in &parts {
            let within: Vec<i64> = times.iter().copied().filter(|time| part.contains(time)).collect();
            let one = within.iter().all(|time| *time == within[0]);
            assert!(within.len() <= most || one, "{} rows in {part:?}", within.len());
        }
        assert_eq!(cut(&span, vec![1_000; 25], most), vec![span], "one time cannot be cut");
        assert_eq!(cut(&(0..i64::MAX), vec![i64::MAX; 3], 1), vec![0..i64::MAX], "nor can the end of time");
    }
}
