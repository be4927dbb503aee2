//! Arrow arrays as bytes: a byte for the type and what belongs to it, the length, the nulls, the values.
//!
//! Arrow's own IPC format is not used: its reader panics on a schema that it does not expect.

use super::reader::{Reader, put_count, put_sized};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, ListArray, PrimitiveArray, StringArray,
    StructArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};
use std::sync::Arc;

const BOOL: u8 = 0;
const INT32: u8 = 1;
const INT64: u8 = 2;
const UINT32: u8 = 3;
const UINT64: u8 = 4;
const DOUBLE: u8 = 5;
const TIME: u8 = 6;
const TEXT: u8 = 7;
const DICTIONARY: u8 = 8;
const FIXED: u8 = 9;
const LIST: u8 = 10;
const STRUCT: u8 = 11;

/// How deep arrays nest at most; a list of structures is three deep.
const DEPTH_MAX: usize = 4;

/// Appends an array; an error if it is of a type that no column has.
pub(super) fn write(out: &mut Vec<u8>, array: &dyn Array) -> Result<()> {
    match array.data_type() {
        DataType::Boolean => {
            head(out, BOOL, array);
            put_bits(out, array.as_boolean().values());
        }
        DataType::Int32 => put_numbers::<Int32Type, 4>(out, INT32, array, i32::to_le_bytes),
        DataType::Int64 => put_numbers::<Int64Type, 8>(out, INT64, array, i64::to_le_bytes),
        DataType::UInt32 => put_numbers::<UInt32Type, 4>(out, UINT32, array, u32::to_le_bytes),
        DataType::UInt64 => put_numbers::<UInt64Type, 8>(out, UINT64, array, u64::to_le_bytes),
        DataType::Float64 => put_numbers::<Float64Type, 8>(out, DOUBLE, array, |value| value.to_bits().to_le_bytes()),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            put_numbers::<TimestampNanosecondType, 8>(out, TIME, array, i64::to_le_bytes);
            out.push(u8::from(zone.is_some()));
            put_sized(out, zone.as_deref().unwrap_or_default().as_bytes());
        }
        DataType::Utf8 => {
            head(out, TEXT, array);
            let texts = array.as_string::<i32>();
            let (start, end) = put_offsets(out, texts.offsets());
            put_sized(out, &texts.values()[start..end]);
        }
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => {
            out.push(DICTIONARY);
            let texts = array.as_dictionary::<Int32Type>();
            write(out, texts.keys())?;
            write(out, texts.values())?;
        }
        DataType::FixedSizeBinary(width) if *width > 0 => {
            head(out, FIXED, array);
            put_count(out, *width as usize);
            let values = array.as_fixed_size_binary();
            (0..values.len()).for_each(|row| out.extend_from_slice(values.value(row)));
        }
        DataType::List(field) => {
            head(out, LIST, array);
            put_field(out, field);
            let lists = array.as_list::<i32>();
            let (start, end) = put_offsets(out, lists.offsets());
            write(out, &lists.values().slice(start, end - start))?;
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            head(out, STRUCT, array);
            put_count(out, fields.len());
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                put_field(out, field);
                write(out, column)?;
            }
        }
        other => return Err(Error::bug(format!("a column of {other} has no form as bytes"))),
    }
    Ok(())
}

fn head(out: &mut Vec<u8>, kind: u8, array: &dyn Array) {
    out.push(kind);
    put_count(out, array.len());
    out.push(u8::from(array.nulls().is_some()));
    if let Some(nulls) = array.nulls() {
        put_bits(out, nulls.inner());
    }
}

fn put_bits(out: &mut Vec<u8>, bits: &BooleanBuffer) {
    let bytes = bits.sliced();
    out.extend_from_slice(&bytes.as_slice()[..bits.len().div_ceil(8)]);
}

fn put_numbers<T: ArrowPrimitiveType, const N: usize>(
    out: &mut Vec<u8>,
    kind: u8,
    array: &dyn Array,
    bytes: fn(T::Native) -> [u8; N],
) {
    head(out, kind, array);
    array.as_primitive::<T>().values().iter().for_each(|value| out.extend_from_slice(&bytes(*value)));
}

/// Appends where each value ends; says where the values lie in their buffer.
fn put_offsets(out: &mut Vec<u8>, offsets: &OffsetBuffer<i32>) -> (usize, usize) {
    let start = offsets.first().copied().unwrap_or_default();
    offsets.iter().skip(1).for_each(|end| out.extend_from_slice(&(end - start).to_le_bytes()));
    (start as usize, offsets.last().copied().unwrap_or_default() as usize)
}

fn put_field(out: &mut Vec<u8>, field: &Field) {
    put_sized(out, field.name().as_bytes());
    out.push(u8::from(field.is_nullable()));
}

/// Reads an array that [`write`] wrote.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<ArrayRef> {
    nested(reader, 1)
}

fn nested(reader: &mut Reader<'_>, depth: usize) -> Result<ArrayRef> {
    if depth > DEPTH_MAX {
        return Err(Error::storage(format!("an array nests deeper than {DEPTH_MAX} levels")));
    }
    let kind = reader.byte("type")?;
    if kind == DICTIONARY {
        return dictionary(reader, depth);
    }
    let rows = reader.count(1, "rows")?;
    let nulls = if reader.flag("nulls")? { Some(NullBuffer::new(bits(reader, rows, "nulls")?)) } else { None };
    Ok(match kind {
        BOOL => Arc::new(BooleanArray::new(bits(reader, rows, "booleans")?, nulls)),
        INT32 => Arc::new(numbers::<Int32Type, 4>(reader, rows, nulls, i32::from_le_bytes)?),
        INT64 => Arc::new(numbers::<Int64Type, 8>(reader, rows, nulls, i64::from_le_bytes)?),
        UINT32 => Arc::new(numbers::<UInt32Type, 4>(reader, rows, nulls, u32::from_le_bytes)?),
        UINT64 => Arc::new(numbers::<UInt64Type, 8>(reader, rows, nulls, u64::from_le_bytes)?),
        DOUBLE => {
            Arc::new(numbers::<Float64Type, 8>(reader, rows, nulls, |bits| f64::from_bits(u64::from_le_bytes(bits)))?)
        }
        TIME => {
            let times = numbers::<TimestampNanosecondType, 8>(reader, rows, nulls, i64::from_le_bytes)?;
            let (zoned, zone) = (reader.flag("time zone")?, reader.text("time zone")?);
            Arc::new(times.with_timezone_opt(zoned.then_some(zone)))
        }
        TEXT => {
            let offsets = offsets(reader, rows)?;
            let bytes = reader.sized("texts")?;
            covers(&offsets, bytes.len())?;
            Arc::new(StringArray::try_new(offsets, Buffer::from(bytes), nulls).map_err(refusal)?)
        }
        FIXED => {
            let width = i32::try_from(reader.u64("width")?).ok().filter(|&width| width > 0);
            let width = width.ok_or_else(|| Error::storage("a width is not of 1 to 2147483647 bytes"))?;
            let bytes = reader.bytes(rows.saturating_mul(width as usize), "fixed bytes")?;
            Arc::new(FixedSizeBinaryArray::try_new(width, Buffer::from(bytes), nulls).map_err(refusal)?)
        }
        LIST => {
            let (name, nullable) = field(reader)?;
            let offsets = offsets(reader, rows)?;
            let items = nested(reader, depth + 1)?;
            covers(&offsets, items.len())?;
            let field = Arc::new(Field::new(name, items.data_type().clone(), nullable));
            Arc::new(ListArray::try_new(field, offsets, items, nulls).map_err(refusal)?)
        }
        STRUCT => structure(reader, rows, nulls, depth)?,
        other => return Err(Error::storage(format!("{other} is the number of no type"))),
    })
}

#[cold]
fn refusal(error: ArrowError) -> Error {
    Error::storage(error.to_string())
}

fn dictionary(reader: &mut Reader<'_>, depth: usize) -> Result<ArrayRef> {
    let (keys, values) = (nested(reader, depth + 1)?, nested(reader, depth + 1)?);
    let (Some(keys), &DataType::Utf8) = (keys.as_primitive_opt::<Int32Type>(), values.data_type()) else {
        let (keys, values) = (keys.data_type(), values.data_type());
        return Err(Error::storage(format!("a dictionary of {keys} to {values}; none but Int32 to Utf8 is written")));
    };
    Ok(Arc::new(DictionaryArray::try_new(keys.clone(), values).map_err(refusal)?))
}

fn structure(reader: &mut Reader<'_>, rows: usize, nulls: Option<NullBuffer>, depth: usize) -> Result<ArrayRef> {
    let count = reader.count(8, "fields")?;
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (name, nullable) = field(reader)?;
        let column = nested(reader, depth + 1)?;
        if column.len() != rows {
            let length = column.len();
            return Err(Error::storage(format!("{name}: has {length} values in a structure of {rows} rows")));
        }
        fields.push(Field::new(name, column.data_type().clone(), nullable));
        columns.push(column);
    }
    if columns.is_empty() {
        return Err(Error::storage("a structure has no fields"));
    }
    Ok(Arc::new(StructArray::try_new(fields.into(), columns, nulls).map_err(refusal)?))
}

fn field<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, bool)> {
    Ok((reader.text("name of a field")?, reader.flag("field")?))
}

fn bits(reader: &mut Reader<'_>, rows: usize, what: &str) -> Result<BooleanBuffer> {
    let bytes = reader.bytes(rows.div_ceil(8), what)?;
    Ok(BooleanBuffer::new(Buffer::from(bytes), 0, rows))
}

fn numbers<T: ArrowPrimitiveType, const N: usize>(
    reader: &mut Reader<'_>,
    rows: usize,
    nulls: Option<NullBuffer>,
    from: fn([u8; N]) -> T::Native,
) -> Result<PrimitiveArray<T>> {
    let values = reader.numbers(rows, from, "numbers")?;
    PrimitiveArray::try_new(ScalarBuffer::from(values), nulls).map_err(refusal)
}

fn offsets(reader: &mut Reader<'_>, rows: usize) -> Result<OffsetBuffer<i32>> {
    let mut offsets = vec![0];
    offsets.extend(reader.numbers(rows, i32::from_le_bytes, "offsets")?);
    if !offsets.is_sorted() {
        return Err(Error::storage("offsets: one is smaller than the one before it"));
    }
    Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
}

/// The last value ends where the buffer of values ends.
fn covers(offsets: &OffsetBuffer<i32>, length: usize) -> Result<()> {
    let end = offsets.last().copied().unwrap_or_default();
    if usize::try_from(end) == Ok(length) {
        return Ok(());
    }
    Err(Error::storage(format!("offsets: the last one is {end}, the values end at {length}")))
}
