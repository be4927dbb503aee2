//! JSON and protobuf of a message are the same message.

use super::arbitrary;
use super::as_json::{AsJson, Style};
use super::*;
use proptest::prelude::*;
use std::fmt::Debug;

/// Compares by bytes, because a NaN does not equal itself.
fn assert_reads_back<M: Message + Default + Debug + AsJson>(signal: Signal, message: &M, style: Style) {
    let json = message.as_json(style);
    let bytes = to_protobuf(signal, json.as_bytes()).unwrap_or_else(|error| panic!("{error}\nin {json}"));
    let read = M::decode(bytes.as_slice()).unwrap_or_else(|error| panic!("{error}\nof {json}"));
    assert!(read.encode_to_vec() == message.encode_to_vec(), "{read:#?}\nis not\n{message:#?}\nof {json}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_traces_read_back(message in arbitrary::traces(), style in any::<[bool; 8]>()) {
        assert_reads_back(Signal::Spans, &message, style.into());
    }

    #[test]
    fn any_logs_read_back(message in arbitrary::logs(), style in any::<[bool; 8]>()) {
        assert_reads_back(Signal::Logs, &message, style.into());
    }

    #[test]
    fn any_metrics_read_back(message in arbitrary::metrics(), style in any::<[bool; 8]>()) {
        assert_reads_back(Signal::Metrics, &message, style.into());
    }

    #[test]
    fn any_double_reads_back_to_the_last_bit(double in arbitrary::double(), swapped_numbers in any::<bool>()) {
        let style = Style { swapped_numbers, ..Style::default() };
        let json = AnyValue { value: Some(any_value::Value::DoubleValue(double)) }.as_json(style);
        let Some(any_value::Value::DoubleValue(read)) = body(&json) else { panic!("not a double: {json}") };
        prop_assert_eq!(read.to_bits(), double.to_bits());
    }

    #[test]
    fn any_damage_to_a_request_is_an_error_or_a_message_but_no_panic(
        message in arbitrary::metrics(),
        style in any::<[bool; 8]>(),
        cut in any::<prop::sample::Index>(),
        damage in any::<u8>(),
    ) {
        let mut json = message.as_json(style.into()).into_bytes();
        let at = cut.index(json.len());
        json[at] = damage;
        if let Ok(bytes) = to_protobuf(Signal::Metrics, &json) {
            ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
        }
        let whole = message.as_json(style.into());
        prop_assert!(to_protobuf(Signal::Metrics, &whole.as_bytes()[..at]).is_err());
    }
}

const TRACE: &str = include_str!("../../../../tests/otlp/examples/trace.json");
const LOGS: &str = include_str!("../../../../tests/otlp/examples/logs.json");
const EVENTS: &str = include_str!("../../../../tests/otlp/examples/events.json");
const METRICS: &str = include_str!("../../../../tests/otlp/examples/metrics.json");

/// Checks that a request, printed as JSON again, is the JSON that it came from, up to the order of members and to values
/// that are the default.
fn assert_holds_all_of<M: Message + Default + AsJson>(signal: Signal, json: &str) -> M {
    let message: M = read(signal, json);
    let printed = serde_json::from_str(&message.as_json(Style { zeros: true, ..Style::default() })).unwrap();
    assert_within(&serde_json::from_str(json).unwrap(), &printed, "");
    message
}

/// Whether every member of `part` is in `whole` with the same value; numbers also equal their texts.
fn assert_within(part: &serde_json::Value, whole: &serde_json::Value, path: &str) {
    use serde_json::Value;
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (name, member) in part {
                let path = format!("{path}.{name}");
                assert_within(member, whole.get(name).unwrap_or_else(|| panic!("{path} is lost")), &path);
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{path}");
            for (part, whole) in part.iter().zip(whole) {
                assert_within(part, whole, path);
            }
        }
        (Value::Number(part), Value::Number(whole)) => assert_eq!(part.as_f64(), whole.as_f64(), "{path}"),
        (Value::Number(part), Value::String(whole)) => assert_eq!(&part.to_string(), whole, "{path}"),
        (Value::String(part), Value::String(whole)) => assert_eq!(part.to_lowercase(), whole.to_lowercase(), "{path}"),
        _ => assert_eq!(part, whole, "{path}"),
    }
}

#[test]
fn the_published_traces_are_read() {
    let request: ExportTraceServiceRequest = assert_holds_all_of(Signal::Spans, TRACE);
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id, 0x5B8E_FFF7_9803_8103_D269_B633_813F_C60C_u128.to_be_bytes());
    assert_eq!(span.parent_span_id, 0xEEE1_9B7E_C3C1_B173_u64.to_be_bytes());
    assert_eq!(span.start_time_unix_nano, 1_544_712_660_000_000_000);
    assert_eq!(span.kind, 2);
}

#[test]
fn the_published_logs_are_read() {
    let request: ExportLogsServiceRequest = assert_holds_all_of(Signal::Logs, LOGS);
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.severity_number, 10);
    assert_eq!(record.attributes.len(), 6);
}

#[test]
fn the_published_events_are_read() {
    let request: ExportLogsServiceRequest = assert_holds_all_of(Signal::Logs, EVENTS);
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records[0].event_name, "browser.page_view");
}

#[test]
fn the_published_metrics_are_read() {
    let request: ExportMetricsServiceRequest = assert_holds_all_of(Signal::Metrics, METRICS);
    assert_eq!(request.resource_metrics[0].scope_metrics[0].metrics.len(), 4);
}
