//! Columns on their way into a guest: Arrow arrays as the contract's columns.

use super::bindings::columns as wit;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrowPrimitiveType, DictionaryArray, ListArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, TimeUnit};

/// An array as a column of the contract. The error names a type that no column of the contract has.
pub(crate) fn column(array: &dyn Array) -> Result<wit::Column, String> {
    let valid = valid(array.nulls());
    Ok(match array.data_type() {
        DataType::Boolean => {
            let rows = array.len() as u32;
            wit::Column::Bools(wit::Bools { values: bits(array.as_boolean().values()), valid, rows })
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>().values().iter().map(|&value| value.into()).collect();
            wit::Column::S64s(wit::S64s { values, valid })
        }
        DataType::Int64 => {
            wit::Column::S64s(wit::S64s { values: array.as_primitive::<Int64Type>().values().to_vec(), valid })
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let values = array.as_primitive::<TimestampNanosecondType>().values().to_vec();
            wit::Column::S64s(wit::S64s { values, valid })
        }
        DataType::UInt32 => {
            let values = array.as_primitive::<UInt32Type>().values().iter().map(|&value| value.into()).collect();
            wit::Column::U64s(wit::U64s { values, valid })
        }
        DataType::UInt64 => {
            wit::Column::U64s(wit::U64s { values: array.as_primitive::<UInt64Type>().values().to_vec(), valid })
        }
        DataType::Float64 => {
            wit::Column::F64s(wit::F64s { values: array.as_primitive::<Float64Type>().values().to_vec(), valid })
        }
        DataType::Utf8 => wit::Column::Text(text(array.as_string::<i32>())),
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => {
            wit::Column::Dictionary(dictionary(array.as_dictionary::<Int32Type>()))
        }
        DataType::FixedSizeBinary(width) => {
            let width = (*width).max(0) as usize;
            let array = array.as_fixed_size_binary();
            // `value_data` is already the array's own window where it is sliced.
            let bytes = array.value_data().get(..width * array.len()).unwrap_or_default().to_vec();
            wit::Column::Fixed(wit::Fixed { width: width as u32, bytes, valid })
        }
        DataType::List(item) if *item.data_type() == DataType::UInt64 => {
            let (offsets, values) = lists::<UInt64Type>(array.as_list())?;
            wit::Column::U64Lists(wit::U64Lists { offsets, values, valid })
        }
        DataType::List(item) if *item.data_type() == DataType::Float64 => {
            let (offsets, values) = lists::<Float64Type>(array.as_list())?;
            wit::Column::F64Lists(wit::F64Lists { offsets, values, valid })
        }
        other => return Err(format!("a column of type {other} cannot be read as a whole")),
    })
}

/// Text as the contract has it: offsets from 0, and only the bytes that rows point to.
pub(crate) fn text(array: &StringArray) -> wit::Text {
    let offsets = array.value_offsets();
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let bytes = array.value_data().get(first as usize..last as usize).unwrap_or_default().to_vec();
    wit::Text { offsets: from_zero(offsets), bytes, valid: valid(array.nulls()) }
}

/// Lists as the contract has them: offsets from 0, and only the values that rows point to.
fn lists<T: ArrowPrimitiveType>(array: &ListArray) -> Result<(Vec<u32>, Vec<T::Native>), String> {
    let (offsets, values) = (array.value_offsets(), array.values().as_primitive::<T>());
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let within = values.slice(first as usize, (last - first) as usize);
    if within.null_count() > 0 {
        return Err(format!("{} values within its lists are null, which no plugin can read", within.null_count()));
    }
    Ok((from_zero(offsets), within.values().to_vec()))
}

/// An empty array may have no offset at all; the contract wants one more than rows.
fn from_zero(offsets: &[i32]) -> Vec<u32> {
    let first = offsets.first().copied().unwrap_or(0);
    if offsets.is_empty() { vec![0] } else { offsets.iter().map(|offset| (offset - first) as u32).collect() }
}

fn dictionary(array: &DictionaryArray<Int32Type>) -> wit::Dictionary {
    let values = array.values().as_string::<i32>();
    // A row is null by its key, or because it points to a null value: the contract knows only the first.
    let nulls = array.logical_nulls();
    let keys = array.keys().values();
    let keys = match &nulls {
        Some(nulls) => {
            let keep = |(row, &key): (usize, &i32)| if nulls.is_valid(row) { key as u32 } else { 0 };
            keys.iter().enumerate().map(keep).collect()
        }
        None => keys.iter().map(|&key| key as u32).collect(),
    };
    let mut values = text(values);
    values.valid = Vec::new();
    wit::Dictionary { keys, values, valid: valid(nulls.as_ref()) }
}

/// Validity as the contract has it: nothing where every row has a value.
fn valid(nulls: Option<&NullBuffer>) -> Vec<u8> {
    nulls.filter(|nulls| nulls.null_count() > 0).map(|nulls| bits(nulls.inner())).unwrap_or_default()
}

/// Bits from the first on, whatever bit of a byte they start at; those after the last are 0.
fn bits(buffer: &BooleanBuffer) -> Vec<u8> {
    let rows = buffer.len();
    let mut bytes = buffer.sliced().as_slice().get(..rows.div_ceil(8)).unwrap_or_default().to_vec();
    if let (Some(last), used @ 1..) = (bytes.last_mut(), rows % 8) {
        *last &= (1 << used) - 1;
    }
    bytes
}
