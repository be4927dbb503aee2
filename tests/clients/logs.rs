//! Log records.

use crate::Service;
use crate::sdk::{self, Heard, Transport, text, time};
use crate::service::rows::{self, Cell, Json, Row};
use base64::Engine as _;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLoggerProvider};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

pub(crate) fn assert_stored(transport: Transport) {
    let service = Service::start(|_| {});
    let (exporter, heard) = Heard::new(sdk::log_exporter(transport, &service), &service);
    let provider = SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(sdk::resource()).build();
    let bodies = work(&provider);
    provider.shutdown().unwrap();

    let (summary, folder) = service.stop();
    let stored = rows::read(folder.path(), "logs");
    let exported = heard.lock().unwrap();
    assert_eq!((exported.len(), stored.len()), (bodies, bodies), "{summary:?}");
    for (record, _) in exported.iter() {
        let at = time(record.timestamp().unwrap());
        let row = stored.iter().find(|row| row["time"] == at).expect("each record is stored");
        assert_row(row, record);
    }
}

/// Emits a record with a body of each type, each at a time of its own, and returns how many.
fn work(provider: &SdkLoggerProvider) -> usize {
    let logger = provider.logger_with_scope(sdk::scope());
    let nested = AnyValue::Map(Box::new(HashMap::from([(
        "deep".into(),
        AnyValue::ListAny(Box::new(vec![1.into(), "a".into()])),
    )])));
    let bodies = [
        Some(AnyValue::from("order 7 was refused: größe 😀")),
        Some(AnyValue::Int(i64::MAX)),
        Some(AnyValue::Double(-0.5)),
        Some(AnyValue::Boolean(true)),
        Some(AnyValue::Bytes(Box::new(vec![0, 255, 128]))),
        Some(AnyValue::ListAny(Box::new(vec!["a".into(), 1.into(), 2.5.into()]))),
        Some(nested.clone()),
        None,
    ];
    let count = bodies.len();
    for (number, body) in bodies.into_iter().enumerate() {
        let mut record = logger.create_log_record();
        record.set_timestamp(SystemTime::UNIX_EPOCH + Duration::new(1_772_533_230, number as u32));
        record.set_observed_timestamp(SystemTime::UNIX_EPOCH + Duration::new(1_772_533_231, number as u32));
        record.set_severity_number(Severity::Warn2);
        record.set_severity_text("WARN");
        record.set_event_name("shop.order.refused");
        record.add_attribute("order", 7);
        record.add_attribute("http.route", "/orders/{id}");
        record.add_attribute("nested", nested.clone());
        if number % 2 == 0 {
            let (trace, span) = (TraceId::from_bytes([3; 16]), SpanId::from_bytes([4; 8]));
            record.set_trace_context(trace, span, Some(TraceFlags::SAMPLED));
        }
        if let Some(body) = body {
            record.set_body(body);
        }
        logger.emit(record);
    }
    count
}

fn assert_row(row: &Row, record: &SdkLogRecord) {
    sdk::assert_common(row);
    let context = record.trace_context();
    let of_context = |bytes: Option<Vec<u8>>| bytes.map_or(Cell::Null, Cell::Bytes);
    let own = record.attributes_iter().map(|(key, value)| (key.to_string(), json(value))).collect();
    let (body, body_type) = match record.body() {
        None => (Cell::Null, Cell::Null),
        Some(AnyValue::String(value)) => (text(value.as_str()), text("text")),
        Some(AnyValue::Int(_)) => (body_of(record), text("int")),
        Some(AnyValue::Double(_)) => (body_of(record), text("double")),
        Some(AnyValue::Boolean(_)) => (body_of(record), text("bool")),
        Some(AnyValue::Bytes(_)) => (body_of(record), text("bytes")),
        Some(AnyValue::ListAny(_)) => (body_of(record), text("array")),
        Some(AnyValue::Map(_)) => (body_of(record), text("map")),
        Some(other) => panic!("a body of a new type: {other:?}"),
    };
    let expected = [
        ("time", time(record.timestamp().unwrap())),
        ("observed_time", time(record.observed_timestamp().unwrap())),
        ("severity_number", Cell::Int(record.severity_number().unwrap() as i128)),
        ("severity_text", text(record.severity_text().unwrap())),
        ("event_name", text(record.event_name().unwrap())),
        ("body", body),
        ("body_type", body_type),
        ("trace_id", of_context(context.map(|context| context.trace_id.to_bytes().to_vec()))),
        ("span_id", of_context(context.map(|context| context.span_id.to_bytes().to_vec()))),
        ("flags", Cell::Int(context.and_then(|context| context.trace_flags).map_or(0, |flags| flags.to_u8().into()))),
        ("attributes", Cell::Json(Json::Object(own))),
        ("dropped_attributes_count", Cell::Int(0)),
        ("http_route", text("/orders/{id}")),
    ];
    for (column, cell) in expected {
        assert_eq!(row[column], cell, "{column} of {:?}", record.body());
    }
}

fn body_of(record: &SdkLogRecord) -> Cell {
    Cell::Json(json(record.body().unwrap()))
}

fn json(value: &AnyValue) -> Json {
    match value {
        AnyValue::Int(value) => Json::Int((*value).into()),
        AnyValue::Double(value) => Json::Double(value.to_bits()),
        AnyValue::String(value) => Json::Text(value.to_string()),
        AnyValue::Boolean(value) => Json::Bool(*value),
        AnyValue::Bytes(value) => {
            let base64 = base64::engine::general_purpose::STANDARD.encode(value.as_slice());
            Json::Object(vec![("bytes".into(), Json::Text(base64))])
        }
        AnyValue::ListAny(values) => Json::Array(values.iter().map(json).collect()),
        AnyValue::Map(map) => Json::Object(map.iter().map(|(key, value)| (key.to_string(), json(value))).collect()),
        other => panic!("a value of a new type: {other:?}"),
    }
}
