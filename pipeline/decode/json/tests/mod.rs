//! The oracle is prost: what `to_protobuf` writes, decoded by opentelemetry-proto's types, must be the message.

mod equality;
mod limits;
mod rules;
mod table;

#[path = "../../../../tests/otlp/arbitrary.rs"]
pub(crate) mod arbitrary;
#[path = "../../../../tests/otlp/as_json/mod.rs"]
mod as_json;

use super::to_protobuf;
use crate::{Kind, Signal};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// The message that the JSON became.
#[track_caller]
fn read<M: Message + Default>(signal: Signal, json: impl AsRef<[u8]>) -> M {
    let bytes = to_protobuf(signal, json.as_ref()).unwrap();
    M::decode(bytes.as_slice()).unwrap()
}

/// The message of the error that the JSON is refused with.
#[track_caller]
fn refusal(signal: Signal, json: impl AsRef<[u8]>) -> String {
    let error = to_protobuf(signal, json.as_ref()).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    error.message().to_owned()
}

fn log_json(members: &str) -> String {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{members}}}]}}]}}]}}"#)
}

fn span_json(members: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{members}}}]}}]}}]}}"#)
}

fn metric_json(members: &str) -> String {
    format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{{members}}}]}}]}}]}}"#)
}

/// The log record with those members.
#[track_caller]
fn log(members: &str) -> LogRecord {
    let mut request: ExportLogsServiceRequest = read(Signal::Logs, log_json(members));
    request.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0)
}

/// The span with those members.
#[track_caller]
fn span(members: &str) -> Span {
    let mut request: ExportTraceServiceRequest = read(Signal::Spans, span_json(members));
    request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
}

/// The metric with those members.
#[track_caller]
fn metric(members: &str) -> Metric {
    let mut request: ExportMetricsServiceRequest = read(Signal::Metrics, metric_json(members));
    request.resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0)
}

/// The value that a log record's body became.
#[track_caller]
fn body(json: &str) -> Option<any_value::Value> {
    log(&format!(r#""body":{json}"#)).body.unwrap_or(AnyValue { value: None }).value
}
