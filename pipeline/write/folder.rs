//! Folders: which one a row belongs to, and how it is named. Names come from numbers alone, never from telemetry.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_select::take::take_record_batch;

use crate::tables::{Layout, Table};
use crate::{Error, Result};

const HOUR_NS: i64 = 3_600_000_000_000;

/// Hours since 1970, or days where the table's folders are days.
pub(super) type Folder = i64;

/// The path of a folder within its table: `day=2026-01-31/hour=07`.
pub(super) fn path(layout: Layout, folder: Folder) -> String {
    let (day, hour) = match layout {
        Layout::Hour => (folder.div_euclid(24), Some(folder.rem_euclid(24))),
        Layout::Day => (folder, None),
    };
    let (year, month, day) = date(day);
    match hour {
        Some(hour) => format!("day={year:04}-{month:02}-{day:02}/hour={hour:02}"),
        None => format!("day={year:04}-{month:02}-{day:02}"),
    }
}

/// The date, in the Gregorian calendar, so many days after 1970-01-01. Years are counted from March, so that the leap day is
/// the last of its year; 400 years have 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// The rows, folder by folder.
pub(super) fn split(table: &Table, batch: RecordBatch) -> Result<Vec<(Folder, RecordBatch)>> {
    let times = times(table, &batch)?;
    let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else { return Ok(Vec::new()) };
    let length = match table.layout {
        Layout::Hour => HOUR_NS,
        Layout::Day => 24 * HOUR_NS,
    };
    // Nearly always; and a division a row is not for nothing.
    if least.div_euclid(length) == most.div_euclid(length) {
        let folder = least.div_euclid(length);
        return Ok(vec![(folder, batch)]);
    }
    let folders: Vec<Folder> = times.iter().map(|time| time.div_euclid(length)).collect();
    let mut order: Vec<u32> = (0..folders.len() as u32).collect();
    order.sort_by_key(|&row| folders[row as usize]);
    order
        .chunk_by(|&one, &other| folders[one as usize] == folders[other as usize])
        .map(|rows| {
            let part = take_record_batch(&batch, &UInt32Array::from(rows.to_vec()));
            let part = part.map_err(|error| Error::bug(format!("table `{}`: {error}", table.name)))?;
            Ok((folders[rows[0] as usize], part))
        })
        .collect()
}

/// The time of each row that says which folder it belongs to.
fn times(table: &Table, batch: &RecordBatch) -> Result<ScalarBuffer<i64>> {
    let times = |column: usize| {
        let times = batch.column(column).as_primitive_opt::<TimestampNanosecondType>();
        times.ok_or_else(|| Error::bug(format!("table `{}`: column {column} is no time", table.name)))
    };
    let first = times(table.time)?;
    match table.time_fallback.map(times).transpose()? {
        Some(fallback) if first.null_count() > 0 => {
            let time = |row| if first.is_null(row) { fallback.value(row) } else { first.value(row) };
            Ok((0..batch.num_rows()).map(time).collect())
        }
        _ => Ok(first.values().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_its_day_and_hour_in_utc() {
        let name = |time_ns: i64| path(Layout::Hour, time_ns.div_euclid(HOUR_NS));
        assert_eq!(name(0), "day=1970-01-01/hour=00");
        assert_eq!(name(951_782_400_000_000_000), "day=2000-02-29/hour=00");
        assert_eq!(name(1_767_225_599_999_999_999), "day=2025-12-31/hour=23");
        assert_eq!(name(-1), "day=1969-12-31/hour=23");
        assert_eq!(name(i64::MAX), "day=2262-04-11/hour=23");
        assert_eq!(name(i64::MIN), "day=1677-09-21/hour=00");
        assert_eq!(path(Layout::Day, 11_016), "day=2000-02-29");
    }
}
