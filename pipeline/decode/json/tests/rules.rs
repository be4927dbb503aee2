//! One test for each rule of OTLP/JSON.

use super::*;
use any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, HistogramDataPoint, NumberDataPoint, number_data_point};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

const LOG: &str = "resourceLogs[0].scopeLogs[0].logRecords[0]";

/// The rest of the refusal of a log record with those members, behind the record's path.
#[track_caller]
fn refused_log(members: &str) -> String {
    let message = refusal(Signal::Logs, log_json(members));
    message.strip_prefix(LOG).unwrap_or_else(|| panic!("another place: {message}")).to_owned()
}

fn number_point(members: &str) -> NumberDataPoint {
    let Some(Data::Gauge(mut gauge)) = metric(&format!(r#""gauge":{{"dataPoints":[{{{members}}}]}}"#)).data else {
        panic!("not a gauge");
    };
    gauge.data_points.remove(0)
}

fn histogram_point(members: &str) -> HistogramDataPoint {
    let Some(Data::Histogram(mut histogram)) = metric(&format!(r#""histogram":{{"dataPoints":[{{{members}}}]}}"#)).data
    else {
        panic!("not a histogram");
    };
    histogram.data_points.remove(0)
}

#[test]
fn ids_are_hex_in_either_case_everywhere() {
    let (trace, id) = ([0xAB; 16], [0xCD; 8]);
    let both = format!(r#""traceId":"{}","spanId":"{}""#, "aB".repeat(16), "Cd".repeat(8));
    let span = span(&format!(r#"{both},"parentSpanId":"{}","links":[{{{both}}}]"#, "cD".repeat(8)));
    assert_eq!((&span.trace_id[..], &span.span_id[..], &span.parent_span_id[..]), (&trace[..], &id[..], &id[..]));
    assert_eq!((&span.links[0].trace_id[..], &span.links[0].span_id[..]), (&trace[..], &id[..]));
    let log = log(&both);
    assert_eq!((&log.trace_id[..], &log.span_id[..]), (&trace[..], &id[..]));
    let exemplars = number_point(&format!(r#""exemplars":[{{{both}}}]"#)).exemplars;
    assert_eq!(exemplars, [Exemplar { trace_id: trace.into(), span_id: id.into(), ..Exemplar::default() }]);
}

#[test]
fn an_id_of_the_wrong_length_passes_as_it_is() {
    assert_eq!(log(r#""traceId":"0102""#).trace_id, [1, 2]);
    assert_eq!(log(r#""traceId":"""#).trace_id, [0; 0]);
    assert_eq!(log(r#""spanId":"00000000000000000000""#).span_id, [0; 10]);
}

#[test]
fn an_id_with_an_odd_number_of_digits_has_the_wrong_length_too() {
    assert_eq!(log(r#""traceId":"abc""#).trace_id, [0xAB, 0xC]);
    for digits in [1, 15, 17, 31, 33] {
        let id = log(&format!(r#""traceId":"{}""#, "7".repeat(digits))).trace_id;
        assert!(!matches!(id.len(), 0 | 8 | 16), "{digits} digits became {} bytes", id.len());
    }
}

#[test]
fn an_id_that_is_not_hex_is_refused_with_field_value_and_place() {
    assert_eq!(
        refusal(Signal::Spans, span_json(r#""name":"a","traceId":"5b8g""#)),
        "resourceSpans[0].scopeSpans[0].spans[0].traceId: \"5b8g\" is not hex, as ids are written in OTLP/JSON \
         (line 1, column 71)"
    );
    assert_eq!(
        refused_log(r#""spanId":"+1""#),
        ".spanId: \"+1\" is not hex, as ids are written in OTLP/JSON (line 1, column 60)"
    );
    assert!(refused_log(r#""spanId":12"#).starts_with(".spanId: expected a string of hex, found 12"));
}

#[test]
fn other_bytes_are_base64_standard_or_url_safe_padded_or_not() {
    let bytes = Some(Value::BytesValue(vec![0xFB, 0xFF, 0xFE, 0x01]));
    for text in ["+//+AQ==", "+//+AQ", "-__-AQ==", "-__-AQ"] {
        assert_eq!(body(&format!(r#"{{"bytesValue":"{text}"}}"#)), bytes, "{text}");
    }
    let message = refused_log(r#""body":{"bytesValue":"a*"}"#);
    assert!(message.starts_with(r#".body.bytesValue: "a*" is not base64: "#), "{message}");
}

#[test]
fn an_enum_is_a_number_or_a_name() {
    assert_eq!(span(r#""kind":3"#).kind, SpanKind::Client as i32);
    assert_eq!(span(r#""kind":"SPAN_KIND_SERVER""#).kind, SpanKind::Server as i32);
    assert_eq!(span(r#""status":{"code":"STATUS_CODE_ERROR"}"#).status.unwrap().code, 2);
    assert_eq!(log(r#""severityNumber":"SEVERITY_NUMBER_INFO""#).severity_number, 9);
    assert_eq!(log(r#""severityNumber":"SEVERITY_NUMBER_FATAL4""#).severity_number, 24);
    let Some(Data::Sum(sum)) = metric(r#""sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA"}"#).data
    else {
        panic!("not a sum");
    };
    assert_eq!(sum.aggregation_temporality, 1);
}

#[test]
fn an_unknown_name_of_an_enum_is_refused() {
    assert_eq!(
        refused_log(r#""severityNumber":"INFO""#),
        ".severityNumber: \"INFO\" is not a name of the enum SeverityNumber, which are SEVERITY_NUMBER_UNSPECIFIED to \
         SEVERITY_NUMBER_FATAL4: send one of them or its number (line 1, column 70)"
    );
    assert!(refused_log(r#""severityNumber":"""#).contains("is not a name of the enum"));
}

#[test]
fn an_unknown_number_of_an_enum_is_kept() {
    assert_eq!(log(r#""severityNumber":99"#).severity_number, 99);
    assert_eq!(log(r#""severityNumber":-1"#).severity_number, -1);
    assert!(refused_log(r#""severityNumber":2147483648"#).contains("from -2147483648 to 2147483647, found 2147483648"));
}

#[test]
fn a_64_bit_integer_is_a_string_or_a_number() {
    for text in ["18446744073709551615", r#""18446744073709551615""#] {
        assert_eq!(log(&format!(r#""timeUnixNano":{text}"#)).time_unix_nano, u64::MAX);
    }
    for text in ["-9223372036854775808", r#""-9223372036854775808""#] {
        assert_eq!(body(&format!(r#"{{"intValue":{text}}}"#)), Some(Value::IntValue(i64::MIN)));
        assert_eq!(number_point(&format!(r#""asInt":{text}"#)).value, Some(number_data_point::Value::AsInt(i64::MIN)));
    }
}

#[test]
fn an_integer_may_have_a_point_or_an_exponent_if_it_is_whole() {
    for text in ["1e3", "1000.0", "1.00E+3", "10000e-1", r#""1e3""#, r#""1000.0""#, r#""10000e-1""#] {
        assert_eq!(body(&format!(r#"{{"intValue":{text}}}"#)), Some(Value::IntValue(1000)), "{text}");
    }
    assert_eq!(body(r#"{"intValue":-0}"#), Some(Value::IntValue(0)));
    assert_eq!(body(r#"{"intValue":"0e99999"}"#), Some(Value::IntValue(0)));
    assert_eq!(body(r#"{"intValue":"9007199254740993.0"}"#), Some(Value::IntValue(9_007_199_254_740_993)));
}

#[test]
fn an_integer_that_is_not_whole_or_not_a_number_is_refused() {
    for text in [
        "1.5",
        r#""1.5""#,
        r#""""#,
        r#"" 1""#,
        r#""+1""#,
        r#""0x10""#,
        r#""1e""#,
        r#"".5""#,
        r#""--1""#,
        "true",
        "{}",
        "[]",
    ] {
        let message = refused_log(&format!(r#""body":{{"intValue":{text}}}"#));
        assert!(message.starts_with(".body.intValue: expected a whole number"), "{text}: {message}");
    }
}

#[test]
fn an_integer_out_of_range_is_refused() {
    for text in ["9223372036854775808", r#""-9223372036854775809""#, "1e19", r#""1e99999999999999999999""#, "1e300"] {
        let message = refused_log(&format!(r#""body":{{"intValue":{text}}}"#));
        let range = "expected a whole number from -9223372036854775808 to 9223372036854775807, found ";
        assert!(message.contains(range), "{text}: {message}");
    }
    for text in ["-1", "18446744073709551616", r#""18446744073709551616""#] {
        let message = refused_log(&format!(r#""timeUnixNano":{text}"#));
        assert!(message.contains("from 0 to 18446744073709551615"), "{text}: {message}");
    }
    for text in ["-1", "4294967296", r#""4294967296""#] {
        for field in ["droppedAttributesCount", "flags"] {
            let message = refused_log(&format!(r#""{field}":{text}"#));
            assert!(message.contains("from 0 to 4294967295"), "{text}: {message}");
        }
    }
    let scale = r#""exponentialHistogram":{"dataPoints":[{"scale":-2147483649}]}"#;
    assert!(refusal(Signal::Metrics, metric_json(scale)).contains("found -2147483649"));
}

#[test]
fn a_32_bit_integer_is_a_number_or_a_string() {
    for text in ["4294967295", r#""4294967295""#] {
        assert_eq!(log(&format!(r#""flags":{text}"#)).flags, u32::MAX);
    }
    for (text, scale) in [("-2147483648", i32::MIN), (r#""2147483647""#, i32::MAX), ("-1", -1), ("0", 0)] {
        let data = metric(&format!(r#""exponentialHistogram":{{"dataPoints":[{{"scale":{text}}}]}}"#)).data;
        let Some(Data::ExponentialHistogram(histogram)) = data else { panic!("not an exponential histogram") };
        assert_eq!(histogram.data_points[0].scale, scale);
    }
}

#[test]
fn a_double_is_a_number_or_a_string() {
    for (text, double) in [
        ("637.704", 637.704),
        (r#""637.704""#, 637.704),
        ("10", 10.0),
        ("-3", -3.0),
        ("-0.0", -0.0),
        ("-0", -0.0),
        (r#""-0""#, -0.0),
        (r#""1e-7""#, 1e-7),
        (r#""Infinity""#, f64::INFINITY),
        (r#""-Infinity""#, f64::NEG_INFINITY),
        (r#""NaN""#, f64::NAN),
    ] {
        let Some(Value::DoubleValue(read)) = body(&format!(r#"{{"doubleValue":{text}}}"#)) else {
            panic!("{text} is not read as a double");
        };
        assert_eq!(read.to_bits(), f64::to_bits(double), "{text}");
    }
    for text in [r#""inf""#, r#""nan""#, r#""+1""#, r#""1.""#, r#"".5""#, r#""""#, r#""1e999""#, "true", "1e999"] {
        let message = refused_log(&format!(r#""body":{{"doubleValue":{text}}}"#));
        assert!(message.starts_with(".body.doubleValue: "), "{text}: {message}");
    }
}

#[test]
fn a_field_that_is_null_is_absent() {
    let nothing =
        r#""timeUnixNano":null,"severityNumber":null,"body":null,"attributes":null,"traceId":null,"eventName":null"#;
    assert_eq!(log(nothing), LogRecord::default());
    let data_point = histogram_point(r#""sum":null,"bucketCounts":null,"explicitBounds":null,"min":null"#);
    assert_eq!(data_point, HistogramDataPoint::default());
    assert_eq!(body(r#"{"intValue":null,"stringValue":"a","arrayValue":null}"#), Some(Value::StringValue("a".into())));
    assert_eq!(metric(r#""gauge":null,"sum":{}"#).data, Some(Data::Sum(Default::default())));
}

#[test]
fn an_element_that_is_null_is_refused() {
    assert!(refused_log(r#""attributes":[{},null]"#).starts_with(".attributes[1]: expected an object, found null"));
    let bounds = r#""histogram":{"dataPoints":[{"explicitBounds":[1,null]}]}"#;
    let message = refusal(Signal::Metrics, metric_json(bounds));
    assert!(message.contains("histogram.dataPoints[0].explicitBounds[1]: expected a number"), "{message}");
}

#[test]
fn names_are_read_in_camel_case_and_in_snake_case() {
    let json =
        r#"{"resource_logs":[{"scope_logs":[{"log_records":[{"time_unix_nano":"7","body":{"string_value":"a"}}]}]}]}"#;
    let request: ExportLogsServiceRequest = read(Signal::Logs, json);
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.time_unix_nano, 7);
    assert_eq!(record.body.clone().unwrap().value, Some(Value::StringValue("a".into())));
}

#[test]
fn names_written_with_escapes_are_read() {
    assert_eq!(log("\"event\\u004eame\":\"a\"").event_name, "a");
}

#[test]
fn unknown_fields_of_any_shape_are_ignored() {
    for json in ["1", "-1.5e300", "\"a\"", "true", "null", "{}", "[]", r#"[{"a":[[],{"name":null}]},"\u00e9"]"#] {
        let record = log(&format!(r#""eventName":"a","":{json},"newThing":{json},"flags":3"#));
        assert_eq!(record, LogRecord { event_name: "a".into(), flags: 3, ..LogRecord::default() }, "{json}");
    }
}

#[test]
fn a_repeated_field_given_twice_appends() {
    let record = log(r#""attributes":[{"key":"a"}],"attributes":[{"key":"b"},{"key":"a"}]"#);
    let keys: Vec<&str> = record.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "a"]);
    assert_eq!(
        histogram_point(r#""bucketCounts":[1,"2"],"bucketCounts":[],"bucketCounts":[3]"#).bucket_counts,
        [1, 2, 3]
    );
}

#[test]
fn of_a_scalar_given_twice_the_last_wins() {
    assert_eq!(log(r#""flags":1,"flags":0"#).flags, 0);
    assert_eq!(log(r#""eventName":"a","event_name":"""#).event_name, "");
    assert_eq!(body(r#"{"stringValue":"a","intValue":1}"#), Some(Value::IntValue(1)));
}

#[test]
fn presence_is_kept_where_the_value_is_zero_or_empty() {
    for (json, value) in [
        (r#"{"stringValue":""}"#, Value::StringValue(String::new())),
        (r#"{"intValue":0}"#, Value::IntValue(0)),
        (r#"{"intValue":"0"}"#, Value::IntValue(0)),
        (r#"{"boolValue":false}"#, Value::BoolValue(false)),
        (r#"{"doubleValue":0}"#, Value::DoubleValue(0.0)),
        (r#"{"bytesValue":""}"#, Value::BytesValue(Vec::new())),
        (r#"{"arrayValue":{}}"#, Value::ArrayValue(ArrayValue::default())),
        (r#"{"arrayValue":{"values":[]}}"#, Value::ArrayValue(ArrayValue::default())),
        (r#"{"kvlistValue":{}}"#, Value::KvlistValue(KeyValueList::default())),
        (r#"{"kvlistValue":{"values":[]}}"#, Value::KvlistValue(KeyValueList::default())),
    ] {
        assert_eq!(body(json), Some(value), "{json}");
    }
    assert_eq!(log(r#""body":{}"#).body, Some(AnyValue { value: None }));
    assert_eq!(number_point(r#""asInt":0"#).value, Some(number_data_point::Value::AsInt(0)));
    assert_eq!(number_point(r#""asDouble":0"#).value, Some(number_data_point::Value::AsDouble(0.0)));
    let data_point = histogram_point(r#""sum":0,"min":0,"max":"0""#);
    assert_eq!((data_point.sum, data_point.min, data_point.max), (Some(0.0), Some(0.0), Some(0.0)));
    assert_eq!(span(r#""status":{}"#).status, Some(Default::default()));
    assert_eq!(metric(r#""summary":{}"#).data, Some(Data::Summary(Default::default())));
}

#[test]
fn absence_is_kept() {
    assert_eq!(body("{}"), None);
    assert_eq!(number_point("").value, None);
    assert_eq!(histogram_point("").sum, None);
    assert_eq!(metric("").data, None);
}

#[test]
fn fields_of_profiles_are_carried_along() {
    assert_eq!(body(r#"{"stringValueStrindex":-7}"#), Some(Value::StringValueStrindex(-7)));
    assert_eq!(log(r#""attributes":[{"keyStrindex":5}]"#).attributes[0].key_strindex, 5);
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_what_the_field_takes() {
    for (members, message) in [
        (r#""eventName":5"#, ".eventName: expected a string, found 5"),
        (r#""eventName":["a"]"#, ".eventName: expected a string, found an array"),
        (r#""body":"a""#, ".body: expected an object, found \"a\""),
        (r#""body":[]"#, ".body: expected an object, found an array"),
        (r#""body":{"boolValue":"true"}"#, ".body.boolValue: expected true or false, found \"true\""),
        (r#""attributes":{"a":1}"#, ".attributes: expected an array, found an object"),
        (r#""attributes":"a""#, ".attributes: expected an array, found \"a\""),
        (r#""attributes":[1.5]"#, ".attributes[0]: expected an object, found 1.5"),
        (r#""attributes":[[]]"#, ".attributes[0]: expected an object, found an array"),
    ] {
        let refused = refused_log(members);
        assert!(refused.starts_with(message), "{refused}");
    }
    assert_eq!(refusal(Signal::Logs, "[]"), "the request: expected an object, found an array (line 1, column 2)");
    assert!(refusal(Signal::Logs, "null").starts_with("the request: expected an object, found null"));
}
