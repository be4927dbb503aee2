//! Spans.

use crate::Service;
use crate::sdk::{self, Heard, Transport, attributes, text, time};
use crate::service::rows::{self, Cell, Row};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use std::time::{Duration, SystemTime};

pub(crate) fn assert_stored(transport: Transport) {
    let service = Service::start(|_| {});
    let (exporter, heard) = Heard::new(sdk::span_exporter(transport, &service), &service);
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(sdk::resource()).build();
    work(&provider);
    provider.shutdown().unwrap();

    let (summary, folder) = service.stop();
    let stored = rows::read(folder.path(), "spans");
    let exported = heard.lock().unwrap();
    assert_eq!((exported.len(), stored.len()), (5, 5), "{summary:?}");
    for span in exported.iter() {
        let id = Cell::Bytes(span.span_context.span_id().to_bytes().to_vec());
        let row = stored.iter().find(|row| row["span_id"] == id).expect("each span is stored");
        assert_row(row, span);
    }
}

/// A trace: a server's span with children of the other kinds, one of which fails.
fn work(provider: &SdkTracerProvider) {
    let tracer = provider.tracer_with_scope(sdk::scope());
    let remote = SpanContext::new(
        TraceId::from_bytes([7; 16]),
        SpanId::from_bytes([9; 8]),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value([("vendor", "1"), ("ot", "rv:abcdef01234567")]).unwrap(),
    );
    let caller = Context::new().with_remote_span_context(remote.clone());
    let start = SystemTime::UNIX_EPOCH + Duration::new(1_772_533_230, 123_456_789);
    let server = tracer
        .span_builder("POST /orders/{id}")
        .with_kind(SpanKind::Server)
        .with_start_time(start)
        .with_attributes([
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.response.status_code", 503),
            KeyValue::new("http.route", "/orders/{id}"),
            KeyValue::new("ratio", 0.25),
            KeyValue::new("retried", true),
            KeyValue::new("größe", "übergroß 😀"),
            KeyValue::new("empty", ""),
            KeyValue::new("texts", Value::Array(Array::String(vec![StringValue::from("a"), StringValue::from("")]))),
            KeyValue::new("ints", Value::Array(Array::I64(vec![i64::MIN, 0, i64::MAX]))),
            KeyValue::new("doubles", Value::Array(Array::F64(vec![0.1, -0.0]))),
            KeyValue::new("bools", Value::Array(Array::Bool(vec![true, false]))),
        ])
        .with_links(vec![Link::new(remote, vec![KeyValue::new("why", "batch")], 2)])
        .start_with_context(&tracer, &caller);
    let within = caller.with_span(server);
    for (name, kind) in [
        ("SELECT orders", SpanKind::Client),
        ("publish", SpanKind::Producer),
        ("consume", SpanKind::Consumer),
        ("price", SpanKind::Internal),
    ] {
        let mut span = tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, &within);
        span.set_status(Status::Ok);
        span.end();
    }
    let span = within.span();
    span.add_event_with_timestamp(
        "exception",
        start + Duration::from_millis(3),
        vec![KeyValue::new("exception.type", "Timeout"), KeyValue::new("attempt", 3)],
    );
    span.set_status(Status::error("no stock"));
    span.end_with_timestamp(start + Duration::new(2, 1));
}

fn assert_row(row: &Row, span: &SpanData) {
    sdk::assert_common(row);
    let kind = match span.span_kind {
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
        SpanKind::Internal => "INTERNAL",
    };
    let (code, message) = match &span.status {
        Status::Unset => ("UNSET", ""),
        Status::Ok => ("OK", ""),
        Status::Error { description } => ("ERROR", description.as_ref()),
    };
    let duration = span.end_time.duration_since(span.start_time).unwrap().as_nanos();
    let context = &span.span_context;
    // Bit 8 says that it is known whether the parent is remote, bit 9 that it is.
    let flags = u32::from(context.trace_flags().to_u8()) | 0x100 | if span.parent_span_is_remote { 0x200 } else { 0 };
    let expected = [
        ("time", time(span.start_time)),
        ("end_time", time(span.end_time)),
        ("duration_ns", Cell::Int(duration as i128)),
        ("trace_id", Cell::Bytes(context.trace_id().to_bytes().to_vec())),
        ("parent_span_id", Cell::Bytes(span.parent_span_id.to_bytes().to_vec())),
        ("trace_state", text(&context.trace_state().header())),
        ("name", text(&span.name)),
        ("kind", text(kind)),
        ("status_code", text(code)),
        ("status_message", text(message)),
        ("adjusted_count", Cell::Double(1_f64.to_bits())),
        ("attributes", attributes(&span.attributes)),
        ("dropped_attributes_count", Cell::Int(span.dropped_attributes_count.into())),
        ("events", Cell::List(span.events.iter().map(event).collect())),
        ("dropped_events_count", Cell::Int(span.events.dropped_count.into())),
        ("links", Cell::List(span.links.iter().map(link).collect())),
        ("dropped_links_count", Cell::Int(span.links.dropped_count.into())),
        ("flags", Cell::Int(flags.into())),
    ];
    for (column, cell) in expected {
        assert_eq!(row[column], cell, "{column} of {}", span.name);
    }
    if span.span_kind == SpanKind::Server {
        assert_eq!(row["http_request_method"], text("POST"));
        assert_eq!(row["http_response_status_code"], Cell::Int(503));
        assert_eq!(row["http_route"], text("/orders/{id}"));
    }
}

fn event(event: &opentelemetry::trace::Event) -> Cell {
    Cell::Struct(Row::from([
        ("time".into(), time(event.timestamp)),
        ("name".into(), text(&event.name)),
        ("attributes".into(), attributes(&event.attributes)),
        ("dropped_attributes_count".into(), Cell::Int(event.dropped_attributes_count.into())),
    ]))
}

fn link(link: &Link) -> Cell {
    let context = &link.span_context;
    let flags = u32::from(context.trace_flags().to_u8()) | 0x100 | if context.is_remote() { 0x200 } else { 0 };
    Cell::Struct(Row::from([
        ("trace_id".into(), Cell::Bytes(context.trace_id().to_bytes().to_vec())),
        ("span_id".into(), Cell::Bytes(context.span_id().to_bytes().to_vec())),
        ("trace_state".into(), text(&context.trace_state().header())),
        ("attributes".into(), attributes(&link.attributes)),
        ("dropped_attributes_count".into(), Cell::Int(link.dropped_attributes_count.into())),
        ("flags".into(), Cell::Int(flags.into())),
    ]))
}
