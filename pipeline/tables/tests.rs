//! What stands in the rows of a table.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;

use super::sample::{Entries, Of, batch, row, with};
use super::schema::time_type;
use super::{DESCRIPTION, DerivedTable, Mode, PluginColumn, TableOptions, Tables, is_json};
use crate::batch::Column;
use crate::config::{ColumnType, Promoted};
use crate::{Kind, Signal};

fn tables(options: TableOptions) -> Tables {
    Tables::new(options).unwrap()
}

fn promoting(residual: bool) -> Tables {
    let promote = vec![
        Promoted::new("http.route", ColumnType::Text),
        Promoted::new("http.response.status_code", ColumnType::Int32),
        Promoted::new("host.name", ColumnType::Text),
    ];
    tables(TableOptions { promote, residual, ..TableOptions::default() })
}

/// The values of a column as text; null is "∅".
fn shown(rows: &RecordBatch, column: &str) -> Vec<String> {
    let column = rows.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    let text = |row| array_value_to_string(column, row).unwrap();
    (0..rows.num_rows()).map(|row| if column.is_null(row) { "∅".to_owned() } else { text(row) }).collect()
}

fn one(entries: Entries) -> String {
    let rows = tables(TableOptions::default()).record_batch(&batch(Signal::Spans, &[with(entries, 0)], &[vec![]]));
    shown(&rows.unwrap(), "attributes").remove(0)
}

#[test]
fn attributes_keep_the_type_they_came_in() {
    assert_eq!(one(vec![("a", Of::Int(200)), ("b", Of::Text("200"))]), r#"{"a":200,"b":"200"}"#);
    assert_eq!(one(vec![("a", Of::Bool(true)), ("b", Of::Null)]), r#"{"a":true,"b":null}"#);
    assert_eq!(one(vec![("a", Of::Double(1.0)), ("n", Of::Double(f64::NAN))]), r#"{"a":1.0,"n":"NaN"}"#);
    assert_eq!(one(vec![("a", Of::Double(f64::NEG_INFINITY))]), r#"{"a":"-Infinity"}"#);
    assert_eq!(one(vec![("a", Of::Bytes(&[0, 255]))]), r#"{"a":{"bytes":"AP8="}}"#);
    assert_eq!(one(vec![]), "{}");
}

#[test]
fn a_key_that_stands_twice_and_an_empty_key_survive() {
    assert_eq!(one(vec![("a", Of::Int(1)), ("a", Of::Text("\"\n")), ("", Of::Int(2))]), r#"{"a":1,"a":"\"\n","":2}"#);
}

#[test]
fn every_signal_becomes_rows_with_all_columns_described() {
    for signal in Signal::ALL {
        let tables = promoting(false);
        let rows = tables.record_batch(&batch(signal, &[row(1, "a"), row(2, "b")], &[vec![]])).unwrap();
        assert_eq!(rows.schema(), tables.schema(signal.name()).unwrap());
        assert_eq!(rows.num_rows(), 2);
        for field in rows.schema().fields() {
            assert!(field.metadata().contains_key(DESCRIPTION), "{signal}: {field}");
            assert_eq!(is_json(field), field.name().ends_with("attributes") || field.name() == "metadata", "{field}");
        }
    }
}

#[test]
fn a_body_is_text_as_it_is_and_json_otherwise_and_says_which() {
    let bodies = [Of::Text("200"), Of::Int(200), Of::Null, Of::Bytes(b"a")];
    let rows: Vec<_> = bodies.iter().map(|&body| super::sample::Row { body, ..row(0, "a") }).collect();
    let rows = promoting(false).record_batch(&batch(Signal::Logs, &rows, &[vec![]])).unwrap();
    assert_eq!(shown(&rows, "body"), ["200", "200", "∅", r#"{"bytes":"YQ=="}"#]);
    assert_eq!(shown(&rows, "body_type"), ["text", "int", "∅", "bytes"]);
}

#[test]
fn attributes_of_a_resource_are_one_text_for_its_rows() {
    let rows = [with(vec![], 1), with(vec![], 0), with(vec![], 1)];
    let resources = [vec![("host.name", Of::Text("a"))], vec![("host.name", Of::Text("b"))]];
    let rows = tables(TableOptions::default()).record_batch(&batch(Signal::Logs, &rows, &resources)).unwrap();
    let (a, b) = (r#"{"host.name":"a"}"#, r#"{"host.name":"b"}"#);
    assert_eq!(shown(&rows, "resource_attributes"), [b, a, b]);
    assert_eq!(rows.column_by_name("resource_attributes").unwrap().as_dictionary::<Int32Type>().values().len(), 2);
}

#[test]
fn a_promoted_attribute_is_the_records_or_else_the_resources() {
    let rows = [with(vec![("host.name", Of::Text("record"))], 0), with(vec![], 0), with(vec![], 1)];
    let resources = [vec![("host.name", Of::Text("resource"))], vec![]];
    let rows = promoting(false).record_batch(&batch(Signal::Spans, &rows, &resources)).unwrap();
    assert_eq!(shown(&rows, "host_name"), ["record", "resource", "∅"]);
    assert_eq!(shown(&rows, "attributes")[0], r#"{"host.name":"record"}"#);
}

#[test]
fn a_value_of_another_type_stays_among_the_attributes_only() {
    for residual in [false, true] {
        let code = |of| with(vec![("http.response.status_code", of)], 0);
        let rows = [code(Of::Int(404)), code(Of::Text("404")), code(Of::Int(1 << 40)), code(Of::Double(404.0))];
        let resource = vec![("http.response.status_code", Of::Int(1))];
        let rows = promoting(residual).record_batch(&batch(Signal::Spans, &rows, &[resource])).unwrap();
        assert_eq!(shown(&rows, "http_response_status_code"), ["404", "∅", "∅", "∅"]);
        let attributes = shown(&rows, "attributes");
        assert_eq!(attributes[1], r#"{"http.response.status_code":"404"}"#);
        assert_eq!(attributes[2], r#"{"http.response.status_code":1099511627776}"#);
        assert_eq!(attributes[3], r#"{"http.response.status_code":404.0}"#);
    }
}

#[test]
fn residual_attributes_lack_what_was_promoted_where_it_was_taken_from() {
    let both = vec![("x", Of::Int(1)), ("host.name", Of::Text("r")), ("host.name", Of::Text("second"))];
    let rows = [with(both, 0), with(vec![("http.route", Of::Text("/"))], 0), with(vec![], 0)];
    let resource = vec![("host.name", Of::Text("h")), ("os", Of::Text("linux"))];
    let rows = promoting(true).record_batch(&batch(Signal::Spans, &rows, &[resource])).unwrap();
    assert_eq!(shown(&rows, "host_name"), ["r", "h", "h"]);
    assert_eq!(shown(&rows, "attributes"), [r#"{"x":1,"host.name":"second"}"#, "{}", "{}"]);
    let (whole, rest) = (r#"{"host.name":"h","os":"linux"}"#, r#"{"os":"linux"}"#);
    assert_eq!(shown(&rows, "resource_attributes"), [whole, rest, rest], "the first row did not take the resource's");
}

#[test]
fn a_column_that_a_plugin_adds_is_there_always_and_null_where_it_is_absent() {
    let owner = PluginColumn {
        name: "owner".to_owned(),
        data_type: DataType::Int64,
        json: false,
        description: "Who owns the service".to_owned(),
    };
    let added = [vec![owner.clone(), owner], vec![], vec![]];
    let tables = tables(TableOptions { added, ..TableOptions::default() });
    let mut batch = batch(Signal::Spans, &[row(0, "a")], &[vec![]]);
    assert_eq!(shown(&tables.record_batch(&batch).unwrap(), "owner"), ["∅"]);
    batch.columns.push(("owner".into(), Arc::new(Column::Array(Arc::new(Int64Array::from(vec![7]))))));
    assert_eq!(shown(&tables.record_batch(&batch).unwrap(), "owner"), ["7"]);
    batch.columns.last_mut().unwrap().1 = Arc::new(Column::Array(Arc::new(StringArray::from(vec!["7"]))));
    let error = tables.record_batch(&batch).unwrap_err();
    assert_eq!(error.message(), "column `owner` has not the type that was declared: it is Utf8, the table wants Int64");
    batch.columns.last_mut().unwrap().0 = "ower".into();
    assert!(
        tables.record_batch(&batch).unwrap_err().message().contains("declared by no plugin"),
        "nothing is lost silently"
    );
}

#[test]
fn a_column_whose_name_is_taken_is_refused() {
    let promote = vec![Promoted::new("trace.id", ColumnType::Text)];
    let error = Tables::new(TableOptions { promote, ..TableOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert_eq!(
        error.message(),
        "attribute `trace.id` cannot be promoted: table `spans` has a column `trace_id` already; remove it from `promote`"
    );
}

fn kpi(name: &str, time: Option<&str>) -> DerivedTable {
    let column = |name: &str, data_type| PluginColumn {
        name: name.to_owned(),
        data_type,
        json: false,
        description: "A column".to_owned(),
    };
    let columns = vec![column("at", time_type()), column("value", DataType::Int64)];
    DerivedTable { name: name.to_owned(), columns, time: time.map(str::to_owned), ..DerivedTable::default() }
}

#[test]
fn derived_rows_say_when_and_by_what_they_were_computed() {
    let tables = tables(TableOptions { derived: vec![kpi("kpi_daily", Some("at"))], ..TableOptions::default() });
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(Int64Array::from(vec![3, 4]))];
    let rows = tables.derived("kpi_daily", &columns, 1_000_000_000, "kpi 1.2.0", "abc").unwrap();
    assert_eq!(rows.column(1).as_primitive::<Int64Type>().values(), &[3, 4]);
    assert_eq!(rows.column(2).as_primitive::<TimestampNanosecondType>().values(), &[1_000_000_000; 2]);
    assert_eq!(shown(&rows, "plugin"), ["kpi 1.2.0"; 2]);
    assert_eq!(shown(&rows, "config_hash"), ["abc"; 2]);
    assert!(tables.derived("kpi_daily", &columns[..1], 0, "kpi", "abc").is_err());
    assert!(tables.derived("spans", &columns, 0, "kpi", "abc").is_err());
    assert_eq!(tables.names().collect::<Vec<_>>(), ["kpi_daily", "logs", "metrics", "spans"]);
}

fn kpi_by(key: &[&str], time: Option<&str>) -> DerivedTable {
    let key = key.iter().map(|&column| column.to_owned()).collect();
    DerivedTable { mode: Mode::Upsert, key, ..kpi("kpi_daily", time) }
}

#[test]
fn rows_that_replace_others_have_a_revision() {
    let tables = tables(TableOptions { derived: vec![kpi_by(&["value"], Some("at"))], ..TableOptions::default() });
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(Int64Array::from(vec![3, 4]))];
    let rows = tables.derived("kpi_daily", &columns, 1_000_000_000, "kpi 1.2.0", "abc").unwrap();
    assert_eq!(rows.schema().fields().last().unwrap().name(), "revision");
    assert_eq!(rows.column(5).as_primitive::<Int64Type>().values(), &[0, 0]);
    assert!(tables.derived("kpi_daily", rows.columns(), 0, "kpi", "abc").is_err(), "a plugin does not give a revision");
    let upsert = tables.table("kpi_daily").unwrap().upsert.clone().unwrap();
    assert_eq!((upsert.key, upsert.content, upsert.revision), (vec![1], vec![0, 1, 3, 4], 5));
}

#[test]
fn a_table_whose_rows_cannot_replace_others_is_refused() {
    let mut lists = kpi_by(&["at"], Some("at"));
    let element = arrow_schema::Field::new("element", DataType::Int64, true);
    lists.columns[1].data_type = DataType::List(Arc::new(element));
    let mut taken = kpi_by(&["at"], Some("at"));
    taken.columns[1].name = "revision".to_owned();
    let cases = [
        (kpi_by(&[], Some("at")), "has no key"),
        (kpi_by(&["value"], None), "names no time"),
        (kpi_by(&["other"], Some("at")), "`other`, which is none of its columns"),
        (kpi_by(&["value", "value"], Some("at")), "`value` twice"),
        (DerivedTable { mode: Mode::Append, ..kpi_by(&["value"], None) }, "rows are appended"),
        (lists, "cannot be compared"),
        (taken, "`revision`, which is taken"),
    ];
    for (table, expected) in cases {
        let error = Tables::new(TableOptions { derived: vec![table], ..TableOptions::default() }).unwrap_err();
        assert_eq!(error.kind(), Kind::Plugin);
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn rows_from_a_file_get_the_columns_that_the_table_has_now() {
    let tables = tables(TableOptions { derived: vec![kpi_by(&["value"], Some("at"))], ..TableOptions::default() });
    let table = tables.table("kpi_daily").unwrap();
    let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let text = Arc::new(StringArray::from(vec!["kpi 1.0.0"])) as ArrayRef;
    let file = RecordBatch::try_from_iter([("gone", column(vec![1])), ("value", column(vec![2])), ("plugin", text)]);
    let rows = table.restored(&file.unwrap()).unwrap();
    assert_eq!(rows.schema(), table.schema);
    assert_eq!([shown(&rows, "value"), shown(&rows, "plugin"), shown(&rows, "at")], [["2"], ["kpi 1.0.0"], ["∅"]]);
    let text = Arc::new(StringArray::from(vec!["2"])) as ArrayRef;
    let error = table.restored(&RecordBatch::try_from_iter([("value", text)]).unwrap()).unwrap_err();
    assert_eq!(error.message(), "column `value` of table `kpi_daily`: it is Utf8, the table wants Int64");
}

#[test]
fn a_derived_table_with_a_name_that_could_leave_its_folder_is_refused() {
    for name in ["", "../up", "a/b", "Spans", "spans", "_dead_letter", "a b"] {
        let options = TableOptions { derived: vec![kpi(name, None)], ..TableOptions::default() };
        assert_eq!(Tables::new(options).unwrap_err().kind(), Kind::Plugin, "{name:?}");
    }
    let options = TableOptions { derived: vec![kpi("kpi", Some("value"))], ..TableOptions::default() };
    assert!(Tables::new(options).unwrap_err().message().contains("must be a time"));
}
