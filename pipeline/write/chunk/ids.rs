//! Ids: so many bytes each, as they are. They hardly repeat, so that neither a dictionary nor zstd finds much.

use arrow_array::FixedSizeBinaryArray;
use parquet::basic::Encoding;
use parquet::errors::Result;

use super::pages::{Content, chunk};
use super::texts::Extremes;
use super::{Column, Compressor, Encoded, PAGE_BYTES, PAGE_ROWS};

pub(super) fn encode(
    column: Column<'_>,
    parts: &[&FixedSizeBinaryArray],
    compressor: &mut Compressor,
) -> Result<Encoded> {
    let width = parts.first().map_or(0, |part| part.value_length()).max(1) as usize;
    let bytes: Vec<&[u8]> = parts.iter().map(|part| part.value_data()).collect();
    let valid = column.valid();
    let page_rows = (PAGE_BYTES / width).clamp(1, PAGE_ROWS);
    chunk(column.descr, compressor, |pages| {
        let (mut page, mut bounds) = (Vec::new(), Vec::new());
        for (at, order) in column.order.chunks(page_rows).enumerate() {
            let from = at * page_rows;
            let valid = valid.get(from..from + order.len()).unwrap_or_default();
            pages.levels(&mut page, order.len(), valid);
            let some = order.iter().enumerate().filter(|(at, _)| valid.get(*at).is_none_or(|valid| *valid));
            let ids = some.map(|(_, &(part, row))| &bytes[part as usize][row as usize * width..][..width]);
            // So many bytes are a register or two, if it is known how many.
            bounds.push(match width {
                8 => append(&mut page, ids, |id| id.first_chunk::<8>().copied().unwrap_or_default()),
                16 => append(&mut page, ids, |id| id.first_chunk::<16>().copied().unwrap_or_default()),
                _ => append(&mut page, ids, |id| id),
            });
            let nulls = valid.iter().filter(|valid| !**valid).count();
            pages.data(&page, order.len(), nulls, Encoding::PLAIN)?;
        }
        Ok(Content { encoding: Encoding::PLAIN, bounds, bounded: true, distinct: None })
    })
}

/// Appends ids, each made an array of its length; the least and the greatest.
fn append<'a, A: AsRef<[u8]>>(
    page: &mut Vec<u8>,
    ids: impl Iterator<Item = &'a [u8]>,
    array: impl Fn(&'a [u8]) -> A,
) -> Option<(&'a [u8], &'a [u8])> {
    let mut extremes = Extremes::default();
    for id in ids {
        extremes.see(id);
        page.extend_from_slice(array(id).as_ref());
    }
    extremes.bounds()
}
