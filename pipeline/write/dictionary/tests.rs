use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use proptest::prelude::*;

use super::{Compressor, DICTIONARY_BYTES_MAX, PAGE_ROWS, chunk};

type Texts = DictionaryArray<Int32Type>;

fn texts(values: &[&str], keys: Vec<Option<i32>>) -> Texts {
    Texts::new(Int32Array::from(keys), Arc::new(StringArray::from(values.to_vec())))
}

/// A file whose only column is this; none if the column is not for us.
fn file(column: &Texts, nullable: bool, compression: Compression) -> Option<Bytes> {
    let schema = Schema::new(vec![Field::new("text", DataType::Utf8, nullable)]);
    let schema = ArrowSchemaConverter::new().convert(&schema).unwrap();
    let (bytes, close) = chunk(column, &schema.column(0), true, &mut Compressor::new(compression).unwrap()).unwrap()?;
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties.into()).unwrap();
    let mut group = file.next_row_group().unwrap();
    group.append_column(&bytes, close).unwrap();
    group.close().unwrap();
    Some(file.into_inner().unwrap().into())
}

fn read(file: Bytes) -> Vec<Option<String>> {
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    let text = |batch: &RecordBatch| {
        batch.column(0).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    batches.iter().flat_map(text).collect()
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
            None => prop_assert_eq!(column.null_count(), column.len()),
        }
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
fn statistics_are_those_of_the_rows_and_not_of_the_dictionary() {
    let column = texts(&["zebra", "m", "b", "m", "a"], vec![Some(1), None, Some(2), Some(3), Some(1)]);
    let reader = SerializedFileReader::new(file(&column, true, zstd()).unwrap()).unwrap();
    let statistics = reader.metadata().row_group(0).column(0).statistics().unwrap().clone();
    assert_eq!(statistics.min_bytes_opt(), Some(&b"b"[..]));
    assert_eq!(statistics.max_bytes_opt(), Some(&b"m"[..]));
    assert_eq!(statistics.null_count_opt(), Some(1));
    assert_eq!(statistics.distinct_count_opt(), Some(2));
}

#[test]
fn a_bound_that_is_too_long_is_left_out() {
    let long = "x".repeat(65);
    let column = texts(&["a", &long], vec![Some(0), Some(1)]);
    let reader = SerializedFileReader::new(file(&column, true, zstd()).unwrap()).unwrap();
    let statistics = reader.metadata().row_group(0).column(0).statistics().unwrap().clone();
    assert_eq!(statistics.min_bytes_opt(), Some(&b"a"[..]));
    assert_eq!(statistics.max_bytes_opt(), None);
}

#[test]
fn what_is_no_dictionary_is_left_to_parquets_writer() {
    assert!(file(&texts(&["a"], vec![None, None]), true, zstd()).is_none(), "no text at all");
    let long: Vec<String> = (0..DICTIONARY_BYTES_MAX / 1_000 + 1).map(|number| format!("{number:01000}")).collect();
    let keys = (0..long.len() as i32).map(Some).collect();
    let column = texts(&long.iter().map(String::as_str).collect::<Vec<_>>(), keys);
    assert!(file(&column, true, zstd()).is_none(), "more text than a dictionary page takes");
    let unused: ArrayRef = Arc::new(StringArray::from(long));
    let column = Texts::new(Int32Array::from(vec![3, 3]), unused);
    assert!(file(&column, true, zstd()).is_some(), "what no row has does not count");
}
