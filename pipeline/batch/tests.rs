//! What plugins can do to a batch.

use super::build::same_text;
use super::{Batch, Column};
use crate::Signal;
use crate::decode::tests::{arbitrary, batch_of, show};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;

fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

fn pair(key: &str, of: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value(of)), ..KeyValue::default() }
}

fn spans_of(resource: Vec<KeyValue>, spans: Vec<Span>) -> Batch {
    let resource = Some(Resource { attributes: resource, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    batch_of(Signal::Spans, &[ExportTraceServiceRequest { resource_spans }.encode_to_vec()])
}

/// Spans that have these attributes.
fn spans(attributes: Vec<Vec<KeyValue>>) -> Batch {
    let span = |attributes| Span { attributes, name: "GET".to_owned(), ..Span::default() };
    spans_of(vec![pair("service.name", text("shop"))], attributes.into_iter().map(span).collect())
}

fn column(batch: &Batch, name: &str) -> Vec<String> {
    (0..batch.rows()).map(|row| show::cell(batch.column(name).unwrap(), row)).collect()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn read_texts(batch: &Batch, path: &str) -> Vec<Option<String>> {
    batch.read(path).unwrap().as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn every_column_of_the_schema_is_there_in_its_order() {
    for signal in Signal::ALL {
        let batch = batch_of(signal, &[]);
        let names: Vec<_> = super::schema::columns(signal).iter().map(|column| column.name).collect();
        assert_eq!(batch.columns().map(|(name, _)| name).collect::<Vec<_>>(), names);
    }
}

#[test]
fn an_attribute_has_the_type_of_its_values_and_is_text_where_they_differ() {
    let batch = spans(vec![
        vec![pair("int", Value::IntValue(7)), pair("mixed", Value::IntValue(1)), pair("list", list(vec![text("a")]))],
        vec![pair("double", Value::DoubleValue(0.5)), pair("mixed", text("t")), pair("bool", Value::BoolValue(true))],
    ]);
    let int = batch.read("attributes.int").unwrap();
    assert_eq!(int.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(7), None]));
    let double = batch.read("attributes.double").unwrap();
    assert_eq!(double.as_primitive::<Float64Type>(), &Float64Array::from(vec![None, Some(0.5)]));
    assert_eq!(batch.read("attributes.bool").unwrap().as_boolean(), &BooleanArray::from(vec![None, Some(true)]));
    assert_eq!(read_texts(&batch, "attributes.mixed"), [Some("1".to_owned()), Some("t".to_owned())]);
    assert_eq!(read_texts(&batch, "attributes.list"), [Some("[\"a\"]".to_owned()), None]);
    assert_eq!(read_texts(&batch, "attributes.nobody"), [None, None]);
    assert_eq!(read_texts(&batch, "resource.service.name"), [Some("shop".to_owned()), Some("shop".to_owned())]);
    assert_eq!(read_texts(&batch, "resource_attributes")[0].as_deref(), Some(r#"{"service.name":"shop"}"#));
    assert_eq!(batch.read("dropped_events_count").unwrap().data_type(), &DataType::UInt64);
}

fn list(values: Vec<Value>) -> Value {
    Value::ArrayValue(ArrayValue { values: values.into_iter().map(value).collect() })
}

#[test]
fn an_unknown_column_is_refused_with_the_nearest_name() {
    let refusal = spans(vec![vec![]]).read("duration_n").unwrap_err();
    assert!(
        refusal.message().contains("duration_n: spans have no such column; did you mean duration_ns?"),
        "{refusal}"
    );
}

#[test]
fn a_null_leaves_what_was_there_when_columns_and_attributes_are_written() {
    let mut batch =
        spans(vec![vec![pair("a", text("old"))], vec![pair("a", text("old")), pair("a", text("twin"))], vec![]]);
    batch.write("attributes.a", &texts(&[None, Some("new"), Some("new")])).unwrap();
    assert_eq!(column(&batch, "attributes"), [r#"{"a":"old"}"#, r#"{"a":"new"}"#, r#"{"a":"new"}"#]);
    batch.write("name", &texts(&[Some("PUT"), None, Some("PUT")])).unwrap();
    assert_eq!(column(&batch, "name"), ["\"PUT\"", "\"GET\"", "\"PUT\""]);
    let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![None, Some(3), None]));
    batch.write("flags", &numbers).unwrap();
    assert_eq!(column(&batch, "flags"), ["u0", "u3", "u0"]);
    batch.write("tenant", &texts(&[None, Some("t"), None])).unwrap();
    assert_eq!(column(&batch, "tenant"), ["null", "\"t\"", "null"]);
}

#[test]
fn a_value_of_another_type_or_beyond_the_range_of_a_column_is_refused_and_changes_nothing() {
    let mut batch = spans(vec![vec![]]);
    let before = show::rows(&batch);
    let too_large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::from(u32::MAX) + 1]));
    for (path, values) in [("name", Arc::new(Int64Array::from(vec![1])) as ArrayRef), ("flags", too_large)] {
        assert!(batch.write(path, &values).unwrap_err().message().starts_with(path));
    }
    assert!(batch.write("name", &texts(&[])).unwrap_err().message().contains("0 values"));
    assert!(batch.write("events", &texts(&[Some("x")])).is_err());
    assert_eq!(show::rows(&batch), before);
}

#[test]
fn rows_of_one_resource_that_are_given_different_values_get_resources_of_their_own() {
    let mut batch = spans(vec![vec![]; 4]);
    batch.write("resource.team", &texts(&[Some("a"), Some("b"), None, Some("a")])).unwrap();
    let (a, b) = (r#"{"service.name":"shop" "team":"a"}"#, r#"{"service.name":"shop" "team":"b"}"#);
    assert_eq!(column(&batch, "resource_attributes"), [a, b, r#"{"service.name":"shop"}"#, a]);
    let Some(Column::Shared(shared)) = batch.column("resource_attributes") else { panic!("shared") };
    assert_eq!(shared.keys, [0, 1, 2, 0]);
    assert_eq!(shared.values.rows(), 3);
    let mask = BooleanBuffer::from(vec![true, false, false, true]);
    batch.remove("resource.service.name", &mask).unwrap();
    assert_eq!(
        column(&batch, "resource_attributes"),
        [r#"{"team":"a"}"#, b, r#"{"service.name":"shop"}"#, r#"{"team":"a"}"#]
    );
}

#[test]
fn what_is_removed_is_null_or_gone_and_leaves_no_byte() {
    let mut batch =
        spans(vec![vec![pair("card", text("secret")), pair("b", text("kept"))], vec![pair("card", text("seen"))]]);
    let first = BooleanBuffer::from(vec![true, false]);
    batch.remove("attributes.card", &first).unwrap();
    batch.remove("name", &first).unwrap();
    assert_eq!(column(&batch, "attributes"), [r#"{"b":"kept"}"#, r#"{"card":"seen"}"#]);
    assert_eq!(column(&batch, "name"), ["null", "\"GET\""]);
    assert!(!contains(&batch, "secret"));
    assert!(batch.remove("time", &first).unwrap_err().message().contains("never null"));
    batch.remove("attributes", &first).unwrap();
    assert_eq!(column(&batch, "attributes")[0], "{}");
}

#[test]
fn an_attribute_that_is_renamed_replaces_the_one_of_the_new_name() {
    let mut batch = spans(vec![
        vec![pair("a", text("1")), pair("b", text("2"))],
        vec![pair("b", text("3"))],
        vec![pair("a", text("4"))],
    ]);
    batch.rename("attributes.a", "attributes.b").unwrap();
    assert_eq!(column(&batch, "attributes"), [r#"{"b":"1"}"#, r#"{"b":"3"}"#, r#"{"b":"4"}"#]);
    batch.rename("attributes.nobody", "attributes.x").unwrap();
    batch.rename("resource.service.name", "resource.app").unwrap();
    assert_eq!(column(&batch, "resource_attributes")[0], r#"{"app":"shop"}"#);
    assert!(batch.rename("attributes.b", "resource.b").unwrap_err().message().contains("cannot move"));
    assert!(batch.rename("name", "attributes.b").unwrap_err().message().contains("is a column"));
}

const SECRET: &str = "planted-secret";
const CARD: i64 = 4_111_111_111_111_111;

/// Attributes with the secret in every kind of place that a value has.
fn planted() -> Vec<KeyValue> {
    let map = Value::KvlistValue(KeyValueList {
        values: vec![pair(SECRET, list(vec![text(SECRET), Value::IntValue(CARD)]))],
    });
    vec![
        pair("text", text(SECRET)),
        pair(SECRET, Value::BoolValue(true)),
        pair("bytes", Value::BytesValue(SECRET.into())),
        pair("card", Value::IntValue(CARD)),
        pair("double", Value::DoubleValue(CARD as f64)),
        pair("map", map),
        pair("kept", text("harmless")),
    ]
}

fn planted_batches() -> Vec<Batch> {
    let secret = || SECRET.to_owned();
    let resource = || {
        let mut attributes = planted();
        attributes.extend(
            ["service.name", "service.namespace", "service.version", "service.instance.id", "deployment.environment"]
                .map(|key| pair(key, text(SECRET))),
        );
        Some(Resource { attributes, ..Resource::default() })
    };
    let scope = || {
        Some(InstrumentationScope { name: secret(), version: secret(), attributes: planted(), ..Default::default() })
    };
    let span = Span {
        trace_state: secret(),
        name: secret(),
        attributes: planted(),
        events: vec![Event { name: secret(), attributes: planted(), ..Event::default() }],
        links: vec![Link { trace_state: secret(), attributes: planted(), ..Link::default() }],
        status: Some(Status { message: secret(), code: 2 }),
        ..Span::default()
    };
    let record = |body| LogRecord {
        severity_text: secret(),
        event_name: secret(),
        body: Some(value(body)),
        attributes: planted(),
        ..LogRecord::default()
    };
    let bodies = planted().into_iter().filter_map(|pair| pair.value?.value).map(record).collect();
    let exemplars = vec![Exemplar { filtered_attributes: planted(), ..Exemplar::default() }];
    let point = NumberDataPoint { attributes: planted(), exemplars, ..NumberDataPoint::default() };
    let metric = Metric {
        name: secret(),
        description: secret(),
        unit: secret(),
        metadata: planted(),
        data: Some(Data::Gauge(Gauge { data_points: vec![point] })),
    };
    let scope_spans = vec![ScopeSpans { scope: scope(), spans: vec![span], schema_url: secret() }];
    let traces = vec![ResourceSpans { resource: resource(), scope_spans, schema_url: secret() }];
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records: bodies, schema_url: secret() }];
    let logs = vec![ResourceLogs { resource: resource(), scope_logs, schema_url: secret() }];
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics: vec![metric], schema_url: secret() }];
    let metrics = vec![ResourceMetrics { resource: resource(), scope_metrics, schema_url: secret() }];
    vec![
        batch_of(Signal::Spans, &[ExportTraceServiceRequest { resource_spans: traces }.encode_to_vec()]),
        batch_of(Signal::Logs, &[ExportLogsServiceRequest { resource_logs: logs }.encode_to_vec()]),
        batch_of(Signal::Metrics, &[ExportMetricsServiceRequest { resource_metrics: metrics }.encode_to_vec()]),
    ]
}

/// Whether any buffer of the batch holds the bytes of a text.
fn contains(batch: &Batch, text: &str) -> bool {
    holds(batch, text.as_bytes())
}

fn holds(batch: &Batch, needle: &[u8]) -> bool {
    fn in_array(array: &ArrayRef, holds: &dyn Fn(&[u8]) -> bool) -> bool {
        let data = array.to_data();
        let mut parts = vec![&data];
        while let Some(part) = parts.pop() {
            if part.buffers().iter().any(|buffer| holds(buffer.as_slice())) {
                return true;
            }
            parts.extend(part.child_data());
        }
        false
    }
    let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let in_attributes = |attributes: &super::Attributes| {
        let keys: Vec<u8> = attributes.keys.iter().flat_map(str::bytes).collect();
        let bits: Vec<u8> = attributes.entries.iter().flat_map(|entry| entry.value.bits.to_le_bytes()).collect();
        holds(&attributes.arena) || holds(&keys) || holds(&bits)
    };
    batch.columns().any(|(_, column)| match column {
        Column::Array(array) => in_array(array, &holds),
        Column::Attributes(attributes) => in_attributes(attributes),
        Column::Shared(shared) => in_attributes(&shared.values),
        Column::Values(values) => {
            let bits: Vec<u8> = values.values.iter().flat_map(|value| value.bits.to_le_bytes()).collect();
            holds(&values.arena) || holds(&bits)
        }
        Column::Children(children) => {
            in_attributes(&children.attributes) || children.columns.iter().any(|(_, array)| in_array(array, &holds))
        }
    })
}

#[test]
fn a_text_is_found_in_every_place_and_no_byte_of_it_is_left_when_it_is_replaced() {
    for mut batch in planted_batches() {
        let card = CARD.to_string();
        assert!(contains(&batch, SECRET) && holds(&batch, &CARD.to_le_bytes()));
        let places: Vec<String> = batch.places().into_iter().map(str::to_owned).collect();
        for place in &places {
            let texts = batch.texts(place).unwrap();
            let unmarked = ["kind", "status_code", "temporality"].contains(&place.as_str());
            assert_eq!(texts.iter().flatten().any(|text| text == SECRET), !unmarked, "{place}");
            let replacements = texts.iter().map(|text| (text? == SECRET || text? == card).then_some("***"));
            batch.replace_texts(place, &replacements.collect()).unwrap();
            assert!(batch.texts(place).unwrap().iter().flatten().all(|text| text != SECRET && text != card));
        }
        assert!(!contains(&batch, SECRET));
        assert!(!holds(&batch, &CARD.to_le_bytes()) && !holds(&batch, &(CARD as f64).to_bits().to_le_bytes()));
        assert!(column(&batch, "attributes")[0].contains(r#""kept":"harmless""#));
    }
}

#[test]
fn replacements_must_be_as_many_as_the_texts_of_a_place_that_exists() {
    let mut batch = spans(vec![vec![]]);
    assert!(
        batch.replace_texts("name", &StringArray::from(vec!["a", "b"])).unwrap_err().message().contains("1 texts, 2")
    );
    assert!(batch.texts("time").unwrap_err().message().contains("no such place"));
}

pub(super) fn three(signal: usize) -> BoxedStrategy<(Signal, Vec<u8>)> {
    match signal {
        0 => arbitrary::traces().prop_map(|request| (Signal::Spans, request.encode_to_vec())).boxed(),
        1 => arbitrary::logs().prop_map(|request| (Signal::Logs, request.encode_to_vec())).boxed(),
        _ => arbitrary::metrics().prop_map(|request| (Signal::Metrics, request.encode_to_vec())).boxed(),
    }
}

#[test]
fn texts_are_the_same_if_no_byte_differs() {
    for length in 0..70 {
        let one: Vec<u8> = (0..length).collect();
        assert!(same_text(&one, &one.clone()));
        assert!(!same_text(&one, &[one.as_slice(), b"x"].concat()));
        for at in 0..usize::from(length) {
            let mut other = one.clone();
            other[at] ^= 1;
            assert!(!same_text(&one, &other), "byte {at} of {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filtered_and_sliced_rows_are_the_rows_that_were_there(
        (signal, body) in (0..3_usize).prop_flat_map(three), seed in any::<u64>(), offset in 0..20_usize, length in 0..20_usize,
    ) {
        let batch = batch_of(signal, &[body]);
        let rows = show::rows(&batch);
        let keep: Vec<bool> = (0..rows.len()).map(|row| seed >> (row % 64) & 1 == 1).collect();
        let expected: Vec<_> = rows.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(row, _)| row.clone()).collect();
        prop_assert_eq!(show::rows(&batch.filter(&BooleanBuffer::from(keep))), expected);
        let expected: Vec<_> = rows.iter().skip(offset).take(length).cloned().collect();
        let slice = batch.slice(offset, length);
        prop_assert_eq!(show::rows(&slice), expected);
        prop_assert!(slice.bytes() <= batch.bytes());
    }
}
