//! Traces as JSON.

use super::{AsJson, Object, Style};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

impl AsJson for ExportTraceServiceRequest {
    fn as_json(&self, style: Style) -> String {
        let Self { resource_spans } = self;
        Object::new(style).messages("resourceSpans", resource_spans).end()
    }
}

impl AsJson for ResourceSpans {
    fn as_json(&self, style: Style) -> String {
        let Self { resource, scope_spans, schema_url } = self;
        Object::new(style)
            .message("resource", resource.as_ref())
            .messages("scopeSpans", scope_spans)
            .text("schemaUrl", schema_url)
            .end()
    }
}

impl AsJson for ScopeSpans {
    fn as_json(&self, style: Style) -> String {
        let Self { scope, spans, schema_url } = self;
        Object::new(style).message("scope", scope.as_ref()).messages("spans", spans).text("schemaUrl", schema_url).end()
    }
}

impl AsJson for Span {
    fn as_json(&self, style: Style) -> String {
        let Self {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count,
            events,
            dropped_events_count,
            links,
            dropped_links_count,
            status,
        } = self;
        Object::new(style)
            .id("traceId", trace_id)
            .id("spanId", span_id)
            .text("traceState", trace_state)
            .id("parentSpanId", parent_span_id)
            .narrow("flags", flags)
            .text("name", name)
            .number_of("kind", *kind, SpanKind::try_from(*kind).ok().as_ref().map(SpanKind::as_str_name))
            .wide("startTimeUnixNano", start_time_unix_nano)
            .wide("endTimeUnixNano", end_time_unix_nano)
            .messages("attributes", attributes)
            .narrow("droppedAttributesCount", dropped_attributes_count)
            .messages("events", events)
            .narrow("droppedEventsCount", dropped_events_count)
            .messages("links", links)
            .narrow("droppedLinksCount", dropped_links_count)
            .message("status", status.as_ref())
            .end()
    }
}

impl AsJson for Event {
    fn as_json(&self, style: Style) -> String {
        let Self { time_unix_nano, name, attributes, dropped_attributes_count } = self;
        Object::new(style)
            .wide("timeUnixNano", time_unix_nano)
            .text("name", name)
            .messages("attributes", attributes)
            .narrow("droppedAttributesCount", dropped_attributes_count)
            .end()
    }
}

impl AsJson for Link {
    fn as_json(&self, style: Style) -> String {
        let Self { trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags } = self;
        Object::new(style)
            .id("traceId", trace_id)
            .id("spanId", span_id)
            .text("traceState", trace_state)
            .messages("attributes", attributes)
            .narrow("droppedAttributesCount", dropped_attributes_count)
            .narrow("flags", flags)
            .end()
    }
}

impl AsJson for Status {
    fn as_json(&self, style: Style) -> String {
        let Self { message, code } = self;
        Object::new(style)
            .text("message", message)
            .number_of("code", *code, StatusCode::try_from(*code).ok().as_ref().map(StatusCode::as_str_name))
            .end()
    }
}
