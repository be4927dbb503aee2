//! Columns without a value: nothing but levels, which are the same in each row.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use parquet::basic::Encoding;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::pages::{Content, Pages, chunk};
use super::{Compressor, Encoded, hybrid};

/// A column that is not nested and null in so many rows.
pub(super) fn flat(rows: usize, descr: &ColumnDescPtr, compressor: &mut Compressor) -> Result<Encoded> {
    chunk(descr, compressor, |pages| levels(pages, descr, rows, 0))
}

/// A leaf of lists that have no elements: null or empty, all rows alike. None if they are not.
pub(in crate::write) fn nested(
    lists: &[&dyn Array],
    rows: usize,
    descr: &ColumnDescPtr,
    compressor: &mut Compressor,
) -> Result<Option<Encoded>> {
    let Some(lists) = lists.iter().map(|list| list.as_list_opt::<i32>()).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    if rows == 0 || lists.iter().any(|list| list.value_offsets().first() != list.value_offsets().last()) {
        return Ok(None);
    }
    let nulls: usize = lists.iter().map(|list| list.null_count()).sum();
    let all: usize = lists.iter().map(|list| list.len()).sum();
    let level = match nulls {
        0 => 1,
        _ if nulls == all => 0,
        _ => return Ok(None),
    };
    chunk(descr, compressor, |pages| levels(pages, descr, rows, level)).map(Some)
}

/// One page: that each row is the first of its list, and how much of it is there.
fn levels(pages: &mut Pages<'_, '_>, descr: &ColumnDescPtr, rows: usize, level: u32) -> Result<Content<&'static [u8]>> {
    let mut page = Vec::new();
    for (level, max) in [(0, descr.max_rep_level()), (level, descr.max_def_level())] {
        if max > 0 {
            let from = page.len();
            page.extend_from_slice(&[0; 4]);
            hybrid::run(&mut page, level, u32::from(max.unsigned_abs()).ilog2() + 1, rows);
            let length = (page.len() - from - 4) as u32;
            page[from..from + 4].copy_from_slice(&length.to_le_bytes());
        }
    }
    pages.data(&page, rows, rows, Encoding::PLAIN)?;
    Ok(Content { encoding: Encoding::PLAIN, bounds: vec![None], bounded: true, distinct: None })
}
