//! Metrics as JSON.

use super::{AsJson, Object, Style, double, integer, wide};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
    exemplar, metric, number_data_point,
};

impl AsJson for ExportMetricsServiceRequest {
    fn as_json(&self, style: Style) -> String {
        let Self { resource_metrics } = self;
        Object::new(style).messages("resourceMetrics", resource_metrics).end()
    }
}

impl AsJson for ResourceMetrics {
    fn as_json(&self, style: Style) -> String {
        let Self { resource, scope_metrics, schema_url } = self;
        Object::new(style)
            .message("resource", resource.as_ref())
            .messages("scopeMetrics", scope_metrics)
            .text("schemaUrl", schema_url)
            .end()
    }
}

impl AsJson for ScopeMetrics {
    fn as_json(&self, style: Style) -> String {
        let Self { scope, metrics, schema_url } = self;
        Object::new(style)
            .message("scope", scope.as_ref())
            .messages("metrics", metrics)
            .text("schemaUrl", schema_url)
            .end()
    }
}

impl AsJson for Metric {
    fn as_json(&self, style: Style) -> String {
        let Self { name, description, unit, metadata, data } = self;
        let object = Object::new(style).text("name", name).text("description", description).text("unit", unit);
        match data {
            None => object,
            Some(metric::Data::Gauge(gauge)) => object.message("gauge", Some(gauge)),
            Some(metric::Data::Sum(sum)) => object.message("sum", Some(sum)),
            Some(metric::Data::Histogram(histogram)) => object.message("histogram", Some(histogram)),
            Some(metric::Data::ExponentialHistogram(histogram)) => {
                object.message("exponentialHistogram", Some(histogram))
            }
            Some(metric::Data::Summary(summary)) => object.message("summary", Some(summary)),
        }
        .messages("metadata", metadata)
        .end()
    }
}

/// The member for how data points relate to those before them.
fn temporality(object: Object, number: i32) -> Object {
    let known = AggregationTemporality::try_from(number).ok();
    object.number_of("aggregationTemporality", number, known.as_ref().map(AggregationTemporality::as_str_name))
}

impl AsJson for Gauge {
    fn as_json(&self, style: Style) -> String {
        let Self { data_points } = self;
        Object::new(style).messages("dataPoints", data_points).end()
    }
}

impl AsJson for Sum {
    fn as_json(&self, style: Style) -> String {
        let Self { data_points, aggregation_temporality, is_monotonic } = self;
        temporality(Object::new(style).messages("dataPoints", data_points), *aggregation_temporality)
            .bool("isMonotonic", *is_monotonic)
            .end()
    }
}

impl AsJson for Histogram {
    fn as_json(&self, style: Style) -> String {
        let Self { data_points, aggregation_temporality } = self;
        temporality(Object::new(style).messages("dataPoints", data_points), *aggregation_temporality).end()
    }
}

impl AsJson for ExponentialHistogram {
    fn as_json(&self, style: Style) -> String {
        let Self { data_points, aggregation_temporality } = self;
        temporality(Object::new(style).messages("dataPoints", data_points), *aggregation_temporality).end()
    }
}

impl AsJson for Summary {
    fn as_json(&self, style: Style) -> String {
        let Self { data_points } = self;
        Object::new(style).messages("dataPoints", data_points).end()
    }
}

impl AsJson for NumberDataPoint {
    fn as_json(&self, style: Style) -> String {
        let Self { attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value } = self;
        let object = Object::new(style)
            .messages("attributes", attributes)
            .wide("startTimeUnixNano", start_time_unix_nano)
            .wide("timeUnixNano", time_unix_nano)
            .messages("exemplars", exemplars)
            .narrow("flags", flags);
        match value {
            None => object,
            Some(number_data_point::Value::AsDouble(value)) => object.optional("asDouble", Some(double(*value, style))),
            Some(number_data_point::Value::AsInt(value)) => {
                object.optional("asInt", Some(integer(value, !style.swapped_numbers)))
            }
        }
        .end()
    }
}

impl AsJson for HistogramDataPoint {
    fn as_json(&self, style: Style) -> String {
        let Self {
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
        } = self;
        Object::new(style)
            .messages("attributes", attributes)
            .wide("startTimeUnixNano", start_time_unix_nano)
            .wide("timeUnixNano", time_unix_nano)
            .wide("count", count)
            .optional("sum", sum.map(|sum| double(sum, style)))
            .list("bucketCounts", bucket_counts, wide)
            .list("explicitBounds", explicit_bounds, |bound, style| double(*bound, style))
            .messages("exemplars", exemplars)
            .narrow("flags", flags)
            .optional("min", min.map(|min| double(min, style)))
            .optional("max", max.map(|max| double(max, style)))
            .end()
    }
}

impl AsJson for ExponentialHistogramDataPoint {
    fn as_json(&self, style: Style) -> String {
        let Self {
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
        } = self;
        Object::new(style)
            .messages("attributes", attributes)
            .wide("startTimeUnixNano", start_time_unix_nano)
            .wide("timeUnixNano", time_unix_nano)
            .wide("count", count)
            .optional("sum", sum.map(|sum| double(sum, style)))
            .narrow("scale", scale)
            .wide("zeroCount", zero_count)
            .message("positive", positive.as_ref())
            .message("negative", negative.as_ref())
            .narrow("flags", flags)
            .messages("exemplars", exemplars)
            .optional("min", min.map(|min| double(min, style)))
            .optional("max", max.map(|max| double(max, style)))
            .double("zeroThreshold", *zero_threshold)
            .end()
    }
}

impl AsJson for Buckets {
    fn as_json(&self, style: Style) -> String {
        let Self { offset, bucket_counts } = self;
        Object::new(style).narrow("offset", offset).list("bucketCounts", bucket_counts, wide).end()
    }
}

impl AsJson for SummaryDataPoint {
    fn as_json(&self, style: Style) -> String {
        let Self { attributes, start_time_unix_nano, time_unix_nano, count, sum, quantile_values, flags } = self;
        Object::new(style)
            .messages("attributes", attributes)
            .wide("startTimeUnixNano", start_time_unix_nano)
            .wide("timeUnixNano", time_unix_nano)
            .wide("count", count)
            .double("sum", *sum)
            .messages("quantileValues", quantile_values)
            .narrow("flags", flags)
            .end()
    }
}

impl AsJson for ValueAtQuantile {
    fn as_json(&self, style: Style) -> String {
        let Self { quantile, value } = self;
        Object::new(style).double("quantile", *quantile).double("value", *value).end()
    }
}

impl AsJson for Exemplar {
    fn as_json(&self, style: Style) -> String {
        let Self { filtered_attributes, time_unix_nano, span_id, trace_id, value } = self;
        let object = Object::new(style)
            .messages("filteredAttributes", filtered_attributes)
            .wide("timeUnixNano", time_unix_nano)
            .id("spanId", span_id)
            .id("traceId", trace_id);
        match value {
            None => object,
            Some(exemplar::Value::AsDouble(value)) => object.optional("asDouble", Some(double(*value, style))),
            Some(exemplar::Value::AsInt(value)) => {
                object.optional("asInt", Some(integer(value, !style.swapped_numbers)))
            }
        }
        .end()
    }
}
