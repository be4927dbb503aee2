//! Requests as a shop's services send them, the same in every run. Each number has its own: another service, other ids,
//! later times.

#[allow(dead_code, reason = "no benchmark sends every shape")]
pub(crate) mod shaped;
#[allow(dead_code, reason = "only what is measured beside the usual shape sends these")]
pub(crate) mod unkind;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

/// Rows in a request.
pub(crate) const ROWS: usize = 8192;

const START: u64 = 1_760_000_000_000_000_000;

/// When a request's rows begin; they are a millisecond apart.
fn start_of(number: u64) -> u64 {
    START + number * ROWS as u64 * 1_000_000
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one_of(&mut self, words: &[&str]) -> String {
        words[self.next() as usize % words.len()].to_owned()
    }

    fn id(&mut self, length: usize) -> Vec<u8> {
        [self.next().to_le_bytes(), self.next().to_le_bytes()].concat()[..length].to_vec()
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

const SERVICES: [&str; 4] = ["checkout", "cart", "payment", "frontend"];

fn resource(number: u64) -> Option<Resource> {
    let attributes = vec![
        text("service.name", SERVICES[number as usize % SERVICES.len()]),
        text("service.version", "1.4.2"),
        text("service.instance.id", "checkout-7d9f8-x2x4"),
        text("deployment.environment.name", "production"),
        text("host.name", "node-17"),
    ];
    Some(Resource { attributes, ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "io.example.http".to_owned(), version: "2.1".to_owned(), ..Default::default() })
}

const ROUTES: [&str; 5] = ["/cart", "/cart/{id}", "/checkout", "/products/{id}", "/health"];

/// The span of a row: a millisecond after the one before.
fn span(start: u64, row: u64, numbers: &mut Numbers) -> Span {
    let route = numbers.one_of(&ROUTES);
    let start = start + row * 1_000_000;
    let attributes = vec![
        text("http.request.method", numbers.one_of(&["GET", "POST", "PUT"])),
        text("http.route", route.clone()),
        text("url.path", format!("/products/{}", numbers.next() % 10_000)),
        pair("http.response.status_code", Value::IntValue(200)),
        text("server.address", "shop.example.com"),
        text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"),
        text("client.address", format!("10.1.{}.{}", numbers.next() % 256, numbers.next() % 256)),
        pair("http.request.body.size", Value::IntValue((numbers.next() % 100_000) as i64)),
    ];
    Span {
        trace_id: numbers.id(16),
        span_id: numbers.id(8),
        parent_span_id: numbers.id(8),
        name: format!("GET {route}"),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + numbers.next() % 1_000_000_000,
        attributes,
        status: Some(Status { code: 1, ..Status::default() }),
        flags: 257,
        ..Span::default()
    }
}

fn log(start: u64, row: u64, numbers: &mut Numbers) -> LogRecord {
    LogRecord {
        time_unix_nano: start + row * 1_000_000,
        observed_time_unix_nano: start + row * 1_000_000 + 500,
        severity_number: 9,
        severity_text: numbers.one_of(&["INFO", "INFO", "INFO", "WARN"]),
        body: text("", format!("order {} of customer {} was placed", numbers.next() % 100_000, numbers.next() % 9_999))
            .value,
        attributes: vec![
            text("code.function.name", numbers.one_of(&["place_order", "charge", "ship"])),
            pair("thread.id", Value::IntValue((numbers.next() % 32) as i64)),
            text("logger.name", "com.example.shop.Orders"),
        ],
        trace_id: numbers.id(16),
        span_id: numbers.id(8),
        ..LogRecord::default()
    }
}

fn point(start: u64, row: u64, numbers: &mut Numbers) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![
            text("http.request.method", numbers.one_of(&["GET", "POST", "PUT"])),
            text("http.route", numbers.one_of(&ROUTES)),
            pair("http.response.status_code", Value::IntValue(200)),
        ],
        start_time_unix_nano: START,
        time_unix_nano: start + row * 1_000_000,
        value: Some(number_data_point::Value::AsDouble((numbers.next() % 1_000_000) as f64 / 7.0)),
        ..NumberDataPoint::default()
    }
}

fn metric(number: usize, data_points: Vec<NumberDataPoint>) -> Metric {
    Metric {
        name: format!("http.server.requests.{number}"),
        description: "How many requests were answered".to_owned(),
        unit: "{request}".to_owned(),
        data: Some(Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true })),
        ..Metric::default()
    }
}

/// A request with spans.
pub(crate) fn spans(number: u64) -> Vec<u8> {
    spans_of(number, ROWS)
}

/// A request with so many spans.
pub(crate) fn spans_of(number: u64, rows: usize) -> Vec<u8> {
    let mut numbers = Numbers(1 + 3 * number);
    let spans = (0..rows as u64).map(|row| span(start_of(number), row, &mut numbers)).collect();
    let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: resource(number), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A request with log records.
pub(crate) fn logs(number: u64) -> Vec<u8> {
    let mut numbers = Numbers(2 + 3 * number);
    let log_records = (0..ROWS as u64).map(|row| log(start_of(number), row, &mut numbers)).collect();
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: resource(number), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// A request with points of metrics.
pub(crate) fn metrics(number: u64) -> Vec<u8> {
    const POINTS: u64 = 64;
    let mut numbers = Numbers(3 + 3 * number);
    let mut points = || (0..POINTS).map(|row| point(start_of(number), row, &mut numbers)).collect();
    let metrics = (0..ROWS / POINTS as usize).map(|number| metric(number, points())).collect();
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: resource(number), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}
