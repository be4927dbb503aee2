//! Requests that nobody wishes for: one row each, a resource for each row, hundreds of attributes, nothing that repeats.

use super::shaped::{self, Shape};
use super::{Numbers, resource, scope, span, start_of, text};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// Requests of one row each.
pub(crate) fn one_row(requests: usize) -> Vec<Vec<u8>> {
    let shape = Shape { rows: 1, resources: 1, services: 4 };
    (0..requests as u64).map(|number| shaped::spans(number, &shape)).collect()
}

/// A request in which each row has a service of its own.
pub(crate) fn services(rows: usize) -> Vec<u8> {
    shaped::spans(0, &Shape { rows, resources: rows, services: rows })
}

/// A request in which each row has so many attributes, of the same keys.
pub(crate) fn attributes(rows: usize, attributes: usize) -> Vec<u8> {
    rows_of(rows, |span, row, numbers| {
        span.attributes = (0..attributes)
            .map(|at| text(&format!("app.attribute.{at}"), format!("value {}", (numbers.next() % 1_000) + row % 7)))
            .collect();
    })
}

/// A request in which no value comes twice, under keys that do.
pub(crate) fn values(rows: usize) -> Vec<u8> {
    rows_of(rows, |span, row, numbers| {
        span.name = format!("operation {row} {:x}", numbers.next());
        span.attributes = (0..8)
            .map(|at| text(&format!("app.key.{at}"), format!("{:x}{:x}", numbers.next(), numbers.next())))
            .collect();
    })
}

/// A request in which no text comes twice: names, states, keys and values of attributes.
pub(crate) fn distinct(rows: usize) -> Vec<u8> {
    rows_of(rows, |span, row, numbers| {
        span.name = format!("operation {row} {:x}", numbers.next());
        span.trace_state = format!("vendor={:x}", numbers.next());
        span.attributes = (0..8)
            .map(|at| {
                text(
                    &format!("key.{at}.{row}.{:x}", numbers.next()),
                    format!("{:x}{:x}", numbers.next(), numbers.next()),
                )
            })
            .collect();
    })
}

fn rows_of(rows: usize, change: impl Fn(&mut Span, u64, &mut Numbers)) -> Vec<u8> {
    let mut numbers = Numbers(7);
    let spans = (0..rows as u64)
        .map(|row| {
            let mut span = span(start_of(0), row, &mut numbers);
            change(&mut span, row, &mut numbers);
            span
        })
        .collect();
    let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: resource(0), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}
