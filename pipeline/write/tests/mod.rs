//! What the writer promises: whole files, each row once, names that are never used twice.

mod files;
mod promises;
mod start;
mod store;
mod upsert;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use tempfile::TempDir;

use super::{Destination, WriteOptions, Writer, read};
use crate::Signal;
use crate::tables::sample::{self, Row};
use crate::tables::{DerivedTable, PluginColumn, TableOptions, Tables};

/// 2026-01-01T12:00:00Z
const NOON: i64 = 1_767_268_800_000_000_000;
const HOUR: i64 = 3_600_000_000_000;

/// Folders of a test: one for tables and one for staging.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn to(&self) -> PathBuf {
        self.0.path().join("tables")
    }

    fn staging(&self) -> PathBuf {
        self.0.path().join("staging")
    }

    fn options(&self) -> WriteOptions {
        WriteOptions::new(Destination::Local(self.to()), self.staging())
    }

    fn start(&self) -> Writer {
        start(self.options())
    }

    /// The files of tables that a reader finds.
    fn published(&self) -> Vec<String> {
        listing(&self.to())
    }

    fn staged(&self) -> Vec<String> {
        listing(&self.staging()).into_iter().filter(|name| name.ends_with(".parquet")).collect()
    }

    /// The times in a table, ascending: here a row is known by its time.
    fn times(&self, table: &str) -> Vec<i64> {
        let mut times: Vec<i64> = read(&self.to(), table, &["time"]).unwrap().iter().flat_map(times_of).collect();
        times.sort_unstable();
        times
    }
}

fn start(options: WriteOptions) -> Writer {
    Writer::start(options, tables()).unwrap().0
}

fn tables() -> Arc<Tables> {
    let column = |name: &str, data_type| PluginColumn {
        name: name.to_owned(),
        data_type,
        json: false,
        description: "A column".to_owned(),
    };
    let time = DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, Some("UTC".into()));
    let columns = vec![column("time", time), column("value", DataType::Int64)];
    let derived = vec![DerivedTable {
        name: "kpi".to_owned(),
        columns,
        time: Some("time".to_owned()),
        ..DerivedTable::default()
    }];
    Arc::new(Tables::new(TableOptions { derived, ..TableOptions::default() }).unwrap())
}

fn rows(signal: Signal, rows: &[Row]) -> RecordBatch {
    tables().record_batch(&sample::batch(signal, rows, &[vec![]])).unwrap()
}

/// Spans of one service at those times.
fn spans(times: &[i64]) -> RecordBatch {
    rows(Signal::Spans, &times.iter().map(|&time| sample::row(time, "shop")).collect::<Vec<_>>())
}

fn times_of(batch: &RecordBatch) -> Vec<i64> {
    let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>();
    assert_eq!(times.null_count(), 0);
    times.values().to_vec()
}

/// Every file below a folder but locks, by its path from there.
fn listing(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, top: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, top, found);
            } else if path.file_name().unwrap() != "_lock" {
                found.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
