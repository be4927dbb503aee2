//! What is in the files and where they are.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int64Array, TimestampNanosecondArray};
use arrow_cast::cast;
use arrow_cast::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, LogicalType, TimeUnit, Type};
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::tables::sample::{Of, row, with};

fn metadata(path: &Path) -> ParquetMetaData {
    SerializedFileReader::new(File::open(path).unwrap()).unwrap().metadata().clone()
}

/// The service and time of each row of a row group, in the order of the file.
fn row_group(path: &Path, group: usize) -> Vec<(String, i64)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches = builder.with_row_groups(vec![group]).build().unwrap();
    let mut found = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        let services = batch.column_by_name("service_name").unwrap().as_string::<i32>().clone();
        let services = services.iter().map(|name| name.unwrap_or_default().to_owned());
        found.extend(services.zip(times_of(&batch)));
    }
    found
}

#[test]
fn what_was_written_is_read_back() {
    for signal in Signal::ALL {
        let place = Place::new();
        let writer = place.start();
        let attributes = vec![("a", Of::Int(1)), ("b", Of::Text("\"é"))];
        let first = Row { time: NOON, ..with(attributes, 0) };
        let written = rows(signal, &[first, row(NOON + 1, "shop")]);
        writer.write(signal.name(), written.clone()).unwrap();
        writer.close_epoch().unwrap();
        let schema = written.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let found = read(&place.to(), signal.name(), &names).unwrap();
        let [found] = found.as_slice() else { panic!("{signal}: {} batches", found.len()) };
        assert_eq!(found.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names);
        for (name, column) in names.iter().zip(found.columns()) {
            let expected = cast(written.column_by_name(name).unwrap(), column.data_type()).unwrap();
            assert_eq!(column, &expected, "{signal}: {name}");
        }
    }
}

#[test]
fn parquet_itself_says_what_columns_are() {
    let place = Place::new();
    let writer = place.start();
    writer.write("spans", spans(&[NOON])).unwrap();
    writer.close_epoch().unwrap();
    let metadata = metadata(&place.to().join(&place.published()[0]));
    let columns = metadata.file_metadata().schema_descr().columns();
    let column = |path: &str| {
        let found = columns.iter().find(|column| column.path().string() == path);
        let found = found.unwrap_or_else(|| panic!("no column {path}"));
        (found.physical_type(), found.logical_type_ref().cloned())
    };
    let time = Some(LogicalType::timestamp(true, TimeUnit::NANOS));
    assert_eq!(column("time"), (Type::INT64, time.clone()));
    assert_eq!(column("end_time"), (Type::INT64, time.clone()));
    assert_eq!(column("events.list.element.time"), (Type::INT64, time));
    assert_eq!(column("service_name"), (Type::BYTE_ARRAY, Some(LogicalType::String)));
    assert_eq!(column("trace_state"), (Type::BYTE_ARRAY, Some(LogicalType::String)));
    for json in ["attributes", "resource_attributes", "scope_attributes", "events.list.element.attributes"] {
        assert_eq!(column(json), (Type::BYTE_ARRAY, Some(LogicalType::Json)), "{json}");
    }
    assert_eq!(column("trace_id"), (Type::FIXED_LEN_BYTE_ARRAY, None));
    assert_eq!(column("duration_ns"), (Type::INT64, None));
    assert_eq!(column("flags"), (Type::INT32, Some(LogicalType::integer(32, false))));
}

#[test]
fn a_file_describes_its_columns() {
    let place = Place::new();
    let writer = place.start();
    writer.write("spans", spans(&[NOON])).unwrap();
    writer.close_epoch().unwrap();
    let metadata = metadata(&place.to().join(&place.published()[0]));
    let entries = metadata.file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.value.as_deref());
    assert_eq!(value("weir.table"), Some("spans"));
    for field in tables().schema("spans").unwrap().fields() {
        let described = value(&format!("weir.column.{}", field.name()));
        assert_eq!(described, field.metadata().get("description").map(String::as_str), "{}", field.name());
    }
    assert_eq!(value("weir.column.events[].name"), Some("Name of the event"));
    let content = std::fs::read(place.to().join(&place.published()[0])).unwrap();
    let arrow = super::super::read::schema(content.into(), Path::new("a file")).unwrap();
    assert_eq!(
        arrow.field_with_name("kind").unwrap().metadata().get("description").map(String::as_str),
        value("weir.column.kind")
    );
}

#[test]
fn a_file_of_many_rows_says_where_its_pages_are_and_one_of_few_does_not() {
    for (rows, indexed) in [(40_000, false), (40_001, true)] {
        let place = Place::new();
        let writer = place.start();
        writer.write("spans", spans(&(NOON..NOON + rows).collect::<Vec<_>>())).unwrap();
        writer.close_epoch().unwrap();
        let metadata = metadata(&place.to().join(&place.published()[0]));
        // Those of lists with elements are Parquet's own.
        for column in metadata.row_group(0).columns() {
            assert_eq!(column.offset_index_offset().is_some(), indexed, "{rows} rows: {}", column.column_path());
            let bounds = indexed && column.column_path().string() == "time";
            assert_eq!(column.column_index_offset().is_some(), bounds, "{rows} rows: {}", column.column_path());
        }
    }
}

#[test]
fn rows_are_in_folders_by_day_and_hour() {
    let place = Place::new();
    let writer = place.start();
    writer.write("spans", spans(&[NOON, NOON + 12 * HOUR, NOON + HOUR - 1, NOON + HOUR, 0])).unwrap();
    writer.close_epoch().unwrap();
    let rows_in = |folder: &str| place.times(&format!("spans/{folder}"));
    assert_eq!(place.published().len(), 4);
    assert_eq!(rows_in("day=2026-01-01/hour=12"), [NOON, NOON + HOUR - 1]);
    assert_eq!(rows_in("day=2026-01-01/hour=13"), [NOON + HOUR]);
    assert_eq!(rows_in("day=2026-01-02/hour=00"), [NOON + 12 * HOUR]);
    assert_eq!(rows_in("day=1970-01-01/hour=00"), [0], "a time that nobody set is no reason to lose the row");
}

#[test]
fn derived_rows_are_in_folders_by_day_and_without_a_time_by_when_they_were_computed() {
    let place = Place::new();
    let writer = place.start();
    let times = TimestampNanosecondArray::from(vec![Some(NOON), None, Some(NOON + 12 * HOUR)]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![Arc::new(times), Arc::new(Int64Array::from(vec![1, 2, 3]))];
    let computed = NOON + 36 * HOUR;
    writer.write("kpi", tables().derived("kpi", &columns, computed, "kpi 1.0.0", "abc").unwrap()).unwrap();
    writer.close_epoch().unwrap();
    let value_in = |folder: &str| {
        let found = read(&place.to(), &format!("kpi/{folder}"), &["value"]).unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1, "{folder}");
        array_value_to_string(found[0].column(0), 0).unwrap()
    };
    assert_eq!(value_in("day=2026-01-01"), "1");
    assert_eq!(value_in("day=2026-01-03"), "2");
    assert_eq!(value_in("day=2026-01-02"), "3");
}

#[test]
fn rows_of_a_row_group_are_ordered_by_service_and_time() {
    let place = Place::new();
    let writer = start(WriteOptions { row_group_rows: 4, ..place.options() });
    let none = Row { service: None, ..row(NOON + 2, "") };
    let came = [row(NOON + 3, "b"), row(NOON + 1, "a"), none, row(NOON, "b"), row(NOON + 5, "a"), row(NOON + 4, "a")];
    writer.write("spans", rows(Signal::Spans, &came[..3])).unwrap();
    writer.write("spans", rows(Signal::Spans, &came[3..])).unwrap();
    writer.write("spans", rows(Signal::Spans, &came[..2])).unwrap();
    writer.close_epoch().unwrap();
    let path = place.to().join(&place.published()[0]);
    let group =
        |number| row_group(&path, number).into_iter().map(|(name, time)| (name, time - NOON)).collect::<Vec<_>>();
    let of = |name: &str, time| (name.to_owned(), time);
    // Six are one row group of four and more, and not another small one.
    assert_eq!(group(0), [of("", 2), of("a", 1), of("a", 4), of("a", 5), of("b", 0), of("b", 3)]);
    assert_eq!(group(1), [of("a", 1), of("b", 3)]);
    let metadata = metadata(&path);
    let schema = metadata.file_metadata().schema_descr();
    for group in metadata.row_groups() {
        let sorting: Vec<SortingColumn> = group.sorting_columns().unwrap().clone();
        let names: Vec<_> = sorting.iter().map(|by| schema.column(by.column_idx as usize).name().to_owned()).collect();
        assert_eq!(names, ["service_name", "time"]);
        assert!(sorting.iter().all(|by| by.nulls_first && !by.descending));
    }
}

#[test]
fn rows_for_several_row_groups_are_divided_evenly() {
    for (rows, expected) in
        [(3, vec![3]), (4, vec![4]), (7, vec![7]), (8, vec![4, 4]), (11, vec![6, 5]), (13, vec![5, 5, 3])]
    {
        let place = Place::new();
        let writer = start(WriteOptions { row_group_rows: 4, ..place.options() });
        writer.write("spans", spans(&(0..rows).map(|row| NOON + row).collect::<Vec<_>>())).unwrap();
        writer.close_epoch().unwrap();
        let metadata = metadata(&place.to().join(&place.published()[0]));
        let groups: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, expected, "{rows} rows");
    }
}

#[test]
fn rows_that_are_not_to_be_ordered_stay_as_they_came_and_the_file_claims_nothing() {
    let place = Place::new();
    let writer = start(WriteOptions { sort: false, ..place.options() });
    writer.write("spans", spans(&[NOON + 3, NOON + 1])).unwrap();
    writer.write("spans", spans(&[NOON + 2])).unwrap();
    writer.close_epoch().unwrap();
    let path = place.to().join(&place.published()[0]);
    let times: Vec<i64> = row_group(&path, 0).into_iter().map(|(_, time)| time - NOON).collect();
    assert_eq!(times, [3, 1, 2]);
    assert!(metadata(&path).row_group(0).sorting_columns().is_none());
}

#[test]
fn files_are_compressed_as_told() {
    for (level, expected) in [(None, "UNCOMPRESSED"), (Some(1), "ZSTD")] {
        let place = Place::new();
        let writer = start(WriteOptions { zstd_level: level, ..place.options() });
        writer.write("spans", spans(&[NOON])).unwrap();
        writer.close_epoch().unwrap();
        let metadata = metadata(&place.to().join(&place.published()[0]));
        for column in metadata.row_group(0).columns() {
            let found = match column.compression() {
                Compression::UNCOMPRESSED => "UNCOMPRESSED",
                Compression::ZSTD(_) => "ZSTD",
                other => panic!("{other}"),
            };
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_file_that_is_large_enough_is_complete_and_another_one_is_begun() {
    let place = Place::new();
    let writer = start(WriteOptions { row_group_rows: 2, file_bytes_max: 1, ..place.options() });
    for pair in 0..3 {
        writer.write("spans", spans(&[NOON + 2 * pair, NOON + 2 * pair + 1])).unwrap();
    }
    writer.write("spans", spans(&[NOON + 6])).unwrap();
    assert_eq!(place.staged().len(), 3);
    assert!(place.published().is_empty(), "complete is not published");
    assert_eq!(writer.close_epoch().unwrap().files, 4);
    assert_eq!(place.published().len(), 4);
    assert_eq!(place.times("spans"), (NOON..NOON + 7).collect::<Vec<_>>());

    let whole = Place::new();
    let writer = start(WriteOptions { row_group_rows: 2, ..whole.options() });
    for pair in 0..3 {
        writer.write("spans", spans(&[NOON + 2 * pair, NOON + 2 * pair + 1])).unwrap();
    }
    assert_eq!(writer.close_epoch().unwrap().files, 1, "below the limit, row groups are of one file");
}

#[test]
fn dead_letters_are_for_the_owner_alone_and_say_what_failed_and_why() {
    let place = Place::new();
    let writer = place.start();
    let logs = rows(Signal::Logs, &[row(NOON, "shop"), row(NOON + HOUR, "shop")]);
    writer.write_dead_letter(Signal::Logs, &logs, "redact", "ran out of fuel").unwrap();
    writer.write("logs", logs).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    writer.close_epoch().unwrap();

    let published = place.published();
    let (dead, logs): (Vec<_>, Vec<_>) = published.iter().partition(|name| name.starts_with("_dead_letter"));
    let [dead] = dead.as_slice() else { panic!("{published:?}") };
    assert!(dead.starts_with("_dead_letter/logs/day=2026-01-01/weir-"), "{dead}");
    assert_eq!(mode(&place.to().join(dead)), 0o600);
    let usual = place.0.path().join("usual");
    File::create(&usual).unwrap();
    assert!(logs.iter().all(|name| mode(&place.to().join(name)) == mode(&usual)), "others as the umask says");

    let found = read(&place.to(), "_dead_letter/logs", &["dead_letter_plugin", "dead_letter_reason", "body"]).unwrap();
    let text = |column: &str, row| array_value_to_string(found[0].column_by_name(column).unwrap(), row).unwrap();
    assert_eq!(found[0].num_rows(), 2);
    for row in 0..2 {
        assert_eq!(text("dead_letter_plugin", row), "redact");
        assert_eq!(text("dead_letter_reason", row), "ran out of fuel");
        assert_eq!(text("body", row), "started");
    }
}

#[test]
fn dead_letters_are_for_the_owner_alone_while_they_are_staged_too() {
    let place = Place::new();
    let writer = start(WriteOptions { row_group_rows: 1, ..place.options() });
    let logs = rows(Signal::Logs, &[row(NOON, "shop")]);
    writer.write_dead_letter(Signal::Logs, &logs, "redact", "ran out of fuel").unwrap();
    let staged = place.staged();
    let [staged] = staged.as_slice() else { panic!("{staged:?}") };
    let mode = std::fs::metadata(place.staging().join(staged)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
