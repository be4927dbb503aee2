//! The order of rows in a row group: by service, then by time, so that statistics prune and bytes compress.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_select::interleave::interleave_record_batch;

use crate::tables::Table;
use crate::{Error, Result};

/// All rows of `batches`, copied once: in their order, or in that in which they came.
pub(super) fn ordered(table: &Table, batches: &[RecordBatch], sort: bool) -> Result<RecordBatch> {
    let order = if sort {
        order(table, batches)?
    } else {
        let rows = |(at, batch): (usize, &RecordBatch)| (0..batch.num_rows()).map(move |row| (at, row));
        batches.iter().enumerate().flat_map(rows).collect()
    };
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    interleave_record_batch(&batches, &order)
        .map_err(|error| Error::bug(format!("table `{}`: rows cannot be put in order: {error}", table.name)))
}

/// Where each row comes from: the number of its batch, its number there.
fn order(table: &Table, batches: &[RecordBatch]) -> Result<Vec<(usize, usize)>> {
    let ranks = service_ranks(table, batches);
    let mut rows: Vec<(u32, i64, u32, u32)> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (at, (batch, ranks)) in batches.iter().zip(&ranks).enumerate() {
        let times = batch
            .column(table.time)
            .as_primitive_opt::<TimestampNanosecondType>()
            .ok_or_else(|| Error::bug(format!("table `{}`: column {} is no time", table.name, table.time)))?;
        let rank = |row: usize| ranks.get(row).copied().unwrap_or(0);
        // No time and no service stand first, as the file's metadata says.
        let time = |row: usize| if times.is_null(row) { i64::MIN } else { times.value(row) };
        rows.extend((0..batch.num_rows()).map(|row| (rank(row), time(row), at as u32, row as u32)));
    }
    // The position is part of the key, so that equal rows stay in the order in which they came.
    rows.sort_unstable();
    Ok(rows.into_iter().map(|(_, _, batch, row)| (batch as usize, row as usize)).collect())
}

/// For each row of each batch the place of its service among all services; 0 for none.
fn service_ranks(table: &Table, batches: &[RecordBatch]) -> Vec<Vec<u32>> {
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
    columns.iter().map(|column| column.as_ref().map(of_column).unwrap_or_default()).collect()
}
