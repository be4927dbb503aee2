//! The process dies or the power fails at every operation of stage, record and publish, of rows that are appended and rows
//! that replace others: an epoch is there as a whole, with its position and its state, or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::files::{Files, Simulated};
use crate::write::{Along, Restored};
use crate::{Error, Result};

/// The epochs of the script.
const EPOCHS: u64 = 4;

fn options(files: &Simulated) -> WriteOptions {
    WriteOptions {
        row_group_rows: 2,
        file_bytes_max: 1,
        zstd_level: None,
        files: Arc::new(files.clone()),
        ..WriteOptions::new(Destination::Local("/data".into()), "/data/_staging")
    }
}

/// How many seeds a test tries: `WEIR_SEEDS`, or this many.
fn seeds(usual: u64) -> u64 {
    std::env::var("WEIR_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}

/// What each epoch appends and replaces: the position of an epoch is its number, and so is its state.
fn epoch(writer: &Writer, number: u64) -> Result<()> {
    let time = NOON + number as i64;
    // Two folders; of the first one two row groups, of which one is a file of its own.
    writer.write("logs", logs(&[time, time + 100, time + 200, time + HOUR]))?;
    let value = number as f64;
    writer.upsert("daily", number, batch(NOON, time, &[given("all", value), given("steady", 0.5)]), false)?;
    if number.is_multiple_of(2) {
        writer.upsert("daily", number, batch(NOON, time, &[given("odd", 0.0)]), true)?;
    } else {
        writer.upsert("daily", number, batch(NOON, time, &[given("odd", value)]), false)?;
    }
    let state = Some(number.to_le_bytes().to_vec());
    writer.rotate(Along {
        position: number,
        watermark: Some(time),
        state,
        whole: number.is_multiple_of(3),
        ..Along::default()
    });
    writer.commit()?;
    // Now and then two epochs are published together.
    if number.is_multiple_of(2) { writer.publish().map(drop) } else { Ok(()) }
}

fn logs(times: &[i64]) -> RecordBatch {
    let rows: Vec<Row> = times.iter().map(|&time| sample::row(time, "shop")).collect();
    upserts().record_batch(&sample::batch(Signal::Logs, &rows, &[vec![]])).unwrap()
}

/// Starts, and goes on with the script where the last commit was.
fn go_on(files: &Simulated) -> Result<()> {
    let (writer, restored) = Writer::start(options(files), upserts())?;
    for number in restored.position + 1..=EPOCHS {
        epoch(&writer, number)?;
    }
    writer.publish().map(drop)
}

/// What the tables have after so many epochs.
fn expected(epochs: u64) -> (Vec<i64>, Vec<Found>) {
    let (mut times, mut daily) = (Vec::new(), BTreeMap::new());
    let mut odd_count = None;
    for number in 1..=epochs {
        let time = NOON + number as i64;
        times.extend([time, time + 100, time + 200, time + HOUR]);
        daily.insert("all", found(NOON, "all", number as f64, number as i64 - 1));
        daily.insert("steady", found(NOON, "steady", 0.5, 0));
        // Its row ends in every second epoch, and what comes then is a new one.
        odd_count = (number % 2 == 1).then_some(number);
    }
    if let Some(number) = odd_count {
        daily.insert("odd", found(NOON, "odd", number as f64, 0));
    }
    times.sort_unstable();
    (times, daily.into_values().collect())
}

/// What the tables have.
fn stored(files: &Simulated) -> (Vec<i64>, Vec<Found>) {
    let mut times: Vec<i64> = content(files, Path::new("/data/logs")).iter().flat_map(times_of).collect();
    times.sort_unstable();
    (times, rows_of(&content(files, Path::new("/data/daily"))))
}

fn content(files: &Simulated, folder: &Path) -> Vec<RecordBatch> {
    let Ok(Some(_)) = files.stat(folder) else { return Vec::new() };
    let mut batches = Vec::new();
    for entry in files.list(folder).unwrap() {
        let path = folder.join(&entry.name);
        if entry.stat.is_folder {
            batches.extend(content(files, &path));
            continue;
        }
        let content = Bytes::from(files.read(&path).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(content).unwrap().build().unwrap();
        batches.extend(reader.map(|batch| batch.unwrap()));
    }
    batches
}

/// The state as of a position: a whole one of every third epoch, and of the first, and what changed since.
fn state(position: u64) -> Vec<Vec<u8>> {
    let whole = (1..=position).rev().find(|number| number.is_multiple_of(3)).unwrap_or(1);
    (whole..=position).map(|number| number.to_le_bytes().to_vec()).collect()
}

/// What a start finds is an epoch, whole; and the script ends as if nothing had been.
fn check(files: &Simulated, committed: u64, what: &str) {
    let (writer, restored) = Writer::start(options(files), upserts()).unwrap_or_else(|error: Error| {
        panic!("{what}: it does not start any more: {error}");
    });
    let Restored { epoch, position, watermark, state: found } = restored;
    assert!(position >= committed, "{what}: epoch {committed} was committed, and {position} is there");
    assert_eq!(epoch, position, "{what}");
    assert_eq!(watermark, (position > 0).then(|| NOON + position as i64), "{what}");
    assert_eq!(found, state(position), "{what}");
    writer.publish().unwrap();
    assert_eq!(stored(files), expected(position), "{what}: after {position} epochs");
    assert_eq!(writer.published_position(), position, "{what}");
    drop(writer);
    go_on(files).unwrap();
    assert_eq!(stored(files), expected(EPOCHS), "{what}: at the end, from {position}");
}

/// Runs the script until it is stopped; the last epoch whose commit returned.
fn run(files: &Simulated) -> u64 {
    let Ok((writer, _)) = Writer::start(options(files), upserts()) else { return 0 };
    for number in 1..=EPOCHS {
        // The commit stands where the record does, whatever comes after it.
        if epoch(&writer, number).is_err() {
            return writer.recorded_position();
        }
    }
    EPOCHS
}

#[test]
fn an_epoch_is_there_as_a_whole_or_not_at_all_after_a_crash_at_every_operation() {
    let whole = Simulated::new(1);
    assert_eq!(run(&whole), EPOCHS);
    let operations = whole.operations();
    assert!(operations > 100, "{operations}");
    check(&whole, EPOCHS, "without a crash");
    for operation in 0..operations {
        for seed in 0..seeds(1) {
            let files = Simulated::new(operation * 1000 + seed);
            files.stop_at(operation);
            let committed = run(&files);
            check(&files.restart(), committed, &format!("killed at operation {operation}"));
            check(&files.crash(), committed, &format!("power lost at operation {operation}, seed {seed}"));
        }
    }
}

#[test]
fn what_a_start_has_recovered_survives_a_power_cut_right_after() {
    let whole = Simulated::new(1);
    run(&whole);
    for operation in 0..whole.operations() {
        let files = Simulated::new(operation);
        files.stop_at(operation);
        run(&files);
        let files = files.restart();
        let (writer, restored) = Writer::start(options(&files), upserts()).unwrap();
        writer.publish().unwrap();
        // The log would be trimmed up to here.
        assert_eq!(writer.published_position(), restored.position);
        for _ in 0..seeds(4) {
            let (_, again) = Writer::start(options(&files.crash()), upserts()).unwrap();
            assert!(again.position >= restored.position, "killed at operation {operation}: the epoch is gone");
        }
        check(&files.crash(), restored.position, &format!("killed at operation {operation}, then power lost"));
    }
}
