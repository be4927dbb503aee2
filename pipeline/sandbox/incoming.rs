//! Columns on their way out of a guest: nothing about them is trusted until it is an Arrow array.

use super::bindings::columns as wit;
use super::contract::ColumnType;
use super::held::Key;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use serde::de::IgnoredAny;
use std::sync::Arc;

/// What a column makes the host hold.
pub(crate) fn held_bytes(column: &wit::Column) -> usize {
    let text = |text: &wit::Text| text.offsets.len() * 4 + text.bytes.len() + text.valid.len();
    match column {
        wit::Column::Bools(bools) => bools.values.len() + bools.valid.len(),
        wit::Column::S64s(values) => values.values.len() * 8 + values.valid.len(),
        wit::Column::U64s(values) => values.values.len() * 8 + values.valid.len(),
        wit::Column::F64s(values) => values.values.len() * 8 + values.valid.len(),
        wit::Column::Text(values) => text(values),
        wit::Column::Dictionary(values) => values.keys.len() * 4 + text(&values.values) + values.valid.len(),
        wit::Column::Fixed(fixed) => fixed.bytes.len() + fixed.valid.len(),
        wit::Column::U64Lists(lists) => lists.offsets.len() * 4 + lists.values.len() * 8 + lists.valid.len(),
        wit::Column::F64Lists(lists) => lists.offsets.len() * 4 + lists.values.len() * 8 + lists.valid.len(),
    }
}

/// The array of a column that was declared to be of `column_type` and must have `rows` rows.
pub(crate) fn array(column: wit::Column, column_type: ColumnType, rows: usize) -> Result<ArrayRef, String> {
    Ok(match (column, column_type) {
        (wit::Column::Bools(bools), ColumnType::Bool) => {
            same_rows(bools.rows as usize, rows)?;
            let nulls = nulls(bools.valid, rows)?;
            Arc::new(BooleanArray::new(mask(bools.values, rows, "values")?, nulls))
        }
        (wit::Column::S64s(column), ColumnType::S64) => {
            same_rows(column.values.len(), rows)?;
            Arc::new(Int64Array::new(column.values.into(), nulls(column.valid, rows)?))
        }
        (wit::Column::S64s(column), ColumnType::Time) => {
            same_rows(column.values.len(), rows)?;
            let times = TimestampNanosecondArray::new(column.values.into(), nulls(column.valid, rows)?);
            Arc::new(times.with_timezone("UTC"))
        }
        (wit::Column::U64s(column), ColumnType::U64) => {
            same_rows(column.values.len(), rows)?;
            Arc::new(UInt64Array::new(column.values.into(), nulls(column.valid, rows)?))
        }
        (wit::Column::F64s(column), ColumnType::F64) => {
            same_rows(column.values.len(), rows)?;
            Arc::new(Float64Array::new(column.values.into(), nulls(column.valid, rows)?))
        }
        (wit::Column::Text(column), ColumnType::Text) => Arc::new(text(column, Some(rows))?),
        (wit::Column::Text(column), ColumnType::Json) => {
            let texts = text(column, Some(rows))?;
            check_json(&texts)?;
            Arc::new(texts)
        }
        (wit::Column::Dictionary(column), ColumnType::Text) => Arc::new(dictionary(column, rows)?),
        (wit::Column::Dictionary(column), ColumnType::Json) => {
            let array = dictionary(column, rows)?;
            if let Some(values) = array.values().as_any().downcast_ref::<StringArray>() {
                check_json(values)?;
            }
            Arc::new(array)
        }
        (wit::Column::Fixed(column), ColumnType::Fixed16) => Arc::new(fixed(column, 16, rows)?),
        (wit::Column::Fixed(column), ColumnType::Fixed8) => Arc::new(fixed(column, 8, rows)?),
        (wit::Column::U64Lists(_) | wit::Column::F64Lists(_), declared) => {
            return Err(format!("it is a column of lists, which can be read, not written, and declared as {declared}"));
        }
        (column, declared) => return Err(format!("it is {}, and declared as {declared}", variant_name(&column))),
    })
}

fn variant_name(column: &wit::Column) -> &'static str {
    match column {
        wit::Column::Bools(_) => "bools",
        wit::Column::S64s(_) => "s64s",
        wit::Column::U64s(_) => "u64s",
        wit::Column::F64s(_) => "f64s",
        wit::Column::Text(_) => "text",
        wit::Column::Dictionary(_) => "dictionary",
        wit::Column::Fixed(_) => "fixed",
        wit::Column::U64Lists(_) => "u64-lists",
        wit::Column::F64Lists(_) => "f64-lists",
    }
}

fn same_rows(seen: usize, rows: usize) -> Result<(), String> {
    if seen == rows { Ok(()) } else { Err(format!("it has {seen} rows, and there are {rows}")) }
}

/// Bits of `rows` rows. `what` they are is said in the error.
pub(crate) fn mask(bits: Vec<u8>, rows: usize, what: &str) -> Result<BooleanBuffer, String> {
    let wanted = rows.div_ceil(8);
    if bits.len() != wanted {
        return Err(format!("`{what}` has {} bytes, and {rows} rows need {wanted}", bits.len()));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows))
}

/// The key of each row of a column of text or of fixed bytes.
pub(crate) fn keys(column: wit::Column, rows: usize) -> Result<Vec<Option<Key>>, String> {
    let of_text = |array: &StringArray, row| array.is_valid(row).then(|| Key::from(array.value(row).as_bytes()));
    Ok(match column {
        wit::Column::Fixed(fixed) => {
            let width = fixed.width as usize;
            if width == 0 || fixed.bytes.len() != width.saturating_mul(rows) {
                return Err(format!("{} bytes are not {rows} rows of {width} bytes", fixed.bytes.len()));
            }
            let nulls = nulls(fixed.valid, rows)?;
            let valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            let keys = fixed.bytes.chunks_exact(width).enumerate();
            keys.map(|(row, key)| valid(row).then(|| Key::from(key))).collect()
        }
        wit::Column::Text(column) => {
            let texts = text(column, Some(rows))?;
            (0..rows).map(|row| of_text(&texts, row)).collect()
        }
        wit::Column::Dictionary(column) => {
            let texts = dictionary(column, rows)?;
            let values = texts.values().as_string::<i32>();
            texts.keys().iter().map(|key| key.and_then(|key| of_text(values, key as usize))).collect()
        }
        _ => return Err("a key is text or fixed bytes".into()),
    })
}

fn nulls(valid: Vec<u8>, rows: usize) -> Result<Option<NullBuffer>, String> {
    if valid.is_empty() {
        return Ok(None);
    }
    let nulls = NullBuffer::new(mask(valid, rows, "valid")?);
    Ok((nulls.null_count() > 0).then_some(nulls))
}

/// Texts; their number is checked where `rows` says it.
pub(crate) fn text(text: wit::Text, rows: Option<usize>) -> Result<StringArray, String> {
    let Some(count) = text.offsets.len().checked_sub(1) else {
        return Err("`offsets` is empty, and has one more than there are rows".into());
    };
    if let Some(rows) = rows {
        same_rows(count, rows)?;
    }
    if i32::try_from(text.bytes.len()).is_err() {
        return Err(format!("`bytes` has {} bytes, and a column at most 2 GiB", text.bytes.len()));
    }
    let last = text.offsets[count] as usize;
    if last > text.bytes.len() {
        return Err(format!("`offsets` end at {last}, and `bytes` has {}", text.bytes.len()));
    }
    // Below `bytes.len()`, which an i32 holds, unless they go back.
    let (mut offsets, mut before, mut ascending) = (Vec::with_capacity(count + 1), 0, true);
    for &offset in &text.offsets {
        ascending &= before <= offset;
        before = offset;
        offsets.push(offset as i32);
    }
    if !ascending {
        return Err(backwards(&text.offsets));
    }
    let (nulls, bytes) = (nulls(text.valid, count)?, Buffer::from_vec(text.bytes));
    // Arrow checks that the bytes are UTF-8 and each offset between two characters; what it is that is wrong is said here.
    StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), bytes.clone(), nulls)
        .map_err(|error| not_text(&text.offsets, &bytes).unwrap_or_else(|| error.to_string()))
}

#[cold]
fn backwards(offsets: &[u32]) -> String {
    let row = offsets.windows(2).position(|pair| pair[0] > pair[1]).unwrap_or(0);
    let (start, end) = (offsets[row], offsets[row + 1]);
    format!("`offsets` go back in row {row}: from {start} to {end}")
}

/// Why bytes are not texts with these offsets.
#[cold]
fn not_text(offsets: &[u32], bytes: &[u8]) -> Option<String> {
    let content = match simdutf8::compat::from_utf8(bytes) {
        Ok(content) => content,
        Err(error) => return Some(format!("`bytes` is not UTF-8 at byte {}", error.valid_up_to())),
    };
    let row = offsets.iter().position(|&offset| !content.is_char_boundary(offset as usize))?;
    Some(format!("offset {} of row {row} is inside of a character", offsets[row]))
}

fn dictionary(column: wit::Dictionary, rows: usize) -> Result<DictionaryArray<Int32Type>, String> {
    same_rows(column.keys.len(), rows)?;
    if !column.values.valid.is_empty() {
        return Err("`values` of a dictionary has nulls: a null row has no bit in the dictionary's own `valid`".into());
    }
    let values = text(column.values, None).map_err(|error| format!("`values`: {error}"))?;
    let nulls = nulls(column.valid, rows)?;
    let mut keys = Vec::with_capacity(rows);
    for (row, key) in column.keys.into_iter().enumerate() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            keys.push(0);
        } else if (key as usize) < values.len() {
            keys.push(key as i32);
        } else {
            return Err(format!("key {key} of row {row} is beyond the {} values", values.len()));
        }
    }
    DictionaryArray::try_new(Int32Array::new(keys.into(), nulls), Arc::new(values)).map_err(|error| error.to_string())
}

fn fixed(column: wit::Fixed, width: usize, rows: usize) -> Result<FixedSizeBinaryArray, String> {
    if column.width as usize != width {
        return Err(format!("its width is {}, and declared as {width}", column.width));
    }
    if column.bytes.len() != rows * width {
        return Err(format!(
            "`bytes` has {} bytes, and {rows} rows of {width} need {}",
            column.bytes.len(),
            rows * width
        ));
    }
    let nulls = nulls(column.valid, rows)?;
    FixedSizeBinaryArray::try_new(width as i32, Buffer::from_vec(column.bytes), nulls)
        .map_err(|error| error.to_string())
}

fn check_json(texts: &StringArray) -> Result<(), String> {
    for (row, text) in texts.iter().enumerate() {
        if let Some(Err(error)) = text.map(serde_json::from_str::<IgnoredAny>) {
            return Err(format!("row {row} is declared as JSON and is none: {error}"));
        }
    }
    Ok(())
}

/// Text row by row: what a dictionary of few long values would take, is taken from `room` first.
pub(crate) fn plain_text(
    array: ArrayRef,
    room: &mut dyn FnMut(usize) -> Result<(), String>,
) -> Result<ArrayRef, String> {
    let Some(dictionary) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>() else { return Ok(array) };
    let Some(texts) = dictionary.downcast_dict::<StringArray>() else { return Ok(array) };
    let mut bytes = 0_usize;
    for text in texts.into_iter().flatten() {
        bytes = bytes.saturating_add(text.len());
    }
    room(bytes)?;
    if i32::try_from(bytes).is_err() {
        return Err(format!("the texts have {bytes} bytes, and a column at most 2 GiB"));
    }
    Ok(Arc::new(StringArray::from_iter(texts)))
}
