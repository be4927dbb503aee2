//! The messages of OTLP 1.10 as a table: what each field is called in JSON and in its `.proto`, its number and its kind.

use crate::Signal;

/// A message: its fields.
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    /// Whether it is `AnyValue`, whose nesting is counted.
    pub(super) is_value: bool,
}

/// A field of a message.
///
/// Nothing says whether it is in a oneof or optional: what stands in the JSON is always written, zero and empty too, so
/// its presence is kept where presence means something.
pub(super) struct Field {
    pub(super) json: &'static str,
    pub(super) proto: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    String,
    /// Bytes that are a trace or span id: hex in JSON.
    Id,
    /// Other bytes: base64 in JSON.
    Bytes,
    Bool,
    Double,
    Integer(Integer),
    Enum(&'static Enum),
    Message(&'static Message),
}

/// An integer by its width, sign and layout.
#[derive(Clone, Copy)]
pub(super) enum Integer {
    Int32,
    Uint32,
    Sint32,
    Fixed32,
    Int64,
    Uint64,
    Fixed64,
    Sfixed64,
}

/// An enum. Its numbers count up from zero without a gap: the place of a name is its number.
pub(super) struct Enum {
    pub(super) name: &'static str,
    pub(super) names: &'static [&'static str],
}

impl Message {
    /// The field of that name, in either spelling.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.json == name || field.proto == name)
    }
}

/// The request of a signal, as a field of nothing.
pub(super) fn request(signal: Signal) -> &'static Field {
    static TRACES: Field = one("", "", 0, message(&EXPORT_TRACE_SERVICE_REQUEST));
    static LOGS: Field = one("", "", 0, message(&EXPORT_LOGS_SERVICE_REQUEST));
    static METRICS: Field = one("", "", 0, message(&EXPORT_METRICS_SERVICE_REQUEST));
    match signal {
        Signal::Spans => &TRACES,
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
    }
}

const fn one(json: &'static str, proto: &'static str, number: u32, kind: Kind) -> Field {
    Field { json, proto, number, kind, repeated: false }
}

const fn many(json: &'static str, proto: &'static str, number: u32, kind: Kind) -> Field {
    Field { json, proto, number, kind, repeated: true }
}

const fn fields(fields: &'static [Field]) -> Message {
    Message { fields, is_value: false }
}

const fn message(message: &'static Message) -> Kind {
    Kind::Message(message)
}

use Kind::{Bool, Bytes, Double, Id, String};
const INT32: Kind = Kind::Integer(Integer::Int32);
const UINT32: Kind = Kind::Integer(Integer::Uint32);
const SINT32: Kind = Kind::Integer(Integer::Sint32);
const FIXED32: Kind = Kind::Integer(Integer::Fixed32);
const INT64: Kind = Kind::Integer(Integer::Int64);
const UINT64: Kind = Kind::Integer(Integer::Uint64);
const FIXED64: Kind = Kind::Integer(Integer::Fixed64);
const SFIXED64: Kind = Kind::Integer(Integer::Sfixed64);

// ---- common, resource

static ANY_VALUE: Message = Message {
    fields: &[
        one("stringValue", "string_value", 1, String),
        one("boolValue", "bool_value", 2, Bool),
        one("intValue", "int_value", 3, INT64),
        one("doubleValue", "double_value", 4, Double),
        one("arrayValue", "array_value", 5, message(&ARRAY_VALUE)),
        one("kvlistValue", "kvlist_value", 6, message(&KEY_VALUE_LIST)),
        one("bytesValue", "bytes_value", 7, Bytes),
        one("stringValueStrindex", "string_value_strindex", 8, INT32),
    ],
    is_value: true,
};

static ARRAY_VALUE: Message = fields(&[many("values", "values", 1, message(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = fields(&[many("values", "values", 1, message(&KEY_VALUE))]);

static KEY_VALUE: Message = fields(&[
    one("key", "key", 1, String),
    one("value", "value", 2, message(&ANY_VALUE)),
    one("keyStrindex", "key_strindex", 3, INT32),
]);

static INSTRUMENTATION_SCOPE: Message = fields(&[
    one("name", "name", 1, String),
    one("version", "version", 2, String),
    many("attributes", "attributes", 3, message(&KEY_VALUE)),
    one("droppedAttributesCount", "dropped_attributes_count", 4, UINT32),
]);

static ENTITY_REF: Message = fields(&[
    one("schemaUrl", "schema_url", 1, String),
    one("type", "type", 2, String),
    many("idKeys", "id_keys", 3, String),
    many("descriptionKeys", "description_keys", 4, String),
]);

static RESOURCE: Message = fields(&[
    many("attributes", "attributes", 1, message(&KEY_VALUE)),
    one("droppedAttributesCount", "dropped_attributes_count", 2, UINT32),
    many("entityRefs", "entity_refs", 3, message(&ENTITY_REF)),
]);

// ---- traces

static EXPORT_TRACE_SERVICE_REQUEST: Message =
    fields(&[many("resourceSpans", "resource_spans", 1, message(&RESOURCE_SPANS))]);

static RESOURCE_SPANS: Message = fields(&[
    one("resource", "resource", 1, message(&RESOURCE)),
    many("scopeSpans", "scope_spans", 2, message(&SCOPE_SPANS)),
    one("schemaUrl", "schema_url", 3, String),
]);

static SCOPE_SPANS: Message = fields(&[
    one("scope", "scope", 1, message(&INSTRUMENTATION_SCOPE)),
    many("spans", "spans", 2, message(&SPAN)),
    one("schemaUrl", "schema_url", 3, String),
]);

static SPAN: Message = fields(&[
    one("traceId", "trace_id", 1, Id),
    one("spanId", "span_id", 2, Id),
    one("traceState", "trace_state", 3, String),
    one("parentSpanId", "parent_span_id", 4, Id),
    one("flags", "flags", 16, FIXED32),
    one("name", "name", 5, String),
    one("kind", "kind", 6, Kind::Enum(&SPAN_KIND)),
    one("startTimeUnixNano", "start_time_unix_nano", 7, FIXED64),
    one("endTimeUnixNano", "end_time_unix_nano", 8, FIXED64),
    many("attributes", "attributes", 9, message(&KEY_VALUE)),
    one("droppedAttributesCount", "dropped_attributes_count", 10, UINT32),
    many("events", "events", 11, message(&EVENT)),
    one("droppedEventsCount", "dropped_events_count", 12, UINT32),
    many("links", "links", 13, message(&LINK)),
    one("droppedLinksCount", "dropped_links_count", 14, UINT32),
    one("status", "status", 15, message(&STATUS)),
]);

static SPAN_KIND: Enum = Enum {
    name: "SpanKind",
    names: &[
        "SPAN_KIND_UNSPECIFIED",
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ],
};

static EVENT: Message = fields(&[
    one("timeUnixNano", "time_unix_nano", 1, FIXED64),
    one("name", "name", 2, String),
    many("attributes", "attributes", 3, message(&KEY_VALUE)),
    one("droppedAttributesCount", "dropped_attributes_count", 4, UINT32),
]);

static LINK: Message = fields(&[
    one("traceId", "trace_id", 1, Id),
    one("spanId", "span_id", 2, Id),
    one("traceState", "trace_state", 3, String),
    many("attributes", "attributes", 4, message(&KEY_VALUE)),
    one("droppedAttributesCount", "dropped_attributes_count", 5, UINT32),
    one("flags", "flags", 6, FIXED32),
]);

static STATUS: Message =
    fields(&[one("message", "message", 2, String), one("code", "code", 3, Kind::Enum(&STATUS_CODE))]);

static STATUS_CODE: Enum =
    Enum { name: "StatusCode", names: &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"] };

// ---- logs

static EXPORT_LOGS_SERVICE_REQUEST: Message =
    fields(&[many("resourceLogs", "resource_logs", 1, message(&RESOURCE_LOGS))]);

static RESOURCE_LOGS: Message = fields(&[
    one("resource", "resource", 1, message(&RESOURCE)),
    many("scopeLogs", "scope_logs", 2, message(&SCOPE_LOGS)),
    one("schemaUrl", "schema_url", 3, String),
]);

static SCOPE_LOGS: Message = fields(&[
    one("scope", "scope", 1, message(&INSTRUMENTATION_SCOPE)),
    many("logRecords", "log_records", 2, message(&LOG_RECORD)),
    one("schemaUrl", "schema_url", 3, String),
]);

static LOG_RECORD: Message = fields(&[
    one("timeUnixNano", "time_unix_nano", 1, FIXED64),
    one("observedTimeUnixNano", "observed_time_unix_nano", 11, FIXED64),
    one("severityNumber", "severity_number", 2, Kind::Enum(&SEVERITY_NUMBER)),
    one("severityText", "severity_text", 3, String),
    one("body", "body", 5, message(&ANY_VALUE)),
    many("attributes", "attributes", 6, message(&KEY_VALUE)),
    one("droppedAttributesCount", "dropped_attributes_count", 7, UINT32),
    one("flags", "flags", 8, FIXED32),
    one("traceId", "trace_id", 9, Id),
    one("spanId", "span_id", 10, Id),
    one("eventName", "event_name", 12, String),
]);

static SEVERITY_NUMBER: Enum = Enum {
    name: "SeverityNumber",
    names: &[
        "SEVERITY_NUMBER_UNSPECIFIED",
        "SEVERITY_NUMBER_TRACE",
        "SEVERITY_NUMBER_TRACE2",
        "SEVERITY_NUMBER_TRACE3",
        "SEVERITY_NUMBER_TRACE4",
        "SEVERITY_NUMBER_DEBUG",
        "SEVERITY_NUMBER_DEBUG2",
        "SEVERITY_NUMBER_DEBUG3",
        "SEVERITY_NUMBER_DEBUG4",
        "SEVERITY_NUMBER_INFO",
        "SEVERITY_NUMBER_INFO2",
        "SEVERITY_NUMBER_INFO3",
        "SEVERITY_NUMBER_INFO4",
        "SEVERITY_NUMBER_WARN",
        "SEVERITY_NUMBER_WARN2",
        "SEVERITY_NUMBER_WARN3",
        "SEVERITY_NUMBER_WARN4",
        "SEVERITY_NUMBER_ERROR",
        "SEVERITY_NUMBER_ERROR2",
        "SEVERITY_NUMBER_ERROR3",
        "SEVERITY_NUMBER_ERROR4",
        "SEVERITY_NUMBER_FATAL",
        "SEVERITY_NUMBER_FATAL2",
        "SEVERITY_NUMBER_FATAL3",
        "SEVERITY_NUMBER_FATAL4",
    ],
};

// ---- metrics

static EXPORT_METRICS_SERVICE_REQUEST: Message =
    fields(&[many("resourceMetrics", "resource_metrics", 1, message(&RESOURCE_METRICS))]);

static RESOURCE_METRICS: Message = fields(&[
    one("resource", "resource", 1, message(&RESOURCE)),
    many("scopeMetrics", "scope_metrics", 2, message(&SCOPE_METRICS)),
    one("schemaUrl", "schema_url", 3, String),
]);

static SCOPE_METRICS: Message = fields(&[
    one("scope", "scope", 1, message(&INSTRUMENTATION_SCOPE)),
    many("metrics", "metrics", 2, message(&METRIC)),
    one("schemaUrl", "schema_url", 3, String),
]);

static METRIC: Message = fields(&[
    one("name", "name", 1, String),
    one("description", "description", 2, String),
    one("unit", "unit", 3, String),
    one("gauge", "gauge", 5, message(&GAUGE)),
    one("sum", "sum", 7, message(&SUM)),
    one("histogram", "histogram", 9, message(&HISTOGRAM)),
    one("exponentialHistogram", "exponential_histogram", 10, message(&EXPONENTIAL_HISTOGRAM)),
    one("summary", "summary", 11, message(&SUMMARY)),
    many("metadata", "metadata", 12, message(&KEY_VALUE)),
]);

static AGGREGATION_TEMPORALITY: Enum = Enum {
    name: "AggregationTemporality",
    names: &[
        "AGGREGATION_TEMPORALITY_UNSPECIFIED",
        "AGGREGATION_TEMPORALITY_DELTA",
        "AGGREGATION_TEMPORALITY_CUMULATIVE",
    ],
};

static GAUGE: Message = fields(&[many("dataPoints", "data_points", 1, message(&NUMBER_DATA_POINT))]);

static SUM: Message = fields(&[
    many("dataPoints", "data_points", 1, message(&NUMBER_DATA_POINT)),
    one("aggregationTemporality", "aggregation_temporality", 2, Kind::Enum(&AGGREGATION_TEMPORALITY)),
    one("isMonotonic", "is_monotonic", 3, Bool),
]);

static HISTOGRAM: Message = fields(&[
    many("dataPoints", "data_points", 1, message(&HISTOGRAM_DATA_POINT)),
    one("aggregationTemporality", "aggregation_temporality", 2, Kind::Enum(&AGGREGATION_TEMPORALITY)),
]);

static EXPONENTIAL_HISTOGRAM: Message = fields(&[
    many("dataPoints", "data_points", 1, message(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
    one("aggregationTemporality", "aggregation_temporality", 2, Kind::Enum(&AGGREGATION_TEMPORALITY)),
]);

static SUMMARY: Message = fields(&[many("dataPoints", "data_points", 1, message(&SUMMARY_DATA_POINT))]);

static NUMBER_DATA_POINT: Message = fields(&[
    many("attributes", "attributes", 7, message(&KEY_VALUE)),
    one("startTimeUnixNano", "start_time_unix_nano", 2, FIXED64),
    one("timeUnixNano", "time_unix_nano", 3, FIXED64),
    one("asDouble", "as_double", 4, Double),
    one("asInt", "as_int", 6, SFIXED64),
    many("exemplars", "exemplars", 5, message(&EXEMPLAR)),
    one("flags", "flags", 8, UINT32),
]);

static HISTOGRAM_DATA_POINT: Message = fields(&[
    many("attributes", "attributes", 9, message(&KEY_VALUE)),
    one("startTimeUnixNano", "start_time_unix_nano", 2, FIXED64),
    one("timeUnixNano", "time_unix_nano", 3, FIXED64),
    one("count", "count", 4, FIXED64),
    one("sum", "sum", 5, Double),
    many("bucketCounts", "bucket_counts", 6, FIXED64),
    many("explicitBounds", "explicit_bounds", 7, Double),
    many("exemplars", "exemplars", 8, message(&EXEMPLAR)),
    one("flags", "flags", 10, UINT32),
    one("min", "min", 11, Double),
    one("max", "max", 12, Double),
]);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = fields(&[
    many("attributes", "attributes", 1, message(&KEY_VALUE)),
    one("startTimeUnixNano", "start_time_unix_nano", 2, FIXED64),
    one("timeUnixNano", "time_unix_nano", 3, FIXED64),
    one("count", "count", 4, FIXED64),
    one("sum", "sum", 5, Double),
    one("scale", "scale", 6, SINT32),
    one("zeroCount", "zero_count", 7, FIXED64),
    one("positive", "positive", 8, message(&BUCKETS)),
    one("negative", "negative", 9, message(&BUCKETS)),
    one("flags", "flags", 10, UINT32),
    many("exemplars", "exemplars", 11, message(&EXEMPLAR)),
    one("min", "min", 12, Double),
    one("max", "max", 13, Double),
    one("zeroThreshold", "zero_threshold", 14, Double),
]);

static BUCKETS: Message =
    fields(&[one("offset", "offset", 1, SINT32), many("bucketCounts", "bucket_counts", 2, UINT64)]);

static SUMMARY_DATA_POINT: Message = fields(&[
    many("attributes", "attributes", 7, message(&KEY_VALUE)),
    one("startTimeUnixNano", "start_time_unix_nano", 2, FIXED64),
    one("timeUnixNano", "time_unix_nano", 3, FIXED64),
    one("count", "count", 4, FIXED64),
    one("sum", "sum", 5, Double),
    many("quantileValues", "quantile_values", 6, message(&VALUE_AT_QUANTILE)),
    one("flags", "flags", 8, UINT32),
]);

static VALUE_AT_QUANTILE: Message = fields(&[one("quantile", "quantile", 1, Double), one("value", "value", 2, Double)]);

static EXEMPLAR: Message = fields(&[
    many("filteredAttributes", "filtered_attributes", 7, message(&KEY_VALUE)),
    one("timeUnixNano", "time_unix_nano", 2, FIXED64),
    one("asDouble", "as_double", 3, Double),
    one("asInt", "as_int", 6, SFIXED64),
    one("spanId", "span_id", 4, Id),
    one("traceId", "trace_id", 5, Id),
]);
