//! Tables whose rows replace others: the file of a day has the newest row of each key, at any moment.

mod crash;
mod merge;
mod model;
mod power;
mod retract;
mod store;

use std::os::unix::fs::MetadataExt;

use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};

use super::*;
use crate::tables::Mode;

const DAY: i64 = 24 * HOUR;

/// A row as it is given: its key (a service and a code), and its value.
type Given = (Option<&'static str>, Option<i64>, f64);

/// A row as it is found: its time, its key, its value, its revision.
type Found = (i64, Option<String>, Option<i64>, String, i64);

fn given(service: &'static str, value: f64) -> Given {
    (Some(service), None, value)
}

fn found(time: i64, service: &str, value: f64, revision: i64) -> Found {
    (time, Some(service.to_owned()), None, value.to_string(), revision)
}

fn column(name: &str, data_type: DataType) -> PluginColumn {
    PluginColumn { name: name.to_owned(), data_type, json: false, description: "A column".to_owned() }
}

fn declared(name: &str) -> DerivedTable {
    let time = DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, Some("UTC".into()));
    DerivedTable {
        name: name.to_owned(),
        columns: vec![
            column("time", time),
            column("service", DataType::Utf8),
            column("code", DataType::Int64),
            column("value", DataType::Float64),
        ],
        time: Some("time".to_owned()),
        mode: Mode::Upsert,
        key: vec!["service".to_owned(), "code".to_owned()],
    }
}

/// `daily` and `hourly`, both of services and codes.
fn upserts() -> Arc<Tables> {
    let derived = vec![declared("daily"), declared("hourly")];
    Arc::new(Tables::new(TableOptions { derived, ..TableOptions::default() }).unwrap())
}

/// Rows at a time, computed so many microseconds after 1970.
fn batch(time: i64, computed_at: i64, rows: &[Given]) -> RecordBatch {
    let times = Int64Array::from_value(time, rows.len());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| Some(row.2)))),
    ];
    upserts().derived("daily", &columns, computed_at.saturating_mul(1_000), "kpi 1.0.0", "abc").unwrap()
}

fn begin(options: WriteOptions) -> Writer {
    Writer::start(options, upserts()).unwrap().0
}

/// Rows of `daily` at noon.
fn put(writer: &Writer, order: u64, rows: &[Given]) {
    writer.upsert("daily", order, batch(NOON, order as i64, rows), false).unwrap();
}

/// The rows of a table in the order of their file, by the path of the file.
fn rows_of(batches: &[RecordBatch]) -> Vec<Found> {
    let mut rows = Vec::new();
    for batch in batches {
        let batch = &crate::tables::in_memory(batch).unwrap();
        let texts = batch.column_by_name("service").unwrap().as_string::<i32>();
        let number = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>();
        let (codes, revisions) = (number("code"), number("revision"));
        let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>();
        for (row, time) in times_of(batch).into_iter().enumerate() {
            let service = texts.is_valid(row).then(|| texts.value(row).to_owned());
            let code = codes.is_valid(row).then(|| codes.value(row));
            rows.push((time, service, code, values.value(row).to_string(), revisions.value(row)));
        }
    }
    rows
}

fn rows_in(place: &Place, table: &str) -> Vec<Found> {
    rows_of(&read(&place.to(), table, &["time", "service", "code", "value", "revision"]).unwrap())
}

fn daily(place: &Place) -> Vec<Found> {
    rows_in(place, "daily")
}

fn computed_at(place: &Place) -> Vec<i64> {
    let batches = read(&place.to(), "daily", &["computed_at"]).unwrap();
    let times = |batch: &RecordBatch| batch.column(0).as_primitive::<TimestampNanosecondType>().values().to_vec();
    batches.iter().flat_map(times).map(|time| time / 1_000).collect()
}

const FILE: &str = "daily/day=2026-01-01/weir.parquet";

fn inode(place: &Place) -> u64 {
    std::fs::metadata(place.to().join(FILE)).unwrap().ino()
}
