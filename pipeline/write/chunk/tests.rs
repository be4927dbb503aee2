use std::slice::from_ref;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use proptest::prelude::*;

use super::{Column, Compressor, PAGE_BYTES, PAGE_ROWS, Position, encode, nested};

type Texts = DictionaryArray<Int32Type>;

fn texts(values: &[&str], keys: Vec<Option<i32>>) -> Texts {
    Texts::new(Int32Array::from(keys), Arc::new(StringArray::from(values.to_vec())))
}

/// A file whose only column has these rows; none if it is not for us.
fn file_of(parts: &[ArrayRef], order: &[Position], nullable: bool, compression: Compression) -> Option<Bytes> {
    let schema = Schema::new(vec![Field::new("value", plain(parts[0].data_type()), nullable)]);
    let schema = ArrowSchemaConverter::new().convert(&schema).unwrap();
    let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
    let mut compressor = Compressor::new(compression).unwrap();
    let chunks = match parts[0].data_type() {
        DataType::List(_) => schema
            .columns()
            .iter()
            .map(|descr| nested(&parts, order.len(), descr, &mut compressor).unwrap())
            .collect::<Option<_>>()?,
        _ => {
            let column = Column { parts: &parts, order, descr: &schema.column(0), bounded: true };
            vec![encode(column, &mut compressor).unwrap()?]
        }
    };
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties.into()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for (bytes, close) in chunks {
        group.append_column(&bytes, close).unwrap();
    }
    group.close().unwrap();
    Some(file.into_inner().unwrap().into())
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    }
}

fn in_order(part: &dyn Array) -> Vec<Position> {
    (0..part.len() as u32).map(|row| (0, row)).collect()
}

/// A file whose only column is this; none if the column is not for us.
fn file(column: &Texts, nullable: bool, compression: Compression) -> Option<Bytes> {
    file_of(&[Arc::new(column.clone())], &in_order(column), nullable, compression)
}

fn read_array(file: Bytes) -> ArrayRef {
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let columns: Vec<ArrayRef> = batches.map(|batch| batch.unwrap().column(0).clone()).collect();
    let columns: Vec<&dyn Array> = columns.iter().map(|column| column.as_ref()).collect();
    arrow_select::concat::concat(&columns).unwrap()
}

fn read(file: Bytes) -> Vec<Option<String>> {
    read_array(file).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn rows(column: &Texts) -> Vec<Option<String>> {
    let typed = column.downcast_dict::<StringArray>().unwrap();
    typed.into_iter().map(|text| text.map(str::to_owned)).collect()
}

fn zstd() -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(1).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_read_is_what_was_written(
        values in prop::collection::vec("[a-c]{0,3}|\\PC{0,80}", 1..300),
        runs in prop::collection::vec((prop::option::weighted(0.8, any::<u16>()), 1_usize..40), 0..200),
        skip in 0_usize..50,
        compressed: bool,
    ) {
        let key = |of: u16| i32::from(of) % values.len() as i32;
        let keys: Vec<_> = runs.iter().flat_map(|&(of, times)| std::iter::repeat_n(of.map(key), times)).collect();
        let column = texts(&values.iter().map(String::as_str).collect::<Vec<_>>(), keys);
        let column = column.slice(skip.min(column.len()), column.len() - skip.min(column.len()));
        let compression = if compressed { zstd() } else { Compression::UNCOMPRESSED };
        match file(&column, true, compression) {
            Some(file) => prop_assert_eq!(read(file), rows(&column)),
            None => prop_assert!(column.is_empty()),
        }
    }

    /// Of several batches, in any order, as a column of each type.
    #[test]
    fn what_is_read_is_what_stands_there_in_that_order(
        rows in prop::collection::vec((prop::option::weighted(0.9, any::<u64>()), 0_usize..4), 1..400),
        kind in 0_usize..KINDS,
        few: bool,
        all_valid: bool,
        seed: u64,
    ) {
        let mut batches = vec![Vec::new(); 4];
        let value = |value: Option<u64>| {
            let value = if all_valid { value.or(Some(7)) } else { value };
            value.map(|value| if few { value % 5 } else { value })
        };
        rows.iter().for_each(|&(of, batch)| batches[batch].push(value(of)));
        let parts: Vec<ArrayRef> = batches.iter().map(|values| of_kind(kind, values)).collect();
        let mut order: Vec<Position> = (0..).zip(&parts).flat_map(|(at, part)| (0..part.len() as u32).map(move |row| (at, row))).collect();
        order.sort_by_key(|&(part, row)| (u64::from(part) * 1_000 + u64::from(row)).wrapping_mul(seed | 1) % 8_191);
        // A row group may have some of the rows only.
        order.truncate(order.len().div_ceil(1 + seed as usize % 2));
        let file = file_of(&parts, &order, true, zstd()).unwrap();
        let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
        let order: Vec<(usize, usize)> = order.iter().map(|&(part, row)| (part as usize, row as usize)).collect();
        let expected = arrow_select::interleave::interleave(&parts, &order).unwrap();
        let expected = arrow_cast::cast(&expected, &plain(expected.data_type())).unwrap();
        prop_assert_eq!(read_array(file).to_data(), expected.to_data());
    }
}

const KINDS: usize = 12;

/// A column of some type, with these numbers in one form or another.
fn of_kind(kind: usize, values: &[Option<u64>]) -> ArrayRef {
    let all = || values.iter().copied();
    let text = |value: u64| {
        if value.is_multiple_of(7) { String::new() } else { format!("{value:x}").repeat(1 + value as usize % 3) }
    };
    match kind {
        0 => Arc::new(all().map(|value| value.map(|value| value.is_multiple_of(2))).collect::<BooleanArray>()),
        1 => Arc::new(all().map(|value| value.map(|value| value as i32)).collect::<Int32Array>()),
        2 => Arc::new(all().map(|value| value.map(|value| value as u32)).collect::<UInt32Array>()),
        3 => Arc::new(all().map(|value| value.map(u64::cast_signed)).collect::<Int64Array>()),
        4 => Arc::new(all().collect::<UInt64Array>()),
        // Among them are infinities, values that are none and both zeros.
        5 => Arc::new(all().map(|value| value.map(special)).collect::<Float64Array>()),
        6 => {
            let times: TimestampNanosecondArray = all().map(|value| value.map(u64::cast_signed)).collect();
            Arc::new(times.with_timezone("UTC"))
        }
        7 => Arc::new(all().map(|value| value.map(|value| value as i64 >> 20)).collect::<TimestampMicrosecondArray>()),
        8 => Arc::new(all().map(|value| value.map(text)).collect::<StringArray>()),
        9 => {
            let texts: Vec<Option<String>> = all().map(|value| value.map(text)).collect();
            Arc::new(texts.iter().map(Option::as_deref).collect::<Texts>())
        }
        10 => {
            let ids = all().map(|value| value.map(u64::to_be_bytes));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 8).unwrap())
        }
        _ => Arc::new(all().map(|value| value.map(|_| 1.0)).collect::<Float64Array>()),
    }
}

fn special(value: u64) -> f64 {
    match value % 16 {
        0 => f64::NAN,
        1 => f64::NEG_INFINITY,
        2 => -0.0,
        3 => 0.0,
        4 => f64::INFINITY,
        _ => f64::from_bits(value),
    }
}

#[test]
fn every_width_of_a_number_is_packed_as_readers_unpack_it() {
    for distinct in [1, 2, 3, 4, 5, 255, 256, 257, 4_095, 70_000] {
        let values: Vec<String> = (0..distinct).map(|number| format!("{number}")).collect();
        // Neither sorted nor in runs, with a run in the middle.
        let mut keys: Vec<_> = (0..3 * distinct).map(|at| Some((at * 7_919) % distinct)).collect();
        keys.splice(2..2, std::iter::repeat_n(Some(distinct - 1), 100));
        let column = texts(&values.iter().map(String::as_str).collect::<Vec<_>>(), keys);
        assert_eq!(read(file(&column, false, zstd()).unwrap()), rows(&column), "{distinct} texts");
    }
}

#[test]
fn pages_of_nulls_only_are_read_back_and_known_as_such() {
    let keys = |from: usize| (!(PAGE_ROWS..2 * PAGE_ROWS).contains(&from)).then_some((from / PAGE_ROWS % 2) as i32);
    let column = texts(&["unused", "b", "a"], (0..3 * PAGE_ROWS + 1).map(|at| keys(at).map(|key| key + 1)).collect());
    let file = file(&column, true, zstd()).unwrap();
    assert_eq!(read(file.clone()), rows(&column));

    let options =
        parquet::arrow::arrow_reader::ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let metadata = reader.metadata();
    let locations = metadata.offset_index().unwrap()[0][0].page_locations();
    let first_rows: Vec<_> = locations.iter().map(|location| location.first_row_index as usize).collect();
    assert_eq!(first_rows, [0, PAGE_ROWS, 2 * PAGE_ROWS, 3 * PAGE_ROWS]);
    let index = &metadata.column_index().unwrap()[0][0];
    assert_eq!((0..4).map(|page| index.is_null_page(page)).collect::<Vec<_>>(), [false, true, false, false]);
    assert_eq!((0..4).map(|page| index.null_count(page)).collect::<Vec<_>>(), [0, 20_000, 0, 0].map(Some));
}

#[test]
fn pages_have_bounds_where_a_reader_can_tell_them_apart() {
    let bounds = |values: &dyn Fn(usize) -> i64| {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values((0..2 * PAGE_ROWS).map(values)));
        let file = file_of(from_ref(&column), &in_order(&column), true, zstd()).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        reader.metadata().row_group(0).column(0).column_index_offset().is_some()
    };
    assert!(bounds(&|row| row as i64));
    assert!(bounds(&|row| (row / PAGE_ROWS) as i64));
    assert!(!bounds(&|row| (row * 7 % 101) as i64));
    assert!(!bounds(&|_| 3));
}

#[test]
fn statistics_are_those_of_the_rows_and_not_of_the_dictionary() {
    let column = texts(&["zebra", "m", "b", "m", "a"], vec![Some(1), None, Some(2), Some(3), Some(1)]);
    let statistics = statistics(file(&column, true, zstd()).unwrap());
    assert_eq!(statistics.min_bytes_opt(), Some(&b"b"[..]));
    assert_eq!(statistics.max_bytes_opt(), Some(&b"m"[..]));
    assert_eq!(statistics.null_count_opt(), Some(1));
    assert_eq!(statistics.distinct_count_opt(), Some(2));
}

#[test]
fn a_bound_that_is_too_long_is_left_out() {
    let long = "x".repeat(65);
    let column = texts(&["a", &long], vec![Some(0), Some(1)]);
    let statistics = statistics(file(&column, true, zstd()).unwrap());
    assert_eq!(statistics.min_bytes_opt(), Some(&b"a"[..]));
    assert_eq!(statistics.max_bytes_opt(), None);
}

/// The statistics of the only chunk of a file.
fn statistics(file: Bytes) -> Statistics {
    let reader = SerializedFileReader::new(file).unwrap();
    reader.metadata().row_group(0).column(0).statistics().unwrap().clone()
}

fn encoding(file: Bytes) -> Vec<Encoding> {
    let reader = SerializedFileReader::new(file).unwrap();
    reader.metadata().row_group(0).column(0).encodings().collect()
}

#[test]
fn texts_that_are_too_many_for_a_dictionary_are_written_one_after_the_other() {
    let long: Vec<String> = (0..PAGE_BYTES / 1_000 + 1).map(|number| format!("{number:01000}")).collect();
    let keys = (0..long.len() as i32).map(Some).collect();
    let column = texts(&long.iter().map(String::as_str).collect::<Vec<_>>(), keys);
    let written = file(&column, true, zstd()).unwrap();
    assert!(
        encoding(written.clone()).contains(&Encoding::PLAIN)
            && !encoding(written.clone()).contains(&Encoding::RLE_DICTIONARY)
    );
    assert_eq!(read(written), rows(&column));
    let unused: ArrayRef = Arc::new(StringArray::from(long));
    let column = Texts::new(Int32Array::from(vec![3, 3]), unused);
    let written = file(&column, true, zstd()).unwrap();
    assert!(encoding(written).contains(&Encoding::RLE_DICTIONARY), "what no row has does not count");
}

#[test]
fn a_page_has_no_more_bytes_than_it_may_unless_one_text_has() {
    let long = ["x".repeat(PAGE_BYTES), "y".repeat(PAGE_BYTES / 2), "z".repeat(PAGE_BYTES / 2), "z".into()];
    let column: ArrayRef = Arc::new(StringArray::from(long.to_vec()));
    let file = file_of(from_ref(&column), &in_order(&column), true, zstd()).unwrap();
    assert_eq!(&read_array(file.clone()), &column);
    let options =
        parquet::arrow::arrow_reader::ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let pages = reader.metadata().offset_index().unwrap()[0][0].page_locations().clone();
    assert_eq!(pages.iter().map(|page| page.first_row_index).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn statistics_of_numbers_are_in_the_order_of_their_type() {
    let of = |column: ArrayRef| statistics(file_of(from_ref(&column), &in_order(&column), true, zstd()).unwrap());
    let bytes = |statistics: Statistics| {
        (statistics.min_bytes_opt().map(<[u8]>::to_vec), statistics.max_bytes_opt().map(<[u8]>::to_vec))
    };
    let signed = of(Arc::new(Int64Array::from(vec![Some(3), None, Some(-2)])));
    assert_eq!(signed.null_count_opt(), Some(1));
    assert_eq!(bytes(signed), (Some((-2_i64).to_le_bytes().to_vec()), Some(3_i64.to_le_bytes().to_vec())));
    let unsigned = of(Arc::new(UInt32Array::from(vec![u32::MAX, 1])));
    assert_eq!(bytes(unsigned), (Some(vec![1, 0, 0, 0]), Some(vec![255; 4])));
    let double = |values: &[f64]| bytes(of(Arc::new(Float64Array::from(values.to_vec()))));
    let pair = |least: f64, greatest: f64| (Some(least.to_le_bytes().to_vec()), Some(greatest.to_le_bytes().to_vec()));
    assert_eq!(double(&[1.0, f64::NAN, -1.5]), pair(-1.5, 1.0));
    assert_eq!(double(&[f64::NAN, f64::NAN]), (None, None));
    // A reader that looks for one zero must find the other.
    assert_eq!(double(&[0.0, 1.0]), pair(-0.0, 1.0));
    assert_eq!(double(&[-0.0, -1.0]), pair(-1.0, 0.0));
    assert_eq!(double(&[0.0; 8]), pair(-0.0, 0.0));
}

#[test]
fn differences_wrap_around_as_readers_have_it() {
    let narrow =
        Int32Array::from_iter_values((0..300).map(|at| [i32::MIN, i32::MAX, 0, -1][at % 4].wrapping_add(at as i32)));
    let wide =
        Int64Array::from_iter_values((0..300).map(|at| [i64::MIN, i64::MAX, 0, -1][at % 4].wrapping_add(at as i64)));
    for column in [Arc::new(narrow) as ArrayRef, Arc::new(wide)] {
        let file = file_of(from_ref(&column), &in_order(&column), false, zstd()).unwrap();
        assert!(encoding(file.clone()).contains(&Encoding::DELTA_BINARY_PACKED));
        assert_eq!(&read_array(file), &column);
    }
}

#[test]
fn lists_without_elements_are_read_back_and_others_are_not_for_us() {
    let lists = |rows: &[Option<&[i64]>]| -> ArrayRef {
        let rows = rows.iter().map(|row| row.map(|row| row.iter().copied().map(Some).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
    };
    for rows in [vec![Some(&[][..]); 30_000], vec![None; 30_000]] {
        let column = lists(&rows);
        let file = file_of(from_ref(&column), &in_order(&column), true, zstd()).unwrap();
        let read = read_array(file);
        let read = read.as_list::<i32>();
        assert_eq!((read.len(), read.null_count(), read.values().len()), (30_000, column.null_count(), 0));
    }
    for rows in [&[Some(&[][..]), None][..], &[Some(&[1]), Some(&[])]] {
        let column = lists(rows);
        assert!(file_of(from_ref(&column), &in_order(&column), true, zstd()).is_none());
    }
}
