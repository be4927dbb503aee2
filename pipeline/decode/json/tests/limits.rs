//! Bodies that are broken, hostile or large.

use super::*;
use crate::decode::VALUE_DEPTH_MAX;
use any_value::Value;

/// A value nested in arrays (or key-value lists) so that the innermost is at that level.
fn nested(levels: usize, before: &str, after: &str) -> String {
    format!(r#"{}{{"stringValue":"x"}}{}"#, before.repeat(levels - 1), after.repeat(levels - 1))
}

fn nested_arrays(levels: usize) -> String {
    nested(levels, r#"{"arrayValue":{"values":["#, "]}}")
}

fn nested_lists(levels: usize) -> String {
    nested(levels, r#"{"kvlistValue":{"values":[{"value":"#, "}]}}")
}

/// The number and the content of the one field that a protobuf message has; its length must be exact.
fn only_field(mut message: &[u8]) -> (u32, &[u8]) {
    let (number, wire_type) = prost::encoding::decode_key(&mut message).unwrap();
    assert_eq!(wire_type, prost::encoding::WireType::LengthDelimited);
    let length = prost::encoding::decode_varint(&mut message).unwrap();
    assert_eq!(length, message.len() as u64);
    (number, message)
}

/// The level of the innermost value of a body. prost does not decode as many levels as Weir does.
fn levels(body: &str) -> usize {
    let bytes = to_protobuf(Signal::Logs, log_json(&format!(r#""body":{body}"#)).as_bytes()).unwrap();
    let mut path = Vec::new();
    let mut rest = bytes.as_slice();
    while rest != b"x" {
        let (number, content) = only_field(rest);
        path.push(number);
        rest = content;
    }
    assert_eq!(path[..4], [1, 2, 2, 5], "resource, scope, record, body");
    assert_eq!(path.last(), Some(&1), "stringValue");
    let inner = &path[4..path.len() - 1];
    let nesting: &[u32] = if inner.first() == Some(&5) { &[5, 1] } else { &[6, 1, 2] };
    assert!(inner.chunks(nesting.len()).all(|fields| fields == nesting), "{inner:?}");
    1 + inner.len() / nesting.len()
}

#[test]
fn values_nest_up_to_64_levels() {
    for count in [1, 2, 63, VALUE_DEPTH_MAX] {
        assert_eq!(levels(&nested_arrays(count)), count);
        assert_eq!(levels(&nested_lists(count)), count);
    }
}

#[test]
fn values_beside_one_another_are_not_nested() {
    let values = vec![r#"{"arrayValue":{"values":[{"intValue":1}]}}"#; 100].join(",");
    let Some(Value::ArrayValue(array)) = body(&format!(r#"{{"arrayValue":{{"values":[{values}]}}}}"#)) else {
        panic!("not an array");
    };
    assert_eq!(array.values.len(), 100);
}

#[test]
fn a_value_deeper_than_64_levels_is_refused_by_the_limit() {
    for value in [nested_arrays(65), nested_lists(65), nested_arrays(10_000), nested_lists(10_000)] {
        let message = refusal(Signal::Logs, log_json(&format!(r#""body":{value}"#)));
        assert!(message.contains("nest deeper than the limit of 64 levels"), "{message}");
        assert!(message.starts_with("resourceLogs[0].scopeLogs[0].logRecords[0].body."), "{message}");
        assert!(message.len() < 600, "{message}");
    }
}

#[test]
fn json_of_depth_10_000_is_an_error_and_no_stack_overflow() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]"), ("[", "")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        refusal(Signal::Spans, &deep);
        let message = refusal(Signal::Spans, format!(r#"{{"unknown":{deep}}}"#));
        assert!(message.starts_with("unknown: the JSON nests deeper than the limit of 288 levels"), "{message}");
        refusal(Signal::Spans, format!(r#"{{"resourceSpans":{deep}}}"#));
    }
}

#[test]
fn the_deepest_body_fits_a_stack_of_one_mebibyte() {
    let unknown = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let json = log_json(&format!(r#""body":{},"unknown":{unknown}"#, nested_lists(64)));
    let deep = std::thread::Builder::new().stack_size(1 << 20);
    deep.spawn(move || to_protobuf(Signal::Logs, json.as_bytes()).map(drop)).unwrap().join().unwrap().unwrap();
}

#[test]
fn lengths_are_right_around_each_size_of_a_varint() {
    for length in [0, 1, 125, 126, 127, 128, 129, 16_381, 16_383, 16_384, 16_385, 2_097_151, 2_097_152] {
        let text = "a".repeat(length);
        let record = log(&format!(r#""attributes":[{{"key":"k","value":{{"stringValue":"{text}"}}}},{{"key":"l"}}]"#));
        assert_eq!(record.attributes[0].value.clone().unwrap().value, Some(Value::StringValue(text)));
        assert_eq!(record.attributes[1].key, "l");
    }
}

#[test]
fn lengths_are_written_as_prost_writes_them() {
    let json = nested_lists(30).replace('x', &"x".repeat(100));
    let bytes = to_protobuf(Signal::Logs, log_json(&format!(r#""body":{json}"#)).as_bytes()).unwrap();
    let decoded = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(decoded.encode_to_vec(), bytes);
}

#[test]
fn an_empty_body_is_refused_and_an_empty_object_is_the_empty_message() {
    for body in ["", " \r\n\t"] {
        assert_eq!(refusal(Signal::Logs, body), "the body is empty: the smallest OTLP/JSON request is {}");
    }
    for signal in Signal::ALL {
        assert_eq!(to_protobuf(signal, b" {} \n").unwrap(), b"");
    }
}

#[test]
fn anything_behind_the_message_is_refused() {
    assert_eq!(refusal(Signal::Logs, "{}\n x"), "the request: trailing characters (line 2, column 2)");
    assert_eq!(refusal(Signal::Logs, "{}{}"), "the request: trailing characters (line 1, column 3)");
}

#[test]
fn truncated_json_is_refused_with_path_line_and_column() {
    assert_eq!(
        refusal(Signal::Spans, "{\"resourceSpans\": [\n {}, {\"scopeSpans\": [{\"spans\": [{}, {\"name\": \"a"),
        "resourceSpans[1].scopeSpans[0].spans[1].name: EOF while parsing a string (line 2, column 47)"
    );
    let whole =
        log_json(r#""body":{"kvlistValue":{"values":[{"key":"\u00e9","value":{"doubleValue":-1.5e3}}]}},"flags":null"#);
    for end in 0..whole.len() {
        refusal(Signal::Logs, &whole[..end]);
    }
}

#[test]
fn invalid_utf_8_is_refused_with_path_line_and_column() {
    let mut json = log_json("\n\"eventName\":\"a?\"").into_bytes();
    let at = json.iter().position(|&byte| byte == b'?').unwrap();
    json[at] = 0xFF;
    assert_eq!(
        refusal(Signal::Logs, &json),
        "resourceLogs[0].scopeLogs[0].logRecords[0].eventName: invalid unicode code point (line 2, column 15)"
    );
    for json in
        [&b"{\"unknown\":\"\xFF\"}"[..], b"{\"\xFF\":1}", b"{\"unknown\":{\"\xFF\":1}}", b"{} \xFF", b"\xFE\xFF"]
    {
        refusal(Signal::Logs, json);
    }
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    let message = refusal(Signal::Logs, log_json(r#""eventName":"\ud83d""#));
    assert!(message.contains(".eventName: "), "{message}");
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let message = refusal(Signal::Logs, log_json(&format!(r#""traceId":"{}""#, "é".repeat(1_000_000))));
    assert!(message.contains("é\"… (2000000 bytes) is not hex"), "{message}");
    let message = refusal(Signal::Logs, format!(r#"{{"{}":["#, "é".repeat(1_000_000)));
    assert!(message.len() < 300, "{message}");
}
