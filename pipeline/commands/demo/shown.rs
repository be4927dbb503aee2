//! Rows of tables read back, and how their values are shown to people.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array as _, RecordBatch};
use std::path::Path;
use weir::{Error, Result, write};

/// What stands where nothing can be said.
pub(super) const NOTHING: &str = "–";

/// A row of a table.
pub(super) struct Row<'a> {
    rows: &'a RecordBatch,
    row: usize,
}

/// The rows of a table, with these columns. A table that has no file has no rows.
pub(super) struct Table(Vec<RecordBatch>);

impl Table {
    /// Reads the files of a table; every one of them has to have the columns.
    pub(super) fn read(folder: &Path, table: &str, columns: &[&str]) -> Result<Self> {
        let batches = write::read(folder, table, columns)?;
        for batch in &batches {
            if let Some(column) = columns.iter().find(|column| batch.column_by_name(column).is_none()) {
                return Err(Error::bug(format!("the table {table} was written without its column {column}")));
            }
        }
        Ok(Self(batches))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.0.iter().flat_map(|rows| (0..rows.num_rows()).map(move |row| Row { rows, row }))
    }
}

/// Values by column; none where there is none, and where the column is of another type.
impl<'a> Row<'a> {
    /// The text, empty where there is none.
    pub(super) fn text(&self, column: &str) -> &'a str {
        let column = self.rows.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
        column.filter(|column| column.is_valid(self.row)).map_or("", |column| column.value(self.row))
    }

    pub(super) fn number(&self, column: &str) -> Option<f64> {
        let column = self.rows.column_by_name(column).filter(|column| column.is_valid(self.row))?;
        let floats = column.as_primitive_opt::<Float64Type>().map(|column| column.value(self.row));
        floats.or_else(|| Some(column.as_primitive_opt::<UInt64Type>()?.value(self.row) as f64))
    }

    pub(super) fn int(&self, column: &str) -> Option<i64> {
        let column = self.rows.column_by_name(column).filter(|column| column.is_valid(self.row))?;
        Some(column.as_primitive_opt::<Int64Type>()?.value(self.row))
    }

    /// Nanoseconds since 1970.
    pub(super) fn time(&self, column: &str) -> Option<i64> {
        let column = self.rows.column_by_name(column).filter(|column| column.is_valid(self.row))?;
        Some(column.as_primitive_opt::<TimestampNanosecondType>()?.value(self.row))
    }

    pub(super) fn is(&self, column: &str) -> bool {
        let column = self.rows.column_by_name(column).and_then(|column| column.as_boolean_opt());
        column.is_some_and(|column| column.is_valid(self.row) && column.value(self.row))
    }
}

/// A share from 0 to 1, as percent.
pub(super) fn percent(share: Option<f64>, digits: usize) -> String {
    share.map_or_else(|| NOTHING.to_owned(), |share| format!("{:.digits$} %", share * 100.0))
}

/// Seconds, in the unit that reads best.
pub(super) fn duration(seconds: Option<f64>) -> String {
    match seconds {
        None => NOTHING.to_owned(),
        Some(seconds) if seconds < 120.0 => format!("{seconds:.0} s"),
        Some(seconds) if seconds < 7200.0 => format!("{:.1} min", seconds / 60.0),
        Some(seconds) => format!("{:.1} h", seconds / 3600.0),
    }
}

/// The time of the day in UTC, to the minute.
pub(super) fn clock(time_ns: Option<i64>) -> String {
    let Some(time_ns) = time_ns else { return NOTHING.to_owned() };
    let minute = time_ns.div_euclid(60_000_000_000).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_reads_best() {
        let shown = [0.0, 119.0, 120.0, 990.0, 7199.0, 7200.0, 90_000.0].map(|seconds| duration(Some(seconds)));
        assert_eq!(shown, ["0 s", "119 s", "2.0 min", "16.5 min", "120.0 min", "2.0 h", "25.0 h"]);
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_never_a_zero() {
        assert_eq!([percent(None, 2), duration(None), clock(None)], [NOTHING; 3]);
        assert_eq!(percent(Some(0.0), 2), "0.00 %");
    }

    #[test]
    fn a_clock_shows_the_minute_of_the_day() {
        assert_eq!(clock(Some(1_772_496_000_000_000_000)), "00:00");
        assert_eq!(clock(Some(1_772_496_000_000_000_000 + 86_399_000_000_000)), "23:59");
    }
}
