//! A view is the batch that is changed step by step, each step a copy.

use super::View;
use crate::batch::{Batch, Column};
use crate::decode::tests::show;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray,
    UInt64Array,
};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::DataType;
use proptest::prelude::*;
use std::sync::Arc;

/// What a plugin may do; what it does it to is chosen by number among what is there.
#[derive(Clone, Debug)]
enum Step {
    Write { path: u8, kind: u8, bits: u64 },
    Remove { path: u8, rows: u64 },
    Rename { from: u8, to: u8 },
    Keep { rows: u64 },
    Replace { place: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (any::<u8>(), any::<u8>(), any::<u64>()).prop_map(|(path, kind, bits)| Step::Write { path, kind, bits }),
        1 => (any::<u8>(), any::<u64>()).prop_map(|(path, rows)| Step::Remove { path, rows }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Step::Rename { from, to }),
        3 => any::<u64>().prop_map(|rows| Step::Keep { rows }),
        1 => any::<u8>().prop_map(|place| Step::Replace { place }),
    ]
}

/// Bits for so many rows; all of them are set where `bits` begins with ones.
fn bits(of: u64, rows: usize) -> BooleanBuffer {
    BooleanBuffer::collect_bool(rows, |row| of & 3 == 3 || of >> (row % 61) & 4 != 0)
}

/// Values of some type for so many rows, some of them null.
fn values(kind: u8, of: u64, rows: usize) -> ArrayRef {
    let given = |row: usize| of & 3 == 3 || of >> (row % 61) & 4 != 0;
    let number = |row: usize| of.wrapping_mul(row as u64 + 3) >> 40;
    let texts = || (0..rows).map(|row| given(row).then(|| format!("text {}", number(row) % 5)));
    match kind % 7 {
        0 => Arc::new((0..rows).map(|row| given(row).then(|| number(row) % 2 == 0)).collect::<BooleanArray>()),
        1 => Arc::new((0..rows).map(|row| given(row).then(|| number(row).cast_signed())).collect::<Int64Array>()),
        2 => Arc::new((0..rows).map(|row| given(row).then(|| number(row))).collect::<UInt64Array>()),
        3 => Arc::new((0..rows).map(|row| given(row).then(|| number(row) as f64 / 8.0)).collect::<Float64Array>()),
        4 => Arc::new(texts().collect::<StringArray>()),
        5 => {
            let texts: Vec<_> = texts().collect();
            Arc::new(texts.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>())
        }
        _ => {
            let ids = (0..rows).map(|row| given(row).then(|| number(row).to_le_bytes()));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 8).unwrap())
        }
    }
}

/// The columns, and attributes that some row has or none.
fn paths(batch: &Batch) -> Vec<String> {
    let mut paths: Vec<String> = batch.columns().map(|(name, _)| name.to_owned()).collect();
    let namespaces = [("attributes.", "attributes"), ("resource.", "resource_attributes")];
    for (prefix, name) in namespaces {
        let keys: Vec<String> = match batch.column(name) {
            Some(Column::Attributes(attributes)) => attributes.keys.iter().map(str::to_owned).collect(),
            Some(Column::Shared(shared)) => shared.values.keys.iter().map(str::to_owned).collect(),
            _ => continue,
        };
        let attributes = keys.iter().map(String::as_str).take(6).chain(["new", "newer"]);
        // Attributes are what this is about.
        paths.extend(attributes.flat_map(|key| std::iter::repeat_n(format!("{prefix}{key}"), 6)));
    }
    paths.push("added".to_owned());
    paths
}

/// Does a step to both; both refuse it or none.
fn act(step: &Step, batch: &mut Batch, view: &mut View) -> Result<(), TestCaseError> {
    let paths = paths(batch);
    let path = |number: u8| &*paths[usize::from(number) * 7 % paths.len()];
    let rows = batch.rows();
    let before = batch.clone();
    let (one, other) = match step {
        Step::Write { path: number, kind, bits } => {
            let values = values(*kind, *bits, rows);
            (batch.write(path(*number), &values), view.write(path(*number), &values))
        }
        Step::Remove { path: number, rows: of } => {
            let mask = bits(*of, rows);
            (batch.remove(path(*number), &mask), view.remove(path(*number), &mask))
        }
        Step::Rename { from, to } => (batch.rename(path(*from), path(*to)), view.rename(path(*from), path(*to))),
        Step::Keep { rows: of } => {
            let mask = bits(*of, rows);
            *batch = batch.filter(&mask);
            view.keep(&mask);
            (Ok(()), Ok(()))
        }
        Step::Replace { place } => {
            let places: Vec<String> = batch.places().into_iter().map(str::to_owned).collect();
            let place = &places[usize::from(*place) % places.len()];
            let texts = batch.texts(place).unwrap();
            prop_assert_eq!(&view.texts(place).unwrap(), &texts);
            let other: StringArray = texts.iter().map(|text| text.map(|text| text.replace('e', "ee"))).collect();
            (batch.replace_texts(place, &other), view.replace_texts(place, &other))
        }
    };
    if one.is_err() {
        *batch = before;
    }
    let said = |result: crate::Result<()>| result.err().map(|error| error.message().to_owned());
    prop_assert_eq!(said(one), said(other));
    Ok(())
}

fn plain(column: crate::Result<ArrayRef>) -> Result<ArrayRef, String> {
    let column = column.map_err(|error| error.message().to_owned())?;
    let text = matches!(column.data_type(), DataType::Dictionary(..));
    Ok(if text { cast(&column, &DataType::Utf8).unwrap() } else { column })
}

fn same(batch: &Batch, view: &View) -> Result<(), TestCaseError> {
    prop_assert_eq!(view.rows(), batch.rows());
    let mut paths = paths(batch);
    paths.dedup();
    for path in paths {
        prop_assert_eq!(plain(view.read(&path)), plain(batch.read(&path)), "{}", path);
    }
    prop_assert_eq!(show::rows(&view.clone().settle()), show::rows(batch));
    let some: Vec<u32> = (0..batch.rows() as u32).filter(|row| row % 3 != 1).rev().collect();
    prop_assert_eq!(show::rows(&view.take(&some)), show::rows(&batch.take(&some)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_view_is_what_the_batch_would_be_after_every_step(
        (signal, body) in (0..3_usize).prop_flat_map(crate::batch::tests::three),
        steps in proptest::collection::vec(step(), 1..8),
    ) {
        let mut batch = crate::decode::tests::batch_of(signal, &[body]);
        let mut view = View::from(batch.clone());
        let first = (show::rows(&batch), view.clone());
        for step in &steps {
            act(step, &mut batch, &mut view)?;
            same(&batch, &view)?;
        }
        prop_assert_eq!(show::rows(&first.1.settle()), first.0, "what a call began with is there to go back to");
    }
}
