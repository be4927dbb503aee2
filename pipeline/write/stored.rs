//! Rows of tables in a local folder, hour by hour and in the order of their time, for those who go through them once more.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter};

use super::folder;
use crate::tables::{Layout, Table};
use crate::{Error, Result};

/// The column that orders rows.
const TIME: &str = "time";

const HOUR_NS: i64 = 3_600_000_000_000;

/// The files of one hour of a table.
#[derive(Clone, Debug)]
pub struct StoredHour {
    /// Hours since 1970.
    pub hour: i64,
    /// The files, in the order of their names.
    pub files: Vec<PathBuf>,
    /// Rows, as the files say.
    pub rows: u64,
}

/// Days since 1970 of a date such as `2026-01-31`; none where there is no such day.
pub fn day_of(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    // What is no day of the calendar has another name there.
    (folder::path(Layout::Day, days) == format!("day={date}")).then_some(days)
}

/// The hours of a table that have files, of the days from the first to the last.
///
/// # Errors
///
/// `Storage` where a folder or the end of a file cannot be read.
pub fn stored_hours(to: &Path, table: &str, first_day: i64, last_day: i64) -> Result<Vec<StoredHour>> {
    let mut hours = Vec::new();
    let days = (first_day..=last_day).filter(|day| to.join(table).join(folder::path(Layout::Day, *day)).is_dir());
    for hour in days.flat_map(|day| (0..24).map(move |hour| day.saturating_mul(24).saturating_add(hour))) {
        let files = super::read::files(&to.join(table).join(folder::path(Layout::Hour, hour)))?;
        if files.is_empty() {
            continue;
        }
        let mut rows = 0;
        for path in &files {
            let count = open(path)?.metadata().file_metadata().num_rows();
            rows += u64::try_from(count).unwrap_or(0);
        }
        hours.push(StoredHour { hour, files, rows });
    }
    Ok(hours)
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::storage(format!("{}: {error}; `weir doctor` looks at the tables", path.display()))
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| failed(path, &error))
}

fn times(batch: &RecordBatch) -> std::result::Result<&[i64], ArrowError> {
    let times = batch.column_by_name(TIME).and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    let times = times.filter(|times| times.null_count() == 0);
    times.map(|times| &times.values()[..]).ok_or_else(|| ArrowError::SchemaError("it has no column `time`".into()))
}

impl StoredHour {
    /// The first moment of the hour, in nanoseconds since 1970, and the first one after it; what is before 1970 or beyond the
    /// range of times ends with the range.
    pub fn span_ns(&self) -> Range<i64> {
        self.hour.saturating_mul(HOUR_NS)..self.hour.saturating_add(1).saturating_mul(HOUR_NS)
    }

    /// The times of all rows, in no order.
    ///
    /// # Errors
    ///
    /// `Storage` where a file cannot be read.
    pub fn times(&self) -> Result<Vec<i64>> {
        let mut all = Vec::new();
        for path in &self.files {
            let builder = open(path)?;
            let mask = ProjectionMask::columns(builder.parquet_schema(), [TIME]);
            for batch in builder.with_projection(mask).build().map_err(|error| failed(path, &error))? {
                let batch = batch.map_err(|error| failed(path, &error))?;
                all.extend_from_slice(times(&batch).map_err(|error| failed(path, &error))?);
            }
        }
        Ok(all)
    }

    /// The rows of a part of the hour, ordered by time, with the columns that the table has now.
    ///
    /// # Errors
    ///
    /// `Storage` where a file cannot be read, `Data` where it has a column of another type.
    pub fn rows(&self, table: &Table, part: &Range<i64>) -> Result<RecordBatch> {
        let mut batches = Vec::new();
        for path in &self.files {
            let builder = open(path)?;
            let (part, mask) = (part.clone(), ProjectionMask::columns(builder.parquet_schema(), [TIME]));
            let within = ArrowPredicateFn::new(mask, move |batch| {
                // Nothing comes after the end of time, which belongs to the last part.
                let within = |time: &i64| part.contains(time) || part.end == i64::MAX && *time == i64::MAX;
                Ok(BooleanArray::from_iter(times(&batch)?.iter().map(|time| Some(within(time)))))
            });
            let builder = builder.with_row_filter(RowFilter::new(vec![Box::new(within)])).with_batch_size(16_384);
            for batch in builder.build().map_err(|error| failed(path, &error))? {
                let batch = batch.map_err(|error| failed(path, &error))?;
                batches.push(table.restored(&batch).map_err(|error| error.within(path.display()))?);
            }
        }
        let bug = |error: ArrowError| Error::bug(format!("table `{}`: {error}", table.name));
        let all = concat_batches(&table.schema, &batches).map_err(bug)?;
        let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
        let times = times(&all).map_err(bug)?;
        // Rows of one time stay in the order of their files.
        order.sort_by_key(|row| times[*row as usize]);
        take_record_batch(&all, &UInt32Array::from(order)).map_err(bug)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_day_and_what_is_no_date_is_none() {
        for days in [-719_162, -1, 0, 59, 11_016, 20_515, 2_932_896] {
            let date = folder::path(Layout::Day, days);
            assert_eq!(day_of(date.trim_start_matches("day=")), Some(days), "{date}");
        }
        for wrong in
            ["", "2026", "2026-02-29", "2026-13-01", "2026-00-01", "2026-1-1", "26-01-01", "2026-01-01x", "+026-01-01"]
        {
            assert_eq!(day_of(wrong), None, "{wrong:?}");
        }
    }
}
