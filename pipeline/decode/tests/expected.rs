//! What the rows of a batch must be, from prost's messages.

use super::show::double;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric, exemplar, metric::Data, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

/// The cells of a row, by the names of their columns.
pub(crate) type Row = Vec<(String, String)>;

fn put(row: &mut Row, name: &str, cell: impl Into<String>) {
    row.push((name.to_owned(), cell.into()));
}

fn any(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => "null".to_owned(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => format!("i{value}"),
        Some(Value::DoubleValue(value)) => double(*value),
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::BytesValue(bytes)) => format!("b{bytes:?}"),
        Some(Value::ArrayValue(list)) => {
            format!("[{}]", list.values.iter().map(|value| any(Some(value))).collect::<Vec<_>>().join(" "))
        }
        Some(Value::KvlistValue(list)) => map(&list.values),
    }
}

fn map(entries: &[KeyValue]) -> String {
    let entries = entries.iter().map(|entry| format!("{:?}:{}", entry.key, any(entry.value.as_ref())));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
}

fn time(time: u64) -> String {
    format!("@{}", time as i64)
}

fn some_time(at: u64) -> String {
    if at == 0 { "null".to_owned() } else { time(at) }
}

fn id(id: &[u8], length: usize) -> String {
    if id.len() == length && id.iter().any(|&byte| byte != 0) { format!("b{id:?}") } else { "null".to_owned() }
}

fn text(text: &str) -> String {
    format!("{text:?}")
}

fn or_null<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "null".to_owned(), show)
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
}

fn named(number: i32, names: &[&str]) -> String {
    usize::try_from(number).ok().and_then(|at| names.get(at)).map_or_else(|| text(&number.to_string()), |n| text(n))
}

fn common(
    at: u64,
    resource: Option<&Resource>,
    url: &str,
    scope: Option<&InstrumentationScope>,
    scope_url: &str,
) -> Row {
    let (resource, scope) = (resource.cloned().unwrap_or_default(), scope.cloned().unwrap_or_default());
    let attribute = |names: &[&str]| {
        let text_of = |name: &&str| match &resource.attributes.iter().find(|entry| entry.key == **name)?.value {
            Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(format!("{text:?}")),
            _ => None,
        };
        names.iter().find_map(text_of).unwrap_or_else(|| "null".to_owned())
    };
    let mut row = Row::new();
    put(&mut row, "time", time(at));
    put(&mut row, "service_name", attribute(&["service.name"]));
    put(&mut row, "service_namespace", attribute(&["service.namespace"]));
    put(&mut row, "service_version", attribute(&["service.version"]));
    put(&mut row, "service_instance_id", attribute(&["service.instance.id"]));
    put(&mut row, "environment", attribute(&["deployment.environment.name", "deployment.environment"]));
    put(&mut row, "resource_attributes", map(&resource.attributes));
    put(&mut row, "resource_dropped_attributes_count", format!("u{}", resource.dropped_attributes_count));
    put(&mut row, "resource_schema_url", text(url));
    put(&mut row, "scope_name", text(&scope.name));
    put(&mut row, "scope_version", text(&scope.version));
    put(&mut row, "scope_attributes", map(&scope.attributes));
    put(&mut row, "scope_dropped_attributes_count", format!("u{}", scope.dropped_attributes_count));
    put(&mut row, "schema_url", text(scope_url));
    row
}

pub(crate) fn spans(request: &ExportTraceServiceRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let start = span.start_time_unix_nano;
                let (url, scope_url) = (&resource.schema_url, &scope.schema_url);
                let mut row = common(start, resource.resource.as_ref(), url, scope.scope.as_ref(), scope_url);
                span_cells(&mut row, span);
                rows.push(row);
            }
        }
    }
    rows
}

fn span_cells(row: &mut Row, span: &Span) {
    put(row, "trace_id", id(&span.trace_id, 16));
    put(row, "span_id", id(&span.span_id, 8));
    put(row, "parent_span_id", id(&span.parent_span_id, 8));
    put(row, "trace_state", text(&span.trace_state));
    put(row, "name", text(&span.name));
    put(row, "kind", named(span.kind, &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]));
    put(row, "end_time", time(span.end_time_unix_nano));
    put(row, "duration_ns", format!("i{}", span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano) as i64));
    let status = span.status.clone().unwrap_or_default();
    put(row, "status_code", named(status.code, &["UNSET", "OK", "ERROR"]));
    put(row, "status_message", text(&status.message));
    put(row, "adjusted_count", double(1.0));
    let event = list(&span.events, |event| {
        let (at, name) = (time(event.time_unix_nano), text(&event.name));
        let dropped = event.dropped_attributes_count;
        format!("(time={at} name={name} dropped_attributes_count=u{dropped} {})", map(&event.attributes))
    });
    put(row, "events", event);
    put(row, "dropped_events_count", format!("u{}", span.dropped_events_count));
    let links = list(&span.links, |link| {
        let (trace_id, span_id) = (id(&link.trace_id, 16), id(&link.span_id, 8));
        let (state, dropped, flags) = (text(&link.trace_state), link.dropped_attributes_count, link.flags);
        let fields = format!("trace_id={trace_id} span_id={span_id} trace_state={state}");
        format!("({fields} dropped_attributes_count=u{dropped} flags=u{flags} {})", map(&link.attributes))
    });
    put(row, "links", links);
    put(row, "dropped_links_count", format!("u{}", span.dropped_links_count));
    put(row, "attributes", map(&span.attributes));
    put(row, "dropped_attributes_count", format!("u{}", span.dropped_attributes_count));
    put(row, "flags", format!("u{}", span.flags));
}

pub(crate) fn logs(request: &ExportLogsServiceRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    for resource in &request.resource_logs {
        for scope in &resource.scope_logs {
            for record in &scope.log_records {
                let observed = record.observed_time_unix_nano;
                let at = if record.time_unix_nano == 0 { observed } else { record.time_unix_nano };
                let (url, scope_url) = (&resource.schema_url, &scope.schema_url);
                let mut row = common(at, resource.resource.as_ref(), url, scope.scope.as_ref(), scope_url);
                put(&mut row, "observed_time", some_time(observed));
                put(&mut row, "severity_number", format!("i{}", record.severity_number));
                put(&mut row, "severity_text", text(&record.severity_text));
                put(&mut row, "event_name", text(&record.event_name));
                put(&mut row, "body", any(record.body.as_ref()));
                put(&mut row, "trace_id", id(&record.trace_id, 16));
                put(&mut row, "span_id", id(&record.span_id, 8));
                put(&mut row, "attributes", map(&record.attributes));
                put(&mut row, "dropped_attributes_count", format!("u{}", record.dropped_attributes_count));
                put(&mut row, "flags", format!("u{}", record.flags));
                rows.push(row);
            }
        }
    }
    rows
}

pub(crate) fn metrics(request: &ExportMetricsServiceRequest) -> Vec<Row> {
    let mut rows = Vec::new();
    for resource in &request.resource_metrics {
        for scope in &resource.scope_metrics {
            for metric in &scope.metrics {
                for point in points(metric) {
                    let (url, scope_url) = (&resource.schema_url, &scope.schema_url);
                    let time = point.time;
                    let mut row = common(time, resource.resource.as_ref(), url, scope.scope.as_ref(), scope_url);
                    point_cells(&mut row, metric, &point);
                    rows.push(row);
                }
            }
        }
    }
    rows
}

/// The fields of all kinds of points, shown.
#[derive(Default)]
struct Point {
    kind: &'static str,
    temporality: Option<i32>,
    monotonic: Option<bool>,
    start: u64,
    time: u64,
    value_double: Option<f64>,
    value_int: Option<i64>,
    count: Option<u64>,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    bounds: Option<String>,
    bucket_counts: Option<String>,
    scale: Option<i32>,
    zero_count: Option<u64>,
    zero_threshold: Option<f64>,
    positive: Option<Buckets>,
    negative: Option<Buckets>,
    quantiles: Option<String>,
    exemplars: Vec<Exemplar>,
    attributes: Vec<KeyValue>,
    flags: u32,
}

fn counts(counts: &[u64]) -> String {
    list(counts, |count| format!("u{count}"))
}

fn points(metric: &Metric) -> Vec<Point> {
    let mut points = Vec::new();
    let (numbers, kind, temporality, monotonic) = match &metric.data {
        Some(Data::Gauge(gauge)) => (&gauge.data_points[..], "gauge", None, None),
        Some(Data::Sum(sum)) => {
            (&sum.data_points[..], "sum", Some(sum.aggregation_temporality), Some(sum.is_monotonic))
        }
        _ => (&[][..], "", None, None),
    };
    for p in numbers {
        let (value_double, value_int) = match p.value {
            Some(number_data_point::Value::AsDouble(value)) => (Some(value), None),
            Some(number_data_point::Value::AsInt(value)) => (None, Some(value)),
            None => (None, None),
        };
        let (start, time) = (p.start_time_unix_nano, p.time_unix_nano);
        let (exemplars, attributes, flags) = (p.exemplars.clone(), p.attributes.clone(), p.flags);
        let mut point =
            Point { kind, temporality, monotonic, start, time, value_double, value_int, ..Point::default() };
        (point.exemplars, point.attributes, point.flags) = (exemplars, attributes, flags);
        points.push(point);
    }
    match &metric.data {
        Some(Data::Histogram(data)) => points.extend(data.data_points.iter().map(|p| Point {
            kind: "histogram",
            temporality: Some(data.aggregation_temporality),
            start: p.start_time_unix_nano,
            time: p.time_unix_nano,
            count: Some(p.count),
            sum: p.sum,
            min: p.min,
            max: p.max,
            bounds: Some(list(&p.explicit_bounds, |bound| double(*bound))),
            bucket_counts: Some(counts(&p.bucket_counts)),
            exemplars: p.exemplars.clone(),
            attributes: p.attributes.clone(),
            flags: p.flags,
            ..Point::default()
        })),
        Some(Data::ExponentialHistogram(data)) => points.extend(data.data_points.iter().map(|p| Point {
            kind: "exponential_histogram",
            temporality: Some(data.aggregation_temporality),
            start: p.start_time_unix_nano,
            time: p.time_unix_nano,
            count: Some(p.count),
            sum: p.sum,
            min: p.min,
            max: p.max,
            scale: Some(p.scale),
            zero_count: Some(p.zero_count),
            zero_threshold: Some(p.zero_threshold),
            positive: p.positive.clone(),
            negative: p.negative.clone(),
            exemplars: p.exemplars.clone(),
            attributes: p.attributes.clone(),
            flags: p.flags,
            ..Point::default()
        })),
        Some(Data::Summary(data)) => points.extend(data.data_points.iter().map(|p| Point {
            kind: "summary",
            start: p.start_time_unix_nano,
            time: p.time_unix_nano,
            count: Some(p.count),
            sum: Some(p.sum),
            quantiles: Some(list(&p.quantile_values, |q| format!("({} {})", double(q.quantile), double(q.value)))),
            attributes: p.attributes.clone(),
            flags: p.flags,
            ..Point::default()
        })),
        _ => {}
    }
    points
}

fn point_cells(row: &mut Row, metric: &Metric, point: &Point) {
    put(row, "name", text(&metric.name));
    put(row, "description", text(&metric.description));
    put(row, "unit", text(&metric.unit));
    put(row, "metadata", map(&metric.metadata));
    put(row, "kind", text(point.kind));
    put(row, "temporality", or_null(point.temporality, |value| named(value, &["unspecified", "delta", "cumulative"])));
    put(row, "monotonic", or_null(point.monotonic, |value| value.to_string()));
    put(row, "start_time", some_time(point.start));
    put(row, "value_double", or_null(point.value_double, double));
    put(row, "value_int", or_null(point.value_int, |value| format!("i{value}")));
    put(row, "count", or_null(point.count, |value| format!("u{value}")));
    put(row, "sum", or_null(point.sum, double));
    put(row, "min", or_null(point.min, double));
    put(row, "max", or_null(point.max, double));
    put(row, "bounds", or_null(point.bounds.clone(), |list| list));
    put(row, "bucket_counts", or_null(point.bucket_counts.clone(), |list| list));
    put(row, "scale", or_null(point.scale, |value| format!("i{value}")));
    put(row, "zero_count", or_null(point.zero_count, |value| format!("u{value}")));
    put(row, "zero_threshold", or_null(point.zero_threshold, double));
    for (name, buckets) in [("positive", &point.positive), ("negative", &point.negative)] {
        let buckets = buckets.as_ref();
        put(row, &format!("{name}_offset"), or_null(buckets, |buckets| format!("i{}", buckets.offset)));
        put(row, &format!("{name}_bucket_counts"), or_null(buckets, |buckets| counts(&buckets.bucket_counts)));
    }
    put(row, "quantiles", or_null(point.quantiles.clone(), |list| list));
    put(row, "exemplars", list(&point.exemplars, exemplar));
    put(row, "no_recorded_value", (point.flags & 1 == 1).to_string());
    put(row, "attributes", map(&point.attributes));
    put(row, "flags", format!("u{}", point.flags));
}

fn exemplar(exemplar: &Exemplar) -> String {
    let (value_double, value_int) = match exemplar.value {
        Some(exemplar::Value::AsDouble(value)) => (double(value), "null".to_owned()),
        Some(exemplar::Value::AsInt(value)) => ("null".to_owned(), format!("i{value}")),
        None => ("null".to_owned(), "null".to_owned()),
    };
    let (trace_id, span_id) = (id(&exemplar.trace_id, 16), id(&exemplar.span_id, 8));
    let fields = format!("time={} value_double={value_double} value_int={value_int}", time(exemplar.time_unix_nano));
    format!("({fields} trace_id={trace_id} span_id={span_id} {})", map(&exemplar.filtered_attributes))
}
