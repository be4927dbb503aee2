//! The rules of the wire, one by one, with bytes written by hand.

use super::{Builder, Signal, by_prost, decode, decoded, show};
use crate::decode::VALUE_DEPTH_MAX;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// A field that holds bytes or a message.
fn long(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut field);
    prost::encoding::encode_varint(content.len() as u64, &mut field);
    field.extend_from_slice(content);
    field
}

fn text_value(text: &str) -> Vec<u8> {
    long(1, text.as_bytes())
}

fn key_value(key: &str, value: &[u8]) -> Vec<u8> {
    [long(1, key.as_bytes()), long(2, value)].concat()
}

/// A request whose resource, scope and item hold these fields.
fn request(resource_fields: &[u8], scope_fields: &[u8], item: &[u8]) -> Vec<u8> {
    let scope = [scope_fields, &long(2, item)].concat();
    long(1, &[resource_fields, &long(2, &scope)].concat())
}

fn cell(signal: Signal, body: &[u8], column: &str) -> String {
    let (_, batch) = decoded(signal, body).unwrap();
    assert_eq!(batch.rows(), 1);
    show::cell(batch.column(column).unwrap(), 0)
}

fn as_prost(signal: Signal, body: &[u8]) {
    let (_, batch) = decoded(signal, body).unwrap();
    assert_eq!(show::rows(&batch), by_prost(signal, body).unwrap());
}

#[test]
fn a_resource_may_follow_its_rows_and_a_second_one_is_merged() {
    let resource = |key: &str| long(1, &long(1, &key_value(key, &text_value(key))));
    let scope = long(2, &long(2, &[]));
    let body = long(1, &[scope, resource("service.name"), long(3, b"url"), resource("b")].concat());
    assert_eq!(cell(Signal::Spans, &body, "service_name"), "\"service.name\"");
    assert_eq!(cell(Signal::Spans, &body, "resource_attributes"), r#"{"service.name":"service.name" "b":"b"}"#);
    as_prost(Signal::Spans, &body);
}

#[test]
fn a_scope_may_follow_its_rows_and_a_second_one_is_merged() {
    let (named, versioned) = (long(1, &long(1, b"name")), long(1, &long(2, b"version")));
    let scope = [long(2, &[]), named, versioned].concat();
    let body = long(1, &long(2, &scope));
    assert_eq!(cell(Signal::Logs, &body, "scope_name"), "\"name\"");
    assert_eq!(cell(Signal::Logs, &body, "scope_version"), "\"version\"");
    as_prost(Signal::Logs, &body);
}

#[test]
fn a_status_given_twice_is_merged_and_the_last_name_wins() {
    let fields = [long(15, &long(2, b"why")), long(5, b"first"), long(15, &[3 << 3, 2]), long(5, b"last")].concat();
    let body = request(&[], &[], &fields);
    assert_eq!(cell(Signal::Spans, &body, "status_message"), "\"why\"");
    assert_eq!(cell(Signal::Spans, &body, "status_code"), "\"ERROR\"");
    assert_eq!(cell(Signal::Spans, &body, "name"), "\"last\"");
    as_prost(Signal::Spans, &body);
}

#[test]
fn the_last_field_of_a_value_wins_and_lists_are_merged() {
    let list = |text: &str| long(5, &long(1, &text_value(text)));
    for (value, shown) in [
        ([text_value("a"), vec![2 << 3, 1]].concat(), "true"),
        ([list("a"), list("b")].concat(), r#"["a" "b"]"#),
        ([list("a"), text_value("x"), list("b")].concat(), r#"["b"]"#),
        ([list("a"), text_value("x")].concat(), r#""x""#),
        (long(5, &long(1, &[list("a"), list("b")].concat())), r#"[["a" "b"]]"#),
    ] {
        let body = request(&[], &[], &long(5, &value));
        assert_eq!(cell(Signal::Logs, &body, "body"), shown);
        as_prost(Signal::Logs, &body);
    }
}

#[test]
fn the_key_of_a_nested_map_may_follow_its_value() {
    let entry = [long(2, &text_value("v")), long(1, b"k"), long(2, &[2 << 3, 1])].concat();
    let body = request(&[], &[], &long(5, &long(6, &long(1, &entry))));
    assert_eq!(cell(Signal::Logs, &body, "body"), r#"{"k":true}"#);
    as_prost(Signal::Logs, &body);
}

#[test]
fn of_the_data_of_a_metric_the_last_kind_wins_and_what_it_replaces_must_be_valid() {
    let point = |value: u8| long(1, &[&[4 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, value][..], &[3 << 3 | 1], &[0; 8]].concat());
    let metric = [long(5, &point(1)), long(7, &point(2)), long(1, b"name"), long(7, &[2 << 3, 1])].concat();
    let body = request(&[], &[], &metric);
    assert_eq!(cell(Signal::Metrics, &body, "kind"), "\"sum\"");
    assert_eq!(cell(Signal::Metrics, &body, "temporality"), "\"delta\"");
    as_prost(Signal::Metrics, &body);
    let bad = [long(5, &long(1, &long(7, &long(1, &[0xff])))), long(7, &point(2))].concat();
    let body = request(&[], &[], &bad);
    assert!(by_prost(Signal::Metrics, &body).is_err());
    let refusal = decoded(Signal::Metrics, &body).unwrap_err();
    assert!(refusal.message().starts_with("KeyValue.key: "), "{refusal}");
}

#[test]
fn numbers_come_packed_or_one_by_one() {
    let one = |number: u8| [&[6 << 3 | 1, number][..], &[0; 7]].concat();
    let packed = long(6, &[[3].as_slice(), &[0; 7]].concat());
    let histogram = long(9, &long(1, &[one(1), packed, one(2)].concat()));
    let body = request(&[], &[], &histogram);
    assert_eq!(cell(Signal::Metrics, &body, "bucket_counts"), "[u1 u3 u2]");
    as_prost(Signal::Metrics, &body);
    let buckets = [long(2, &[7, 8]), vec![2 << 3, 9]].concat();
    let body = request(&[], &[], &long(10, &long(1, &long(8, &buckets))));
    assert_eq!(cell(Signal::Metrics, &body, "positive_bucket_counts"), "[u7 u8 u9]");
    assert_eq!(cell(Signal::Metrics, &body, "negative_bucket_counts"), "null");
    as_prost(Signal::Metrics, &body);
}

#[test]
fn a_metric_without_points_and_a_resource_without_rows_leave_nothing() {
    let empty = long(1, &long(1, &long(1, &key_value("gone", &text_value("gone")))));
    let (decoded, batch) = decoded(Signal::Metrics, &[empty, request(&[], &[], &long(5, &[]))].concat()).unwrap();
    assert_eq!((decoded.rows, batch.rows()), (0, 0));
    assert!(batch.columns().all(|(_, column)| match column {
        crate::batch::Column::Shared(shared) => shared.values.rows() == 0 && shared.values.arena.is_empty(),
        _ => true,
    }));
}

#[test]
fn unknown_fields_are_passed_over_groups_too() {
    let group = |depth: usize| {
        let mut bytes = Vec::new();
        (0..depth).for_each(|_| prost::encoding::encode_varint(99 << 3 | 3, &mut bytes));
        (0..depth).for_each(|_| prost::encoding::encode_varint(99 << 3 | 4, &mut bytes));
        bytes
    };
    let unknown = [long(77, b"x"), vec![30 << 3 & 0x7f | 0x80, 1, 5], group(3)].concat();
    let body = request(&unknown, &unknown, &[unknown.clone(), long(5, b"name")].concat());
    assert_eq!(cell(Signal::Spans, &body, "name"), "\"name\"");
    as_prost(Signal::Spans, &body);
    let body = request(&[], &[], &group(1000));
    assert!(decoded(Signal::Spans, &body).unwrap_err().message().contains("64 levels"));
}

#[test]
fn what_is_wrong_is_refused_with_its_name() {
    for (item, message) in [
        (vec![5 << 3 | 2, 9, b'a'], "Span.name: 9 bytes should follow, 1 are left"),
        (long(5, &[0xff]), "Span.name: the text is not UTF-8"),
        (vec![5 << 3, 1], "Span.name: field 5 has wire type 0, 2 (length and bytes) was expected"),
        (vec![0, 1], "Span: field number 0 is not between 1 and 536870911"),
        ([vec![6 << 3], vec![0xff; 11]].concat(), "Span.kind: a varint is longer than 64 bits"),
        (vec![6 << 3, 0x80], "Span.kind: the bytes end within a varint"),
        (vec![7 << 3 | 1, 0], "Span.start_time_unix_nano: 8 bytes should follow, 1 are left"),
        (vec![5 << 3 | 7], "Span: field 5 has the unknown wire type 7"),
        (vec![99 << 3 & 0x7f | 0x80 | 4, 6], "Span: group 99 ends before it starts"),
    ] {
        let body = request(&[], &[], &item);
        let refusal = decoded(Signal::Spans, &body).unwrap_err();
        assert_eq!(refusal.kind(), crate::Kind::Data);
        assert!(refusal.message().starts_with(message), "{refusal}");
        assert!(by_prost(Signal::Spans, &body).is_err());
    }
}

#[test]
fn values_nest_as_deep_as_the_limit_and_no_deeper() {
    let nested = |levels: usize, field: u32| {
        let wrap = |value: Vec<u8>| match field {
            5 => long(5, &long(1, &value)),
            _ => long(6, &long(1, &key_value("k", &value))),
        };
        let value = (1..levels).fold(text_value("deep"), |value, _| wrap(value));
        request(&[], &[], &long(5, &value))
    };
    for field in [5, 6] {
        assert!(cell(Signal::Logs, &nested(VALUE_DEPTH_MAX, field), "body").contains("deep"));
        let refusal = decoded(Signal::Logs, &nested(VALUE_DEPTH_MAX + 1, field)).unwrap_err();
        assert!(refusal.message().contains("deeper than 64 levels"), "{refusal}");
        assert!(decoded(Signal::Logs, &nested(20_000, field)).is_err());
    }
}

#[test]
fn a_sampled_span_stands_for_more() {
    let count =
        |trace_state: &str| cell(Signal::Spans, &request(&[], &[], &long(3, trace_state.as_bytes())), "adjusted_count");
    for (trace_state, adjusted) in [
        ("ot=th:8", 2.0),
        ("ot=th:c", 4.0),
        ("a=b, ot=rv:12345678901234;th:fff ,c=d", 4096.0),
        ("ot=th:0", 1.0),
        ("ot=th:ffffffffffffff", (1_u64 << 56) as f64),
        ("", 1.0),
        ("ot=th:", 1.0),
        ("ot=th:C", 1.0),
        ("ot=th:888888888888888", 1.0),
        ("xot=th:8", 1.0),
        ("ot=xth:8", 1.0),
    ] {
        assert_eq!(count(trace_state), show::double(adjusted), "{trace_state}");
    }
}

#[test]
fn ids_that_are_none_are_null_and_counted() {
    let span = |trace_id: &[u8], span_id: &[u8], parent: &[u8]| Span {
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_vec(),
        parent_span_id: parent.to_vec(),
        ..Span::default()
    };
    let spans = vec![span(&[1; 16], &[1; 8], &[]), span(&[0; 16], &[], &[0; 8]), span(&[1; 15], &[1; 8], &[1; 9])];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let request =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let (decoded, _) = decoded(Signal::Spans, &request.encode_to_vec()).unwrap();
    assert_eq!((decoded.rows, decoded.invalid_ids), (3, 5));
}

#[test]
fn the_environment_is_the_newer_attribute_or_else_the_older_one_if_it_is_text() {
    let resource = |attributes: &[(&str, Vec<u8>)]| {
        let attributes: Vec<_> = attributes.iter().map(|(key, value)| long(1, &key_value(key, value))).collect();
        cell(Signal::Spans, &request(&long(1, &attributes.concat()), &[], &[]), "environment")
    };
    let (old, new) =
        (("deployment.environment", text_value("old")), ("deployment.environment.name", text_value("new")));
    assert_eq!(resource(&[old.clone(), new]), "\"new\"");
    assert_eq!(resource(std::slice::from_ref(&old)), "\"old\"");
    assert_eq!(resource(&[("deployment.environment.name", vec![2 << 3, 1]), old]), "\"old\"");
    assert_eq!(resource(&[]), "null");
}

#[test]
fn resources_that_are_the_same_are_kept_once() {
    let one = |name: &str| request(&long(1, &long(1, &key_value("service.name", &text_value(name)))), &[], &[]);
    let mut builder = Builder::new(Signal::Spans);
    for name in ["a", "b", "a", "a", "b"] {
        decode(&one(name), &mut builder).unwrap();
    }
    let batch = builder.finish();
    let Some(crate::batch::Column::Shared(shared)) = batch.column("resource_attributes") else { panic!("shared") };
    assert_eq!(shared.keys, [0, 1, 0, 0, 1]);
    assert_eq!(shared.values.rows(), 2);
}

#[test]
fn a_request_of_more_than_a_million_rows_is_refused_and_leaves_the_builder_as_it_was() {
    // Empty spans: two bytes each, so that two megabytes would become hundreds in memory.
    let mut spans = Vec::new();
    for _ in 0..=crate::decode::ROWS_MAX {
        spans.extend_from_slice(&[0x12, 0]);
    }
    let message = |content: &[u8], tag: u8| {
        let mut out = vec![tag];
        prost::encoding::encode_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
        out
    };
    let body = message(&message(&spans, 0x12), 0x0a);
    let mut builder = crate::decode::Builder::new(crate::Signal::Spans);
    let refused = crate::decode::decode(&body, &mut builder).expect_err("too many rows");
    assert_eq!(refused.kind(), crate::Kind::Data);
    assert!(refused.message().contains("more than 1048576 rows; send smaller requests"), "{refused}");
    assert_eq!(builder.rows(), 0);
}
