//! Strategies that generate OTLP messages, odd ones included: empty and duplicate keys, values without a value, NaN and
//! infinities, extreme integers and times, ids of the wrong length, enum numbers that nobody has defined, data points
//! without a number.
//!
//! Unit tests include this file by `#[path]`, integration tests by `mod`. Three things a generated message never has:
//! a NaN with a payload (JSON cannot carry it), the `…_strindex` fields (they belong to profiles), and values nested deeper
//! than [`VALUE_LEVELS`]. Compare messages by their encoded bytes: a NaN is not equal to itself.

#![allow(dead_code, missing_docs, unreachable_pub)] // every includer uses its own part of it

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
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
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The deepest nesting of a generated value: a plain value is at level 1.
pub const VALUE_LEVELS: u32 = 7;

// ---- requests

/// A request of traces.
pub fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    vec(resource_spans(), 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// A request of logs.
pub fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    vec(resource_logs(), 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// A request of metrics.
pub fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    vec(resource_metrics(), 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let scopes = (option::of(scope()), vec(span(), 0..4), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    });
    (option::of(resource()), vec(scopes, 0..3), text()).prop_map(|(resource, scope_spans, schema_url)| ResourceSpans {
        resource,
        scope_spans,
        schema_url,
    })
}

fn resource_logs() -> impl Strategy<Value = ResourceLogs> {
    let scopes = (option::of(scope()), vec(log_record(), 0..4), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    (option::of(resource()), vec(scopes, 0..3), text()).prop_map(|(resource, scope_logs, schema_url)| ResourceLogs {
        resource,
        scope_logs,
        schema_url,
    })
}

fn resource_metrics() -> impl Strategy<Value = ResourceMetrics> {
    let scopes = (option::of(scope()), vec(metric(), 0..4), text())
        .prop_map(|(scope, metrics, schema_url)| ScopeMetrics { scope, metrics, schema_url });
    (option::of(resource()), vec(scopes, 0..3), text())
        .prop_map(|(resource, scope_metrics, schema_url)| ResourceMetrics { resource, scope_metrics, schema_url })
}

/// A resource.
pub fn resource() -> impl Strategy<Value = Resource> {
    (attributes(), count(), vec(entity_ref(), 0..2)).prop_map(|(attributes, dropped_attributes_count, entity_refs)| {
        Resource { attributes, dropped_attributes_count, entity_refs }
    })
}

fn entity_ref() -> impl Strategy<Value = EntityRef> {
    (text(), text(), vec(key(), 0..3), vec(key(), 0..3)).prop_map(|(schema_url, r#type, id_keys, description_keys)| {
        EntityRef { schema_url, r#type, id_keys, description_keys }
    })
}

/// An instrumentation scope.
pub fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), attributes(), count()).prop_map(|(name, version, attributes, dropped_attributes_count)| {
        InstrumentationScope { name, version, attributes, dropped_attributes_count }
    })
}

// ---- rows

/// A span.
pub fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), text(), id(8), count());
    let what = (text(), number_of_enum(), time(), time(), attributes(), count());
    let children = (vec(event(), 0..3), count(), vec(link(), 0..3), count(), option::of(status()));
    (ids, what, children).prop_map(|(ids, what, children)| {
        let (trace_id, span_id, trace_state, parent_span_id, flags) = ids;
        let (name, kind, start_time_unix_nano, end_time_unix_nano, attributes, dropped_attributes_count) = what;
        let (events, dropped_events_count, links, dropped_links_count, status) = children;
        Span {
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
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    (time(), text(), attributes(), count()).prop_map(|(time_unix_nano, name, attributes, dropped_attributes_count)| {
        Event { time_unix_nano, name, attributes, dropped_attributes_count }
    })
}

fn link() -> impl Strategy<Value = Link> {
    (id(16), id(8), text(), attributes(), count(), count()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    (text(), number_of_enum()).prop_map(|(message, code)| Status { message, code })
}

/// A log record.
pub fn log_record() -> impl Strategy<Value = LogRecord> {
    let when = (time(), time(), number_of_enum(), text());
    let what = (option::of(value()), attributes(), count(), count(), id(16), id(8), text());
    (when, what).prop_map(|(when, what)| {
        let (time_unix_nano, observed_time_unix_nano, severity_number, severity_text) = when;
        let (body, attributes, dropped_attributes_count, flags, trace_id, span_id, event_name) = what;
        LogRecord {
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
        }
    })
}

/// A metric of one of the five kinds, or of none.
pub fn metric() -> impl Strategy<Value = Metric> {
    (text(), text(), text(), option::weighted(0.95, data()), attributes())
        .prop_map(|(name, description, unit, data, metadata)| Metric { name, description, unit, data, metadata })
}

fn data() -> impl Strategy<Value = metric::Data> {
    prop_oneof![
        vec(number_point(), 0..4).prop_map(|data_points| metric::Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..4), number_of_enum(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| metric::Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic
            })
        ),
        (vec(histogram_point(), 0..4), number_of_enum()).prop_map(|(data_points, aggregation_temporality)| {
            metric::Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (vec(exponential_point(), 0..4), number_of_enum()).prop_map(|(data_points, aggregation_temporality)| {
            metric::Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        }),
        vec(summary_point(), 0..4).prop_map(|data_points| metric::Data::Summary(Summary { data_points })),
    ]
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    let number = prop_oneof![
        double().prop_map(number_data_point::Value::AsDouble),
        int64().prop_map(number_data_point::Value::AsInt)
    ];
    (attributes(), time(), time(), vec(exemplar(), 0..2), count(), option::weighted(0.9, number)).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value)| NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            exemplars,
            flags,
            value,
        },
    )
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let head = (attributes(), time(), time(), uint64(), option::of(double()));
    let tail = (
        vec(uint64(), 0..5),
        vec(double(), 0..5),
        vec(exemplar(), 0..2),
        count(),
        option::of(double()),
        option::of(double()),
    );
    (head, tail).prop_map(|(head, tail)| {
        let (attributes, start_time_unix_nano, time_unix_nano, count, sum) = head;
        let (bucket_counts, explicit_bounds, exemplars, flags, min, max) = tail;
        HistogramDataPoint {
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
        }
    })
}

fn exponential_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let head = (attributes(), time(), time(), uint64(), option::of(double()), int32(), uint64());
    let tail = (
        option::of(buckets()),
        option::of(buckets()),
        count(),
        vec(exemplar(), 0..2),
        option::of(double()),
        option::of(double()),
        double(),
    );
    (head, tail).prop_map(|(head, tail)| {
        let (attributes, start_time_unix_nano, time_unix_nano, count, sum, scale, zero_count) = head;
        let (positive, negative, flags, exemplars, min, max, zero_threshold) = tail;
        ExponentialHistogramDataPoint {
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
        }
    })
}

fn buckets() -> impl Strategy<Value = Buckets> {
    (int32(), vec(uint64(), 0..5)).prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts })
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile = (double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    (attributes(), time(), time(), uint64(), double(), vec(quantile, 0..3), count()).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, count, sum, quantile_values, flags)| SummaryDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            quantile_values,
            flags,
        },
    )
}

fn exemplar() -> impl Strategy<Value = Exemplar> {
    let number = prop_oneof![double().prop_map(exemplar::Value::AsDouble), int64().prop_map(exemplar::Value::AsInt)];
    (attributes(), time(), id(8), id(16), option::weighted(0.9, number)).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    )
}

// ---- attributes and values

/// Attributes: few keys, so that some of them are there twice; the empty key is one of them.
pub fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(key_value(value()), 0..4)
}

/// A value of any kind, nested up to [`VALUE_LEVELS`], which also may hold nothing.
pub fn value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        1 => Just(None),
        4 => text().prop_map(|text| Some(Value::StringValue(text))),
        2 => any::<bool>().prop_map(|bool| Some(Value::BoolValue(bool))),
        3 => int64().prop_map(|int| Some(Value::IntValue(int))),
        3 => double().prop_map(|double| Some(Value::DoubleValue(double))),
        2 => vec(any::<u8>(), 0..12).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(VALUE_LEVELS - 1, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(key_value(inner), 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (key(), option::weighted(0.9, value)).prop_map(|(key, value)| KeyValue { key, value, ..KeyValue::default() })
}

/// The key of an attribute.
pub fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just(String::new()),
        4 => prop::sample::select(vec!["service.name", "http.request.method", "a", "b", "A"]).prop_map(String::from),
        1 => text(),
    ]
}

// ---- scalars

/// Text: empty, plain, of any characters, and of those that JSON and Parquet readers stumble over.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(String::new()),
        4 => "[a-z./ -]{1,12}",
        1 => any::<String>(),
        1 => vec(prop::sample::select(vec!['\0', '"', '\\', '\n', '\u{7f}', '\u{2028}', '\u{feff}', '\u{fffd}', '😀']), 1..5)
            .prop_map(|characters| characters.into_iter().collect()),
    ]
}

/// An id that should have `length` bytes: right, absent, all zero, or of another length.
pub fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), length),
        2 => Just(Vec::new()),
        1 => Just(vec![0; length]),
        1 => vec(any::<u8>(), 1..20),
    ]
}

/// Nanoseconds since 1970: sensible, absent, beyond what a signed integer holds, anything.
pub fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 1_600_000_000_000_000_000_u64..1_900_000_000_000_000_000,
        1 => Just(0),
        1 => prop::sample::select(vec![1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX]),
        1 => any::<u64>(),
    ]
}

/// A double, NaN (without a payload), the infinities and both zeros included.
pub fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => -1e6_f64..1e6,
        2 => any::<u64>().prop_map(f64::from_bits),
        1 => (-1000_i32..1000).prop_map(f64::from),
        2 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 5e-324,
            f64::EPSILON, 0.1 + 0.2, 9_007_199_254_740_993.0, 1e22, 1e23,
        ]),
    ]
    .prop_map(|double: f64| if double.is_nan() { f64::NAN } else { double })
}

/// A signed 64-bit integer.
pub fn int64() -> impl Strategy<Value = i64> {
    prop_oneof![
        -100_i64..100,
        prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, (1 << 53) + 1, i64::MAX]),
        any::<i64>(),
    ]
}

/// An unsigned 64-bit integer.
pub fn uint64() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..100, prop::sample::select(vec![0, (1 << 53) + 1, i64::MAX as u64, u64::MAX]), any::<u64>()]
}

/// A signed 32-bit integer.
pub fn int32() -> impl Strategy<Value = i32> {
    prop_oneof![-20_i32..20, prop::sample::select(vec![i32::MIN, -1, 0, i32::MAX]), any::<i32>()]
}

/// A count or a set of flags.
pub fn count() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0_u32), 2 => 0_u32..0x400, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

/// The number of an enum: mostly a defined one, sometimes one that nobody has defined.
pub fn number_of_enum() -> impl Strategy<Value = i32> {
    prop_oneof![6 => 0_i32..4, 2 => 4_i32..26, 1 => prop::sample::select(vec![-1, i32::MIN, i32::MAX]), 1 => any::<i32>()]
}
