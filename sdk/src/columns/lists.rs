//! Columns of lists: the bounds and the counts of the buckets of histograms.

use super::{FromColumn, Validity};
use crate::raw::columns as raw;
use crate::{Error, Result};

/// A column of lists of numbers: a slice a row.
#[derive(Clone, Debug)]
pub struct Lists<T> {
    /// One more than there are rows; in order, and none beyond the values: checked once for all rows.
    offsets: Vec<u32>,
    values: Vec<T>,
    valid: Validity,
}

impl<T> Lists<T> {
    fn new(name: &str, offsets: Vec<u32>, values: Vec<T>, valid: Vec<u8>) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(format!("column \"{name}\": {message}")));
        let Some(last) = offsets.last() else {
            return refuse("its lists have no offset, expected one more than there are rows".to_owned());
        };
        if let Some(row) = offsets.windows(2).position(|ends| ends[0] > ends[1]) {
            return refuse(format!("the list of row {row} ends before it begins"));
        }
        if *last as usize > values.len() {
            return refuse(format!("its lists end at {last}, but there are {} values", values.len()));
        }
        Ok(Self { offsets, values, valid: Validity(valid) })
    }

    /// The list of a row; none where it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&[T]> {
        if self.valid.get(row) { Some(self.at(row)) } else { None }
    }

    fn at(&self, row: usize) -> &[T] {
        &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lists, row by row.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[T]>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl<T: Copy + Into<serde_json::Value>> Lists<T> {
    /// Each row as JSON, and which rows have a value.
    pub(super) fn written(self) -> (Vec<String>, Vec<u8>) {
        let text = |row| {
            let values: Vec<serde_json::Value> = self.at(row).iter().map(|value| (*value).into()).collect();
            serde_json::Value::from(values).to_string()
        };
        ((0..self.len()).map(text).collect(), self.valid.0)
    }
}

macro_rules! from_column {
    ($($value:ty => $column:ident, $wanted:literal;)*) => {$(
        impl Lists<$value> {
            pub(super) fn from_raw(name: &str, lists: raw::$column) -> Result<Self> {
                Self::new(name, lists.offsets, lists.values, lists.valid)
            }
        }

        impl FromColumn for Lists<$value> {
            const WANTED: &'static str = $wanted;

            fn from_column(name: &str, column: raw::Column) -> Result<Result<Self, raw::Column>> {
                Ok(match column {
                    raw::Column::$column(lists) => Ok(Self::from_raw(name, lists)?),
                    other => Err(other),
                })
            }

            fn nothing(rows: usize) -> Self {
                Self { offsets: vec![0; rows + 1], values: Vec::new(), valid: Validity::nothing(rows) }
            }
        }
    )*};
}

from_column! {
    u64 => U64Lists, "lists of u64";
    f64 => F64Lists, "lists of f64";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(offsets: &[u32], values: &[u64], valid: &[u8]) -> Result<Lists<u64>> {
        let lists = raw::U64Lists { offsets: offsets.to_vec(), values: values.to_vec(), valid: valid.to_vec() };
        FromColumn::read("bucket_counts", raw::Column::U64Lists(lists))
    }

    #[test]
    fn a_row_is_a_slice_and_none_where_it_is_null() {
        let lists = read(&[0, 2, 2, 3], &[1, 2, 3], &[0b101]).expect("whole lists");
        assert_eq!(lists.iter().collect::<Vec<_>>(), [Some(&[1, 2][..]), None, Some(&[3])]);
        let lists = read(&[0, 0], &[], &[]).expect("an empty list");
        assert_eq!((lists.len(), lists.get(0)), (1, Some(&[][..])));
        assert!(read(&[0], &[], &[]).expect("no list").is_empty());
    }

    #[test]
    fn offsets_that_lead_astray_are_refused() {
        for (offsets, message) in [
            (&[][..], "column \"bucket_counts\": its lists have no offset, expected one more than there are rows"),
            (&[0, 2, 1], "column \"bucket_counts\": the list of row 1 ends before it begins"),
            (&[0, 2, 4], "column \"bucket_counts\": its lists end at 4, but there are 3 values"),
        ] {
            assert_eq!(read(offsets, &[1, 2, 3], &[]).expect_err("refused").to_string(), message);
        }
    }
}
