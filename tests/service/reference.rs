//! The rows that a request has to become, derived from its messages field by field: plain and slow.
//!
//! Every message is taken apart by an exhaustive pattern, so that a field which a new version of OTLP brings does not
//! compile until somebody says where it goes.

use super::rows::{Cell, Json, Row};
use base64::Engine as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// A request whose rows are known.
pub trait Rows {
    /// The rows that it has to become.
    fn rows(&self) -> Vec<Row>;
}

impl Rows for ExportTraceServiceRequest {
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for ResourceSpans { resource, scope_spans, schema_url } in &self.resource_spans {
            let common = of_resource(resource.as_ref(), schema_url);
            for ScopeSpans { scope, spans, schema_url } in scope_spans {
                let common = of_scope(&common, scope.as_ref(), schema_url);
                rows.extend(spans.iter().map(|span| of_span(common.clone(), resource.as_ref(), span)));
            }
        }
        rows
    }
}

impl Rows for ExportLogsServiceRequest {
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for ResourceLogs { resource, scope_logs, schema_url } in &self.resource_logs {
            let common = of_resource(resource.as_ref(), schema_url);
            for ScopeLogs { scope, log_records, schema_url } in scope_logs {
                let common = of_scope(&common, scope.as_ref(), schema_url);
                rows.extend(log_records.iter().map(|record| of_log(common.clone(), resource.as_ref(), record)));
            }
        }
        rows
    }
}

impl Rows for ExportMetricsServiceRequest {
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for ResourceMetrics { resource, scope_metrics, schema_url } in &self.resource_metrics {
            let common = of_resource(resource.as_ref(), schema_url);
            for ScopeMetrics { scope, metrics, schema_url } in scope_metrics {
                let common = of_scope(&common, scope.as_ref(), schema_url);
                for metric in metrics {
                    rows.extend(of_metric(&common, resource.as_ref(), metric));
                }
            }
        }
        rows
    }
}

// ---- what rows have in common

fn of_resource(resource: Option<&Resource>, schema_url: &str) -> Row {
    let empty = Resource::default();
    // The references to entities are not stored: they only point at attributes, which are, and are not stable in OTLP.
    let Resource { attributes, dropped_attributes_count, entity_refs: _ } = resource.unwrap_or(&empty);
    let found = |key| match find(attributes, key) {
        Some(Value::StringValue(value)) => text(value),
        _ => Cell::Null,
    };
    let environment = match found("deployment.environment.name") {
        Cell::Null => found("deployment.environment"),
        name => name,
    };
    row([
        ("service_name", found("service.name")),
        ("service_namespace", found("service.namespace")),
        ("service_version", found("service.version")),
        ("service_instance_id", found("service.instance.id")),
        ("environment", environment),
        ("resource_attributes", attributes_cell(attributes)),
        ("resource_dropped_attributes_count", int(*dropped_attributes_count)),
        ("resource_schema_url", text(schema_url)),
    ])
}

fn of_scope(common: &Row, scope: Option<&InstrumentationScope>, schema_url: &str) -> Row {
    let empty = InstrumentationScope::default();
    let InstrumentationScope { name, version, attributes, dropped_attributes_count } = scope.unwrap_or(&empty);
    let mut all = common.clone();
    all.append(&mut row([
        ("scope_name", text(name)),
        ("scope_version", text(version)),
        ("scope_attributes", attributes_cell(attributes)),
        ("scope_dropped_attributes_count", int(*dropped_attributes_count)),
        ("schema_url", text(schema_url)),
    ]));
    all
}

/// The attributes that have columns of their own by default, those of text.
const PROMOTED_TEXTS: [&str; 12] = [
    "http.request.method",
    "http.route",
    "url.path",
    "server.address",
    "error.type",
    "db.system.name",
    "rpc.service",
    "messaging.system",
    "exception.type",
    "k8s.namespace.name",
    "k8s.pod.name",
    "host.name",
];

/// The attributes that have columns of their own, taken from the record or else from its resource.
fn promoted(resource: Option<&Resource>, own: &[KeyValue]) -> Row {
    let shared = resource.map_or(&[][..], |resource| &resource.attributes);
    let first = |key: &str| {
        let has = |attributes: &[KeyValue]| attributes.iter().any(|pair| pair.key == key);
        find(if has(own) { own } else { shared }, key).cloned()
    };
    let of_text = |key: &&str| match first(key) {
        Some(Value::StringValue(value)) => (key.replace('.', "_"), text(&value)),
        _ => (key.replace('.', "_"), Cell::Null),
    };
    let mut promoted: Row = PROMOTED_TEXTS.iter().map(of_text).collect();
    let status = match first("http.response.status_code") {
        Some(Value::IntValue(value)) => i32::try_from(value).map_or(Cell::Null, int),
        _ => Cell::Null,
    };
    promoted.insert("http_response_status_code".into(), status);
    promoted
}

// ---- spans

fn of_span(mut common: Row, resource: Option<&Resource>, span: &Span) -> Row {
    let Span {
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
    } = span;
    let Status { message, code } = status.clone().unwrap_or_default();
    common.append(&mut promoted(resource, attributes));
    common.append(&mut row([
        ("time", time(*start_time_unix_nano)),
        ("trace_id", id(trace_id, 16)),
        ("span_id", id(span_id, 8)),
        ("parent_span_id", id(parent_span_id, 8)),
        ("trace_state", text(trace_state)),
        ("name", text(name)),
        ("kind", of_enum(*kind, &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"])),
        ("end_time", time(*end_time_unix_nano)),
        ("duration_ns", int(end_time_unix_nano.wrapping_sub(*start_time_unix_nano).cast_signed())),
        ("status_code", of_enum(code, &["UNSET", "OK", "ERROR"])),
        ("status_message", text(&message)),
        ("adjusted_count", double(adjusted_count(trace_state))),
        ("events", Cell::List(events.iter().map(of_event).collect())),
        ("dropped_events_count", int(*dropped_events_count)),
        ("links", Cell::List(links.iter().map(of_link).collect())),
        ("dropped_links_count", int(*dropped_links_count)),
        ("attributes", attributes_cell(attributes)),
        ("dropped_attributes_count", int(*dropped_attributes_count)),
        ("flags", int(*flags)),
    ]));
    common
}

fn of_event(event: &Event) -> Cell {
    let Event { time_unix_nano, name, attributes, dropped_attributes_count } = event;
    Cell::Struct(row([
        ("time", time(*time_unix_nano)),
        ("name", text(name)),
        ("attributes", attributes_cell(attributes)),
        ("dropped_attributes_count", int(*dropped_attributes_count)),
    ]))
}

fn of_link(link: &Link) -> Cell {
    let Link { trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags } = link;
    Cell::Struct(row([
        ("trace_id", id(trace_id, 16)),
        ("span_id", id(span_id, 8)),
        ("trace_state", text(trace_state)),
        ("attributes", attributes_cell(attributes)),
        ("dropped_attributes_count", int(*dropped_attributes_count)),
        ("flags", int(*flags)),
    ]))
}

/// How many spans one with this tracestate stands for, by its OpenTelemetry threshold.
fn adjusted_count(trace_state: &str) -> f64 {
    let entry = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="));
    let threshold = entry.and_then(|entry| entry.split(';').find_map(|pair| pair.strip_prefix("th:")));
    match threshold.map(|hex| (hex.len(), u64::from_str_radix(hex, 16))) {
        Some((length @ 1..=14, Ok(number))) => {
            let whole = 2_f64.powi(56);
            whole / (whole - (number << (4 * (14 - length))) as f64)
        }
        _ => 1.0,
    }
}

// ---- logs

fn of_log(mut common: Row, resource: Option<&Resource>, record: &LogRecord) -> Row {
    let LogRecord {
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
    } = record;
    let when = if *time_unix_nano == 0 { *observed_time_unix_nano } else { *time_unix_nano };
    let (body, body_type) = of_body(body.as_ref().and_then(|body| body.value.as_ref()));
    common.append(&mut promoted(resource, attributes));
    common.append(&mut row([
        ("time", time(when)),
        ("observed_time", time_if_said(*observed_time_unix_nano)),
        ("severity_number", int(*severity_number)),
        ("severity_text", text(severity_text)),
        ("event_name", text(event_name)),
        ("body", body),
        ("body_type", body_type),
        ("trace_id", id(trace_id, 16)),
        ("span_id", id(span_id, 8)),
        ("attributes", attributes_cell(attributes)),
        ("dropped_attributes_count", int(*dropped_attributes_count)),
        ("flags", int(*flags)),
    ]));
    common
}

fn of_body(body: Option<&Value>) -> (Cell, Cell) {
    let kind = match body {
        None => return (Cell::Null, Cell::Null),
        Some(Value::StringValue(value)) => return (text(value), text("text")),
        Some(Value::BoolValue(_)) => "bool",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        Some(Value::BytesValue(_)) => "bytes",
        Some(Value::ArrayValue(_)) => "array",
        Some(Value::KvlistValue(_)) => "map",
        Some(Value::StringValueStrindex(_)) => panic!("belongs to profiles"),
    };
    (Cell::Json(json(body)), text(kind))
}

// ---- metrics

fn of_metric(common: &Row, resource: Option<&Resource>, metric: &Metric) -> Vec<Row> {
    let Metric { name, description, unit, data, metadata } = metric;
    let (kind, temporality, monotonic, points) = match data {
        None => return Vec::new(),
        Some(metric::Data::Gauge(Gauge { data_points })) => {
            ("gauge", Cell::Null, Cell::Null, data_points.iter().map(of_number).collect::<Vec<_>>())
        }
        Some(metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })) => {
            let points = data_points.iter().map(of_number).collect();
            ("sum", temporality(*aggregation_temporality), Cell::Bool(*is_monotonic), points)
        }
        Some(metric::Data::Histogram(Histogram { data_points, aggregation_temporality })) => {
            let points = data_points.iter().map(of_histogram).collect();
            ("histogram", temporality(*aggregation_temporality), Cell::Null, points)
        }
        Some(metric::Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })) => {
            let points = data_points.iter().map(of_exponential).collect();
            ("exponential_histogram", temporality(*aggregation_temporality), Cell::Null, points)
        }
        Some(metric::Data::Summary(Summary { data_points })) => {
            ("summary", Cell::Null, Cell::Null, data_points.iter().map(of_summary).collect())
        }
    };
    let whole = |(attributes, mut point): (&Vec<KeyValue>, Row)| {
        let mut all: Row = POINT_ONLY.iter().map(|name| ((*name).to_owned(), Cell::Null)).collect();
        all.append(&mut common.clone());
        all.append(&mut promoted(resource, attributes));
        all.append(&mut row([
            ("name", text(name)),
            ("description", text(description)),
            ("unit", text(unit)),
            ("metadata", attributes_cell(metadata)),
            ("kind", text(kind)),
            ("temporality", temporality.clone()),
            ("monotonic", monotonic.clone()),
            ("attributes", attributes_cell(attributes)),
            ("exemplars", Cell::List(Vec::new())),
        ]));
        all.append(&mut point);
        all
    };
    points.into_iter().map(whole).collect()
}

/// The columns that points of some kinds only have.
const POINT_ONLY: [&str; 16] = [
    "value_double",
    "value_int",
    "count",
    "sum",
    "min",
    "max",
    "bounds",
    "bucket_counts",
    "scale",
    "zero_count",
    "zero_threshold",
    "positive_offset",
    "positive_bucket_counts",
    "negative_offset",
    "negative_bucket_counts",
    "quantiles",
];

fn temporality(number: i32) -> Cell {
    of_enum(number, &["unspecified", "delta", "cumulative"])
}

fn of_point(start: u64, at: u64, flags: u32) -> Row {
    row([
        ("time", time(at)),
        ("start_time", time_if_said(start)),
        ("flags", int(flags)),
        ("no_recorded_value", Cell::Bool(flags & 1 == 1)),
    ])
}

fn of_number(point: &NumberDataPoint) -> (&Vec<KeyValue>, Row) {
    let NumberDataPoint { attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value } = point;
    let mut all = of_point(*start_time_unix_nano, *time_unix_nano, *flags);
    match value {
        Some(number_data_point::Value::AsDouble(value)) => drop(all.insert("value_double".into(), double(*value))),
        Some(number_data_point::Value::AsInt(value)) => drop(all.insert("value_int".into(), int(*value))),
        None => {}
    }
    all.insert("exemplars".into(), of_exemplars(exemplars));
    (attributes, all)
}

fn of_histogram(point: &HistogramDataPoint) -> (&Vec<KeyValue>, Row) {
    let HistogramDataPoint {
        attributes,
        start_time_unix_nano,
        time_unix_nano,
        count,
        sum,
        bucket_counts,
        explicit_bounds,
        exemplars,
        flags,
        min,
        max,
    } = point;
    let mut all = of_point(*start_time_unix_nano, *time_unix_nano, *flags);
    all.append(&mut row([
        ("count", int(*count)),
        ("sum", maybe(*sum)),
        ("min", maybe(*min)),
        ("max", maybe(*max)),
        ("bounds", Cell::List(explicit_bounds.iter().map(|bound| double(*bound)).collect())),
        ("bucket_counts", counts(bucket_counts)),
        ("exemplars", of_exemplars(exemplars)),
    ]));
    (attributes, all)
}

fn of_exponential(point: &ExponentialHistogramDataPoint) -> (&Vec<KeyValue>, Row) {
    let ExponentialHistogramDataPoint {
        attributes,
        start_time_unix_nano,
        time_unix_nano,
        count,
        sum,
        scale,
        zero_count,
        positive,
        negative,
        flags,
        exemplars,
        min,
        max,
        zero_threshold,
    } = point;
    let buckets = |buckets: &Option<Buckets>| match buckets {
        Some(Buckets { offset, bucket_counts }) => (int(*offset), counts(bucket_counts)),
        None => (Cell::Null, Cell::Null),
    };
    let ((positive_offset, positive_counts), (negative_offset, negative_counts)) =
        (buckets(positive), buckets(negative));
    let mut all = of_point(*start_time_unix_nano, *time_unix_nano, *flags);
    all.append(&mut row([
        ("count", int(*count)),
        ("sum", maybe(*sum)),
        ("min", maybe(*min)),
        ("max", maybe(*max)),
        ("scale", int(*scale)),
        ("zero_count", int(*zero_count)),
        ("zero_threshold", double(*zero_threshold)),
        ("positive_offset", positive_offset),
        ("positive_bucket_counts", positive_counts),
        ("negative_offset", negative_offset),
        ("negative_bucket_counts", negative_counts),
        ("exemplars", of_exemplars(exemplars)),
    ]));
    (attributes, all)
}

fn of_summary(point: &SummaryDataPoint) -> (&Vec<KeyValue>, Row) {
    let SummaryDataPoint { attributes, start_time_unix_nano, time_unix_nano, count, sum, quantile_values, flags } =
        point;
    let quantile = |ValueAtQuantile { quantile, value }: &ValueAtQuantile| {
        Cell::Struct(row([("quantile", double(*quantile)), ("value", double(*value))]))
    };
    let mut all = of_point(*start_time_unix_nano, *time_unix_nano, *flags);
    all.append(&mut row([
        ("count", int(*count)),
        ("sum", double(*sum)),
        ("quantiles", Cell::List(quantile_values.iter().map(quantile).collect())),
    ]));
    (attributes, all)
}

fn of_exemplars(exemplars: &[Exemplar]) -> Cell {
    let of_one = |exemplar: &Exemplar| {
        let Exemplar { filtered_attributes, time_unix_nano, span_id, trace_id, value } = exemplar;
        let (value_double, value_int) = match value {
            Some(exemplar::Value::AsDouble(value)) => (double(*value), Cell::Null),
            Some(exemplar::Value::AsInt(value)) => (Cell::Null, int(*value)),
            None => (Cell::Null, Cell::Null),
        };
        Cell::Struct(row([
            ("time", time(*time_unix_nano)),
            ("value_double", value_double),
            ("value_int", value_int),
            ("trace_id", id(trace_id, 16)),
            ("span_id", id(span_id, 8)),
            ("attributes", attributes_cell(filtered_attributes)),
        ]))
    };
    Cell::List(exemplars.iter().map(of_one).collect())
}

// ---- values

fn row<const N: usize>(cells: [(&str, Cell); N]) -> Row {
    cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect()
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn int(value: impl Into<i128>) -> Cell {
    Cell::Int(value.into())
}

fn double(value: f64) -> Cell {
    Cell::Double(value.to_bits())
}

fn maybe(value: Option<f64>) -> Cell {
    value.map_or(Cell::Null, double)
}

/// The 64 bits of the wire as they are.
fn time(nanoseconds: u64) -> Cell {
    Cell::Time(nanoseconds.cast_signed())
}

fn time_if_said(nanoseconds: u64) -> Cell {
    if nanoseconds == 0 { Cell::Null } else { time(nanoseconds) }
}

fn id(bytes: &[u8], length: usize) -> Cell {
    let valid = bytes.len() == length && bytes.iter().any(|byte| *byte != 0);
    if valid { Cell::Bytes(bytes.to_vec()) } else { Cell::Null }
}

/// The name of a number, or the number where it has none.
fn of_enum(number: i32, names: &[&str]) -> Cell {
    let name = usize::try_from(number).ok().and_then(|number| names.get(number));
    name.map_or_else(|| text(&number.to_string()), |name| text(name))
}

fn counts(counts: &[u64]) -> Cell {
    Cell::List(counts.iter().map(|count| int(*count)).collect())
}

/// The first value under a key.
fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()
}

fn attributes_cell(attributes: &[KeyValue]) -> Cell {
    Cell::Json(object(attributes))
}

fn object(pairs: &[KeyValue]) -> Json {
    let of_pair = |KeyValue { key, value, key_strindex: _ }: &KeyValue| (key.clone(), json_of(value.as_ref()));
    Json::Object(pairs.iter().map(of_pair).collect())
}

fn json_of(value: Option<&AnyValue>) -> Json {
    json(value.and_then(|value| value.value.as_ref()))
}

fn json(value: Option<&Value>) -> Json {
    match value {
        None => Json::Null,
        Some(Value::StringValue(value)) => Json::Text(value.clone()),
        Some(Value::BoolValue(value)) => Json::Bool(*value),
        Some(Value::IntValue(value)) => Json::Int((*value).into()),
        Some(Value::DoubleValue(value)) if value.is_nan() => Json::Text("NaN".into()),
        Some(Value::DoubleValue(value)) if value.is_infinite() => {
            Json::Text(if *value > 0.0 { "Infinity" } else { "-Infinity" }.into())
        }
        Some(Value::DoubleValue(value)) => Json::Double(value.to_bits()),
        Some(Value::BytesValue(value)) => {
            let base64 = base64::engine::general_purpose::STANDARD.encode(value);
            Json::Object(vec![("bytes".into(), Json::Text(base64))])
        }
        Some(Value::ArrayValue(array)) => Json::Array(array.values.iter().map(|value| json_of(Some(value))).collect()),
        Some(Value::KvlistValue(list)) => object(&list.values),
        Some(Value::StringValueStrindex(_)) => panic!("belongs to profiles"),
    }
}
