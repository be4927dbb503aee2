//! Values of rows as bytes: the same bytes are the same values, and bytes are in the order of values. Null stands first.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{
    Array, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::DataType;

use crate::{Error, Result};

/// The values of one column.
enum Values<'a> {
    Bool(&'a BooleanArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    UInt32(&'a UInt32Array),
    UInt64(&'a UInt64Array),
    Double(&'a Float64Array),
    Time(&'a TimestampNanosecondArray),
    Fixed(&'a FixedSizeBinaryArray),
    Text(&'a StringArray),
    Repeated(&'a DictionaryArray<Int32Type>, &'a StringArray),
}

impl<'a> Values<'a> {
    fn new(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Boolean => array.as_boolean_opt().map(Self::Bool),
            DataType::Int32 => array.as_primitive_opt::<Int32Type>().map(Self::Int32),
            DataType::Int64 => array.as_primitive_opt::<Int64Type>().map(Self::Int64),
            DataType::UInt32 => array.as_primitive_opt::<UInt32Type>().map(Self::UInt32),
            DataType::UInt64 => array.as_primitive_opt::<UInt64Type>().map(Self::UInt64),
            DataType::Float64 => array.as_primitive_opt::<Float64Type>().map(Self::Double),
            DataType::Timestamp(..) => array.as_primitive_opt::<TimestampNanosecondType>().map(Self::Time),
            DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(Self::Fixed),
            DataType::Utf8 => array.as_string_opt::<i32>().map(Self::Text),
            DataType::Dictionary(..) => {
                let array = array.as_dictionary_opt::<Int32Type>()?;
                Some(Self::Repeated(array, array.values().as_string_opt::<i32>()?))
            }
            _ => None,
        }
    }

    /// Appends a value that is not null; says whether there was one.
    fn append(&self, row: usize, out: &mut Vec<u8>) -> bool {
        let (array, text): (&dyn Array, _) = match self {
            Self::Bool(array) => (array, None),
            Self::Int32(array) => (array, None),
            Self::Int64(array) => (array, None),
            Self::UInt32(array) => (array, None),
            Self::UInt64(array) => (array, None),
            Self::Double(array) => (array, None),
            Self::Time(array) => (array, None),
            Self::Fixed(array) => (array, None),
            Self::Text(array) => (array, Some((*array, row))),
            Self::Repeated(array, texts) => (array, array.key(row).map(|at| (*texts, at))),
        };
        if array.is_null(row) || text.is_some_and(|(texts, at)| texts.is_null(at)) {
            out.push(0);
            return false;
        }
        out.push(1);
        match self {
            Self::Bool(array) => out.push(u8::from(array.value(row))),
            Self::Int32(array) => signed(i64::from(array.value(row)), out),
            Self::Int64(array) => signed(array.value(row), out),
            Self::UInt32(array) => out.extend_from_slice(&u64::from(array.value(row)).to_be_bytes()),
            Self::UInt64(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Self::Double(array) => {
                // The order of `total_cmp`: a set sign turns the other bits around.
                let bits = array.value(row).to_bits() as i64;
                signed(bits ^ ((bits >> 63) as u64 >> 1) as i64, out);
            }
            Self::Time(array) => signed(array.value(row), out),
            Self::Fixed(array) => out.extend_from_slice(array.value(row)),
            Self::Text(_) | Self::Repeated(..) => {
                let text = text.map_or("", |(texts, at)| texts.value(at));
                // A zero byte is escaped, so that none of a text's bytes is taken for its end.
                for part in text.as_bytes().split_inclusive(|&byte| byte == 0) {
                    out.extend_from_slice(part);
                    if part.ends_with(&[0]) {
                        out.push(u8::MAX);
                    }
                }
                out.extend_from_slice(&[0, 0]);
            }
        }
        true
    }
}

fn signed(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
}

/// Some columns of rows.
pub(super) struct Columns<'a>(Vec<Values<'a>>);

impl<'a> Columns<'a> {
    pub(super) fn new(rows: &'a RecordBatch, columns: &[usize]) -> Result<Self> {
        let values = |&at: &usize| {
            let column = rows.columns().get(at);
            column.and_then(|column| Values::new(column)).ok_or_else(|| {
                let found = column.map(|column| column.data_type().to_string());
                Error::bug(format!(
                    "column {at} cannot tell rows apart: it is {}",
                    found.unwrap_or("missing".to_owned())
                ))
            })
        };
        columns.iter().map(values).collect::<Result<_>>().map(Self)
    }

    /// Appends the values of a row.
    pub(super) fn append(&self, row: usize, out: &mut Vec<u8>) {
        for values in &self.0 {
            values.append(row, out);
        }
    }
}

/// The keys of rows.
#[derive(Debug, Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    pub(super) fn of(rows: &RecordBatch, columns: &[usize]) -> Result<Self> {
        let columns = Columns::new(rows, columns)?;
        let mut keys = Self { bytes: Vec::new(), ends: Vec::with_capacity(rows.num_rows()) };
        for row in 0..rows.num_rows() {
            columns.append(row, &mut keys.bytes);
            keys.ends.push(keys.bytes.len());
        }
        Ok(keys)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::ArrayRef;
    use std::sync::Arc;

    /// The keys of one column, in its order.
    fn keys(column: ArrayRef) -> Vec<Vec<u8>> {
        let rows = RecordBatch::try_from_iter_with_nullable([("column", column, true)]).unwrap();
        let keys = Keys::of(&rows, &[0]).unwrap();
        (0..keys.len()).map(|row| keys.get(row).to_vec()).collect()
    }

    #[test]
    fn bytes_are_in_the_order_of_values_with_null_first() {
        let times = vec![None, Some(i64::MIN), Some(-1), Some(0), Some(i64::MAX)];
        let doubles = [None, Some(f64::NEG_INFINITY), Some(-1.5), Some(-0.0), Some(0.0), Some(1e-300), Some(f64::NAN)];
        let texts =
            vec![None, Some(""), Some("\0"), Some("\0\0"), Some("\0a"), Some("a"), Some("a\0"), Some("ab"), Some("é")];
        let fixed: Vec<Option<&[u8]>> = vec![None, Some(&[0, 255]), Some(&[1, 0])];
        let repeated: DictionaryArray<Int32Type> = vec![None, Some("a"), Some("b")].into_iter().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BooleanArray::from(vec![None, Some(false), Some(true)])),
            Arc::new(Int32Array::from(vec![None, Some(i32::MIN), Some(-1), Some(0), Some(i32::MAX)])),
            Arc::new(Int64Array::from(times.clone())),
            Arc::new(UInt32Array::from(vec![None, Some(0), Some(256), Some(u32::MAX)])),
            Arc::new(UInt64Array::from(vec![None, Some(0), Some(256), Some(u64::MAX)])),
            Arc::new(Float64Array::from_iter(doubles)),
            Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC")),
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed.into_iter(), 2).unwrap()),
            Arc::new(StringArray::from(texts)),
            Arc::new(repeated),
        ];
        for column in columns {
            let keys = keys(Arc::clone(&column));
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{column:?} {keys:?}");
        }
    }

    #[test]
    fn values_of_neighbouring_columns_are_not_taken_for_each_other() {
        let column = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let rows = [("one", column(&["a", "ab", "a\0"])), ("other", column(&["bc", "c", "\0bc"]))];
        let keys = Keys::of(&RecordBatch::try_from_iter(rows).unwrap(), &[0, 1]).unwrap();
        let distinct: std::collections::BTreeSet<_> = (0..3).map(|row| keys.get(row)).collect();
        assert_eq!(distinct.len(), 3);
    }

    #[test]
    fn a_text_has_the_same_bytes_whether_it_is_repeated_or_not() {
        let repeated: DictionaryArray<Int32Type> = vec![Some("a"), None].into_iter().collect();
        assert_eq!(keys(Arc::new(repeated)), keys(Arc::new(StringArray::from(vec![Some("a"), None]))));
    }
}
