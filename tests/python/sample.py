"""One message of each signal in which every field of OTLP that Weir stores is set, with the values that formats get wrong."""

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from sending import HOUR_NS, attributes, value

START_NS = 1_772_496_000_123_456_789
TRACE_ID = bytes(range(1, 17))
SPAN_ID = bytes(range(1, 9))
ATTRIBUTES = {
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "http.route": "/cart/{id}",
    "text": "grün 🌊 \"quoted\" \\ \n\u0000",
    "number": -(2**63),
    "double": 1e300,
    "not a number": float("nan"),
    "infinite": float("-inf"),
    "yes": True,
    "bytes": b"\x00\xff\x80",
    "list": [1, "two", 3.5, False, [b"\x01"], {"deep": {"deeper": None}}],
    "nothing": None,
    "": "no key",
}


def resource(of):
    of.resource.attributes.extend(
        attributes(
            {
                "service.name": "shop",
                "service.namespace": "retail",
                "service.version": "1.2.3",
                "service.instance.id": "shop-7",
                "deployment.environment": "prod",
                "host.name": "node-1",
                "process.pid": 4711,
            }
        )
    )
    of.resource.dropped_attributes_count = 1
    of.schema_url = "https://example.com/resource/1"
    return of


def scope(of):
    of.scope.name, of.scope.version = "checkout", "2.0"
    of.scope.attributes.extend(attributes({"team": "payments"}))
    of.scope.dropped_attributes_count = 2
    of.schema_url = "https://example.com/scope/1"
    return of


def trace():
    request = ExportTraceServiceRequest()
    of = scope(resource(request.resource_spans.add()).scope_spans.add())
    for number in range(3):
        at = START_NS + number * HOUR_NS
        span = of.spans.add(name=f"span {number}", kind=number + 2, flags=0x301, trace_state="vendor=a1")
        span.trace_id, span.span_id = TRACE_ID, SPAN_ID[:7] + bytes([number + 100])
        span.parent_span_id = SPAN_ID if number else b""
        span.start_time_unix_nano, span.end_time_unix_nano = at, at + 1_500_000
        span.attributes.extend(attributes(ATTRIBUTES))
        # The same key a second time, with another type.
        span.attributes.append(KeyValue(key="number", value=AnyValue(string_value="-1")))
        span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count = 1, 2, 3
        span.status.code, span.status.message = number, "said so"
        event = span.events.add(time_unix_nano=at + 1, name="exception", dropped_attributes_count=4)
        event.attributes.extend(attributes({"exception.type": "Timeout", "number": 1}))
        span.events.add(time_unix_nano=at + 2, name="")
        link = span.links.add(trace_id=TRACE_ID[::-1], span_id=SPAN_ID[::-1], trace_state="a=b", flags=1)
        link.attributes.extend(attributes({"reason": "retry"}))
        link.dropped_attributes_count = 5
    of.spans.add(name="bare")
    return request


def logs():
    request = ExportLogsServiceRequest()
    of = scope(resource(request.resource_logs.add()).scope_logs.add())
    bodies = ["card declined", True, -42, 0.5, b"\x00\x01", ["a", 1], {"a": {"b": [1]}}, ""]
    for number, body in enumerate(bodies):
        record = of.log_records.add(time_unix_nano=START_NS + number, observed_time_unix_nano=START_NS + 100)
        record.severity_number, record.severity_text = 13 + number, "WARN"
        record.body.CopyFrom(value(body))
        record.attributes.extend(attributes(ATTRIBUTES))
        record.dropped_attributes_count, record.flags = 1, 1
        record.trace_id, record.span_id = TRACE_ID, SPAN_ID
        record.event_name = "checkout.failed"
    of.log_records.add(observed_time_unix_nano=START_NS)
    of.log_records.add(time_unix_nano=START_NS, trace_id=b"\x01\x02", span_id=bytes(8))
    return request


def metrics():
    request = ExportMetricsServiceRequest()
    of = scope(resource(request.resource_metrics.add()).scope_metrics.add())

    def metric(name):
        out = of.metrics.add(name=name, description=f"the {name}", unit="s")
        out.metadata.extend(attributes({"from": "a test"}))
        return out

    def point(to, **fields):
        out = to.data_points.add(start_time_unix_nano=START_NS - 60, time_unix_nano=START_NS, **fields)
        out.attributes.extend(attributes(ATTRIBUTES))
        return out

    def exemplars(to):
        double = to.exemplars.add(time_unix_nano=START_NS - 1, as_double=0.5, trace_id=TRACE_ID, span_id=SPAN_ID)
        double.filtered_attributes.extend(attributes({"user": 7}))
        to.exemplars.add(time_unix_nano=START_NS - 2, as_int=-3)

    gauge = metric("gauge").gauge
    point(gauge, as_double=float("nan"))
    point(gauge, as_int=-(2**63), flags=1)
    gauge.data_points.add(time_unix_nano=START_NS, flags=1)
    total = metric("sum").sum
    total.aggregation_temporality, total.is_monotonic = 1, True
    exemplars(point(total, as_int=2**63 - 1))
    histogram = metric("histogram").histogram
    histogram.aggregation_temporality = 2
    exemplars(
        point(histogram, count=2**63 + 1, sum=1.5, min=0.5, max=1.0, explicit_bounds=[0.75], bucket_counts=[1, 2**63])
    )
    point(histogram, count=0)
    exponential = metric("exponential").exponential_histogram
    exponential.aggregation_temporality = 1
    filled = point(exponential, count=6, sum=-2.5, min=-4.0, max=2.0, scale=-3, zero_count=1, zero_threshold=1e-9)
    filled.positive.offset = -2
    filled.positive.bucket_counts.extend([1, 0, 2])
    filled.negative.offset = 3
    filled.negative.bucket_counts.extend([2])
    summary = point(metric("summary").summary, count=10, sum=55.5)
    summary.quantile_values.add(quantile=0.5, value=5.0)
    summary.quantile_values.add(quantile=1.0, value=float("inf"))
    return request


MESSAGES = {"spans": trace, "logs": logs, "metrics": metrics}
COUNTS = {"spans": 4, "logs": 10, "metrics": 8}
