//! Rows of tables as batches again: what any request became is what comes back.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use proptest::prelude::*;
use prost::Message;

use crate::batch::{Any, Batch, Column};
use crate::config::{ColumnType, Promoted};
use crate::decode::tests::{arbitrary, batch_of, show};
use crate::tables::sample::{Of, batch, row, with};
use crate::tables::{TableOptions, Tables};
use crate::{Kind, Signal};

/// Tables that promote attributes which the generated requests have.
fn tables(residual: bool) -> Tables {
    let promote = vec![
        Promoted::new("http.request.method", ColumnType::Text),
        Promoted::new("a", ColumnType::Int64),
        Promoted::new("b", ColumnType::Double),
        Promoted { attribute: "A".into(), column: "capital_a".into(), column_type: ColumnType::Bool },
    ];
    Tables::new(TableOptions { promote, residual, ..TableOptions::default() }).unwrap()
}

/// Every cell as text, by which doubles that are no number equal themselves.
fn cells(rows: &RecordBatch) -> Vec<Vec<String>> {
    let row = |row: usize| {
        let columns = rows.columns().iter().zip(rows.schema_ref().fields());
        columns.map(|(column, field)| format!("{}: {}", field.name(), cell(column, row))).collect()
    };
    (0..rows.num_rows()).map(row).collect()
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "∅".to_owned();
    }
    match column.data_type() {
        DataType::Timestamp(..) => column.as_primitive::<TimestampNanosecondType>().value(row).to_string(),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|item| cell(&items, item)).collect::<Vec<_>>().join(", ")
        }
        DataType::Struct(_) => {
            let fields = column.as_struct().columns().iter();
            format!("({})", fields.map(|field| cell(field, row)).collect::<Vec<_>>().join(", "))
        }
        _ => array_value_to_string(column, row).unwrap(),
    }
}

/// What is there twice in the form of JSON: text and map are what is left of the other.
fn is_ambiguous(value: Any<'_>) -> bool {
    match value {
        Any::Text(text) => ["NaN", "Infinity", "-Infinity"].contains(&text),
        Any::Array(items) => items.values().any(is_ambiguous),
        Any::Map(items) => {
            let keys: Vec<&str> = items.entries().map(|(key, _)| key).collect();
            keys == ["bytes"] || items.entries().any(|(_, value)| is_ambiguous(value))
        }
        _ => false,
    }
}

/// Whether some value of a batch cannot be told from another in JSON.
fn has_ambiguous(batch: &Batch) -> bool {
    let any = |attributes: &crate::batch::Attributes| {
        (0..attributes.rows()).any(|row| attributes.row(row).any(|(_, value)| is_ambiguous(value)))
    };
    batch.columns().any(|(_, column)| match column {
        Column::Array(_) => false,
        Column::Attributes(attributes) => any(attributes),
        Column::Shared(shared) => any(&shared.values),
        Column::Values(values) => (0..values.rows()).any(|row| is_ambiguous(values.get(row))),
        Column::Children(children) => any(&children.attributes),
    })
}

fn comes_back(signal: Signal, body: Vec<u8>) -> Result<(), TestCaseError> {
    let before = batch_of(signal, &[body]);
    let tables = tables(false);
    let rows = tables.record_batch(&before).unwrap();
    let after = tables.restore(signal, &rows).unwrap();
    // The form of a batch: names, kinds, types, nulls.
    prop_assert!(Batch::decode(&after.encode().unwrap()).is_ok());
    prop_assert_eq!(cells(&tables.record_batch(&after).unwrap()), cells(&rows));
    if !has_ambiguous(&before) {
        prop_assert_eq!(show::rows(&after), show::rows(&before));
    }
    // Residual attributes need not come back at their place, but give the same rows.
    let tables = self::tables(true);
    let rows = tables.record_batch(&before).unwrap();
    let after = tables.restore(signal, &rows).unwrap();
    prop_assert_eq!(cells(&tables.record_batch(&after).unwrap()), cells(&rows));
    Ok(())
}

proptest! {
    #[test]
    fn any_traces_come_back(message in arbitrary::traces()) {
        comes_back(Signal::Spans, message.encode_to_vec())?;
    }

    #[test]
    fn any_logs_come_back(message in arbitrary::logs()) {
        comes_back(Signal::Logs, message.encode_to_vec())?;
    }

    #[test]
    fn any_metrics_come_back(message in arbitrary::metrics()) {
        comes_back(Signal::Metrics, message.encode_to_vec())?;
    }
}

fn shown(batch: &Batch, row: usize) -> Vec<String> {
    let Some(Column::Attributes(attributes)) = batch.column("attributes") else { panic!("no attributes") };
    attributes.row(row).map(|(key, value)| format!("{key}={value:?}")).collect()
}

#[test]
fn a_value_has_its_type_again() {
    let entries = vec![
        ("i", Of::Int(200)),
        ("t", Of::Text("200")),
        ("d", Of::Double(200.0)),
        ("n", Of::Double(f64::NAN)),
        ("m", Of::Double(f64::NEG_INFINITY)),
        ("y", Of::Bytes(&[0, 255])),
        ("y", Of::Bool(true)),
        ("", Of::Null),
    ];
    let tables = tables(false);
    let rows = tables.record_batch(&batch(Signal::Spans, &[with(entries, 0)], &[vec![]])).unwrap();
    let expected = [
        "i=Int(200)",
        "t=Text(\"200\")",
        "d=Double(200.0)",
        "n=Double(NaN)",
        "m=Double(-inf)",
        "y=Bytes([0, 255])",
        "y=Bool(true)",
        "=Null",
    ];
    assert_eq!(shown(&tables.restore(Signal::Spans, &rows).unwrap(), 0), expected);
}

#[test]
fn a_text_that_looks_like_a_number_stays_text_where_its_column_says_so() {
    let tables = tables(false);
    let entries = vec![("http.request.method", Of::Text("NaN")), ("other", Of::Text("NaN"))];
    let rows = tables.record_batch(&batch(Signal::Spans, &[with(entries, 0)], &[vec![]])).unwrap();
    let again = tables.restore(Signal::Spans, &rows).unwrap();
    assert_eq!(shown(&again, 0), ["http.request.method=Text(\"NaN\")", "other=Double(NaN)"]);
}

#[test]
fn a_number_of_a_resource_that_looks_like_text_stays_a_number_where_its_column_says_so() {
    let tables = tables(false);
    let method = "http.request.method";
    let rows = [with(vec![(method, Of::Text("GET"))], 0), with(vec![], 0), with(vec![], 1)];
    let resources = [vec![(method, Of::Double(f64::NAN))], vec![(method, Of::Text("NaN"))]];
    let rows = tables.record_batch(&batch(Signal::Spans, &rows, &resources)).unwrap();
    let again = tables.restore(Signal::Spans, &rows).unwrap();
    let Some(Column::Shared(resources)) = again.column("resource_attributes") else { panic!("no resources") };
    let of_row = |key: &u32| format!("{:?}", resources.values.find(*key as usize, method).unwrap());
    assert_eq!(resources.keys.iter().map(of_row).collect::<Vec<_>>(), ["Double(NaN)", "Double(NaN)", "Text(\"NaN\")"]);
    assert_eq!(cells(&tables.record_batch(&again).unwrap()), cells(&rows));
}

#[test]
fn promoted_attributes_go_back_where_the_table_has_only_their_columns() {
    let tables = tables(true);
    let some = vec![("x", Of::Int(1)), ("a", Of::Int(7)), ("b", Of::Double(0.5)), ("A", Of::Text("no bool"))];
    let rows = tables.record_batch(&batch(Signal::Spans, &[with(some, 0), with(vec![], 0)], &[vec![]])).unwrap();
    let again = tables.restore(Signal::Spans, &rows).unwrap();
    assert_eq!(shown(&again, 0), ["a=Int(7)", "b=Double(0.5)", "x=Int(1)", "A=Text(\"no bool\")"]);
    assert!(shown(&again, 1).is_empty());
    assert_eq!(cells(&tables.record_batch(&again).unwrap()), cells(&rows));
}

#[test]
fn rows_that_no_weir_wrote_are_refused_with_the_column() {
    let tables = tables(false);
    let rows = tables.record_batch(&batch(Signal::Logs, &[row(1, "shop")], &[vec![]])).unwrap();
    let at = rows.schema().index_of("attributes").unwrap();
    let mut columns = rows.columns().to_vec();
    columns[at] = std::sync::Arc::new(arrow_array::StringArray::from(vec!["[1]"]));
    let broken = RecordBatch::try_new(rows.schema(), columns).unwrap();
    let error = tables.restore(Signal::Logs, &broken).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    assert!(error.message().contains("column `attributes`: row 0: is no JSON object"), "{error}");
    let without: Vec<usize> =
        (0..rows.num_columns()).filter(|column| rows.schema().field(*column).name() != "time").collect();
    let error = tables.restore(Signal::Logs, &rows.project(&without).unwrap()).unwrap_err();
    assert!(error.message().contains("`time`"), "{error}");
}
