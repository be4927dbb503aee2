//! The order of rows in a row group: by service, then by time, so that statistics prune and bytes compress.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};

use super::chunk::Position;
use crate::tables::Table;
use crate::{Error, Result};

/// Where each row of `batches` comes from: in their order, or in that in which they came.
pub(super) fn ordered(table: &Table, batches: &[RecordBatch], sort: bool) -> Result<Vec<Position>> {
    if sort { order(table, batches) } else { Ok(as_they_are(batches)) }
}

/// All rows of `batches`, one after the other.
pub(super) fn as_they_are(batches: &[RecordBatch]) -> Vec<Position> {
    let rows = |(batch, at): (&RecordBatch, u32)| (0..batch.num_rows() as u32).map(move |row| (at, row));
    batches.iter().zip(0..).flat_map(rows).collect()
}

fn order(table: &Table, batches: &[RecordBatch]) -> Result<Vec<Position>> {
    let (ranks, count) = service_ranks(table, batches);
    let rank = |batch: u32, row: u32| ranks[batch as usize].get(row as usize).map_or(0, |&rank| rank as usize);
    // Rows of a service first lie together as they came.
    let mut ends = vec![0; count];
    let numbered = || batches.iter().zip(0_u32..);
    numbered().for_each(|(rows, batch)| (0..rows.num_rows() as u32).for_each(|row| ends[rank(batch, row)] += 1));
    let mut next = 0;
    for end in &mut ends {
        next += std::mem::replace(end, next);
    }
    let mut rows = vec![(0_i64, (0_u32, 0_u32)); numbered().map(|(rows, _)| rows.num_rows()).sum()];
    for (here, batch) in numbered() {
        let times = here
            .column(table.time)
            .as_primitive_opt::<TimestampNanosecondType>()
            .ok_or_else(|| Error::bug(format!("table `{}`: column {} is no time", table.name, table.time)))?;
        for (row, &time) in (0..).zip(times.values()) {
            // No time and no service stand first, as the file's metadata says.
            let time = if times.is_null(row as usize) { i64::MIN } else { time };
            let end = &mut ends[rank(batch, row)];
            rows[*end] = (time, (batch, row));
            *end += 1;
        }
    }
    let mut rest = rows.as_mut_slice();
    let mut before = 0;
    for end in ends {
        let (of_service, others) = rest.split_at_mut(end - before);
        // Equal rows stay in the order in which they came. What a sender sends is in order often, and this sort sees runs.
        of_service.sort_by_key(|(time, _)| *time);
        (rest, before) = (others, end);
    }
    Ok(rows.into_iter().map(|(_, position)| position).collect())
}

/// For each row of each batch the place of its service among all services, 0 for none; and how many places there are.
fn service_ranks(table: &Table, batches: &[RecordBatch]) -> (Vec<Vec<u32>>, usize) {
    let columns: Vec<_> = batches
        .iter()
        .map(|batch| {
            let column = batch.column(table.service?).as_dictionary_opt::<Int32Type>()?;
            Some((column, column.values().as_string_opt::<i32>()?))
        })
        .collect();
    let mut ranks: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, texts) in columns.iter().flatten() {
        ranks.extend(texts.iter().flatten().map(|text| (text, 0)));
    }
    ranks.values_mut().zip(1..).for_each(|(rank, place)| *rank = place);
    let of_column = |(column, texts): &(&arrow_array::DictionaryArray<Int32Type>, &arrow_array::StringArray)| {
        let of_value: Vec<u32> = texts.iter().map(|text| text.map_or(0, |text| ranks[text])).collect();
        column.keys().iter().map(|key| key.map_or(0, |key| of_value[key as usize])).collect()
    };
    (columns.iter().map(|column| column.as_ref().map(of_column).unwrap_or_default()).collect(), ranks.len() + 1)
}
