//! Reads tables into plain rows, which are compared without regard to their order.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// A row: the names of its columns, and what is in them.
pub type Row = BTreeMap<String, Cell>;

/// A value of a table. Doubles are their bits, so that a NaN equals itself and -0 is not 0.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i128),
    Double(u64),
    Text(String),
    Bytes(Vec<u8>),
    /// Nanoseconds since 1970.
    Time(i64),
    List(Vec<Cell>),
    Struct(Row),
    Json(Json),
}

/// A JSON value that keeps the order of an object, a key that stands twice, and 1 apart from 1.0.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i128),
    Double(u64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Bytes(value) => write!(f, "0x{}", value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            Self::Time(value) => write!(f, "time {value}"),
            Self::List(values) => write!(f, "{values:?}"),
            Self::Struct(row) => write!(f, "{row:?}"),
            Self::Json(value) => write!(f, "json {value:?}"),
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Array(values) => write!(f, "{values:?}"),
            Self::Object(entries) => f.debug_map().entries(entries.iter().map(|(key, value)| (key, value))).finish(),
        }
    }
}

impl Json {
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in the JSON {text}"))
    }

    /// The value under a key of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Int(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Int(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Double(value.to_bits()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = items.next_element()? {
                    values.push(value);
                }
                Ok(Json::Array(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = items.next_entry()? {
                    entries.push(entry);
                }
                Ok(Json::Object(entries))
            }
        }
        from.deserialize_any(Values)
    }
}

/// The Parquet files of a table, by their paths; what is staged is not published and does not count.
pub fn files(folder: &Path, table: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join(table)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All rows of a table, sorted. Fails if a row is in the folder of another day or hour than its `time` says.
pub fn read(folder: &Path, table: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for file in files(folder, table) {
        for row in read_file(&file) {
            if let Some(Cell::Time(time)) = row.get("time") {
                let partition = partition_of(*time);
                // Dead letters are in folders of days only.
                let partition =
                    if table.starts_with('_') { partition.split_once("hour").unwrap().0 } else { &partition };
                assert!(file.to_string_lossy().contains(partition), "{partition} is in {}", file.display());
            }
            rows.push(row);
        }
    }
    rows.sort();
    rows
}

/// The rows of a file.
pub fn read_file(path: &Path) -> Vec<Row> {
    of_content(std::fs::read(path).unwrap())
}

/// The rows of a file, from its content.
pub fn of_content(content: Vec<u8>) -> Vec<Row> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content)).unwrap().build().unwrap();
    reader.flat_map(|batch| rows_of(&batch.unwrap())).collect()
}

/// `day=…/hour=…` of a time, counted here by the civil calendar.
fn partition_of(time_ns: i64) -> String {
    let (days, rest) = (time_ns.div_euclid(86_400_000_000_000), time_ns.rem_euclid(86_400_000_000_000));
    let mut year = 1970;
    let mut left = days;
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = |year| if leap(year) { 366 } else { 365 };
    while left < 0 {
        year -= 1;
        left += length(year);
    }
    while left >= length(year) {
        left -= length(year);
        year += 1;
    }
    let mut month = 1;
    for days in [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("day={year:04}-{month:02}-{:02}/hour={:02}/", left + 1, rest / 3_600_000_000_000)
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let schema = batch.schema();
    let cells = |row: usize| {
        let columns = schema.fields().iter().zip(batch.columns());
        columns.map(|(field, column)| (field.name().clone(), cell(field.name(), column, row))).collect()
    };
    (0..batch.num_rows()).map(|row| with_body(cells(row))).collect()
}

/// A body that was not sent as text is JSON.
fn with_body(mut row: Row) -> Row {
    let is_text = row.get("body_type").is_none_or(|kind| matches!(kind, Cell::Text(kind) if kind == "text"));
    if let (Some(Cell::Text(body)), false) = (row.get("body"), is_text) {
        let json = Json::parse(body);
        row.insert("body".into(), Cell::Json(json));
    }
    row
}

fn is_json(name: &str) -> bool {
    ["attributes", "resource_attributes", "scope_attributes", "metadata"].contains(&name)
}

fn cell(name: &str, column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    let list = |items: ArrayRef| (0..items.len()).map(|item| cell(name, &items, item)).collect();
    match column.data_type() {
        DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
        DataType::Int32 => Cell::Int(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt32 => Cell::Int(column.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Cell::Int(column.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float64 => Cell::Double(column.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 if is_json(name) => Cell::Json(Json::parse(column.as_string::<i32>().value(row))),
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::FixedSizeBinary(_) => Cell::Bytes(column.as_fixed_size_binary().value(row).to_owned()),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if &**zone == "UTC" => {
            Cell::Time(column.as_primitive::<TimestampNanosecondType>().value(row))
        }
        // The tables of plugins.
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
            Cell::Time(column.as_primitive::<TimestampMicrosecondType>().value(row) * 1_000)
        }
        DataType::Dictionary(..) => {
            let dictionary = column.as_dictionary::<Int32Type>();
            cell(name, dictionary.values(), dictionary.keys().value(row) as usize)
        }
        DataType::List(_) => Cell::List(list(column.as_list::<i32>().value(row))),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(column.as_struct().columns());
            Cell::Struct(
                columns.map(|(field, column)| (field.name().clone(), cell(field.name(), column, row))).collect(),
            )
        }
        other => panic!("column {name} has the type {other}, which no table should have"),
    }
}

/// Fails with the first rows that differ, and the columns in which they do.
pub fn assert_same(mut stored: Vec<Row>, mut expected: Vec<Row>) {
    stored.sort();
    expected.sort();
    if stored == expected {
        return;
    }
    let counts = format!("{} rows are stored, {} expected", stored.len(), expected.len());
    let Some((is, should)) = stored.iter().zip(&expected).find(|(is, should)| is != should) else { panic!("{counts}") };
    let columns: BTreeSet<&String> = is.keys().chain(should.keys()).collect();
    let differ = columns.into_iter().filter(|column| is.get(*column) != should.get(*column));
    let lines: Vec<_> = differ
        .map(|column| format!("{column}: stored {:?}, expected {:?}", is.get(column), should.get(column)))
        .collect();
    panic!("{counts}; the first that differ do so in\n{}", lines.join("\n"));
}
