//! Requests of the usual rows in another shape: so many rows, from so many resources, of so many services.

use super::{Numbers, SERVICES, log, metric, point, resource, scope, span, start_of, text};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;

/// Points of one metric and resource.
const POINTS: usize = 25;

/// What a request is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    /// By which the rows of a request are divided.
    pub(crate) resources: usize,
    /// How many services there are in all.
    pub(crate) services: usize,
}

impl Shape {
    /// The rows of each resource in a request, and which resource it is of all that were sent.
    fn parts(&self, number: u64) -> impl Iterator<Item = (Option<Resource>, std::ops::Range<u64>)> {
        let Self { rows, resources, services } = *self;
        (0..resources).map(move |part| {
            let rows = (part * rows / resources) as u64..((part + 1) * rows / resources) as u64;
            (of_service((number * resources as u64 + part as u64) % services as u64), rows)
        })
    }
}

fn of_service(service: u64) -> Option<Resource> {
    let mut of = resource(service)?;
    if service >= SERVICES.len() as u64 {
        of.attributes[0] = text("service.name", format!("{}-{service}", SERVICES[service as usize % SERVICES.len()]));
    }
    Some(of)
}

/// When the rows of a request begin: where those of the one before end.
fn start(number: u64, shape: &Shape) -> u64 {
    start_of(0) + number * shape.rows as u64 * 1_000_000
}

pub(crate) fn spans(number: u64, shape: &Shape) -> Vec<u8> {
    let mut numbers = Numbers(1 + 3 * number);
    let part = |(resource, rows): (_, std::ops::Range<u64>)| {
        let spans = rows.map(|row| span(start(number, shape), row, &mut numbers)).collect();
        let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
        ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }
    };
    ExportTraceServiceRequest { resource_spans: shape.parts(number).map(part).collect() }.encode_to_vec()
}

pub(crate) fn logs(number: u64, shape: &Shape) -> Vec<u8> {
    let mut numbers = Numbers(2 + 3 * number);
    let part = |(resource, rows): (_, std::ops::Range<u64>)| {
        let log_records = rows.map(|row| log(start(number, shape), row, &mut numbers)).collect();
        let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..ScopeLogs::default() }];
        ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }
    };
    ExportLogsServiceRequest { resource_logs: shape.parts(number).map(part).collect() }.encode_to_vec()
}

pub(crate) fn metrics(number: u64, shape: &Shape) -> Vec<u8> {
    let mut numbers = Numbers(3 + 3 * number);
    let part = |(resource, rows): (_, std::ops::Range<u64>)| {
        let rows: Vec<u64> = rows.collect();
        let metrics = rows
            .chunks(POINTS)
            .enumerate()
            .map(|(at, rows)| {
                let points = rows.iter().map(|&row| point(start(number, shape), row, &mut numbers)).collect();
                metric(at, points)
            })
            .collect();
        let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, ..ScopeMetrics::default() }];
        ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }
    };
    ExportMetricsServiceRequest { resource_metrics: shape.parts(number).map(part).collect() }.encode_to_vec()
}
