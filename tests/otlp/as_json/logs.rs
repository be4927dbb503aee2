//! Logs as JSON.

use super::{AsJson, Object, Style};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};

impl AsJson for ExportLogsServiceRequest {
    fn as_json(&self, style: Style) -> String {
        let Self { resource_logs } = self;
        Object::new(style).messages("resourceLogs", resource_logs).end()
    }
}

impl AsJson for ResourceLogs {
    fn as_json(&self, style: Style) -> String {
        let Self { resource, scope_logs, schema_url } = self;
        Object::new(style)
            .message("resource", resource.as_ref())
            .messages("scopeLogs", scope_logs)
            .text("schemaUrl", schema_url)
            .end()
    }
}

impl AsJson for ScopeLogs {
    fn as_json(&self, style: Style) -> String {
        let Self { scope, log_records, schema_url } = self;
        Object::new(style)
            .message("scope", scope.as_ref())
            .messages("logRecords", log_records)
            .text("schemaUrl", schema_url)
            .end()
    }
}

impl AsJson for LogRecord {
    fn as_json(&self, style: Style) -> String {
        let Self {
            time_unix_nano,
            observed_time_unix_nano,
            severity_number,
            severity_text,
            body,
            attributes,
            dropped_attributes_count,
            flags,
            trace_id,
            span_id,
            event_name,
        } = self;
        let severity = SeverityNumber::try_from(*severity_number).ok();
        Object::new(style)
            .wide("timeUnixNano", time_unix_nano)
            .wide("observedTimeUnixNano", observed_time_unix_nano)
            .number_of("severityNumber", *severity_number, severity.as_ref().map(SeverityNumber::as_str_name))
            .text("severityText", severity_text)
            .message("body", body.as_ref())
            .messages("attributes", attributes)
            .narrow("droppedAttributesCount", dropped_attributes_count)
            .narrow("flags", flags)
            .id("traceId", trace_id)
            .id("spanId", span_id)
            .text("eventName", event_name)
            .end()
    }
}
