"""The OpenTelemetry SDK for Python exports over gRPC and HTTP; every column of every stored row is what it exported."""

import json

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from reading import rows

START_NS = 1_772_496_000_123_456_789
TRACE_ID = 0x0102030405060708090A0B0C0D0E0F10
FIRST_SPAN_ID = 0xA1A2A3A4A5A6A700
LINKED = SpanContext(0xFF00FF00FF00FF00FF00FF00FF00FF01, 0xEE00EE00EE00EE02, True, TraceFlags(1))
REMOTE = SpanContext(TRACE_ID, 0xB1B2B3B4B5B6B7B8, True, TraceFlags(1), TraceState([("vendor", "a1"), ("other", "b2")]))

RESOURCE = Resource(
    {
        "service.name": "shop",
        "service.namespace": "retail",
        "service.version": "1.2.3",
        "service.instance.id": "shop-7",
        "deployment.environment.name": "prod",
        "host.name": "node-1",
        "process.pid": 4711,
        "yes": True,
    },
    "https://example.com/resource/1",
)
SCOPE_SCHEMA_URL = "https://example.com/scope/1"

# What every row has of its resource and its scope.
COMMON = {
    "service_name": "shop",
    "service_namespace": "retail",
    "service_version": "1.2.3",
    "service_instance_id": "shop-7",
    "environment": "prod",
    "resource_attributes": dict(RESOURCE.attributes),
    "resource_dropped_attributes_count": 0,
    "resource_schema_url": "https://example.com/resource/1",
    "scope_name": "checkout",
    "scope_version": "2.0",
    "scope_attributes": {"team": "payments", "number": 3},
    "scope_dropped_attributes_count": 0,
    "schema_url": SCOPE_SCHEMA_URL,
}

# The columns of promoted attributes, null where no test says otherwise.
PROMOTED = {
    "http_request_method": None,
    "http_response_status_code": None,
    "http_route": None,
    "url_path": None,
    "server_address": None,
    "error_type": None,
    "db_system_name": None,
    "rpc_service": None,
    "messaging_system": None,
    "exception_type": None,
    "k8s_namespace_name": None,
    "k8s_pod_name": None,
    "host_name": "node-1",
}

ATTRIBUTES = {
    "http.request.method": "POST",
    "http.response.status_code": 503,
    "http.route": "/cart/{id}",
    "text": "grün 🌊 \"quoted\" \\ \n \u0000 end",
    "empty": "",
    "number": -9223372036854775808,
    "largest": 9223372036854775807,
    "double": 0.1,
    "whole": 3.0,
    "tiny": 5e-324,
    "yes": True,
    "no": False,
    "texts": ["a", "", "ü"],
    "numbers": [1, -2, 3],
    "doubles": [0.5, 2.0],
    "booleans": [True, False],
}

PROTOCOLS = ["grpc", "http", "http-gzip"]


class Counting(IdGenerator):
    """Ids that a test can name."""

    def __init__(self):
        self.last = FIRST_SPAN_ID

    def generate_span_id(self):
        self.last += 1
        return self.last

    def generate_trace_id(self):
        return TRACE_ID


def exporters(weir, protocol):
    if protocol == "grpc":
        options = {"endpoint": f"http://{weir.grpc}", "insecure": True}
        return GrpcSpanExporter(**options), GrpcLogExporter(**options), GrpcMetricExporter(**options)
    compression = Compression.Gzip if protocol == "http-gzip" else Compression.NoCompression
    base = f"http://{weir.http}/v1"
    return (
        HttpSpanExporter(f"{base}/traces", compression=compression),
        HttpLogExporter(f"{base}/logs", compression=compression),
        HttpMetricExporter(f"{base}/metrics", compression=compression),
    )


class Exported:
    """What was exported by one protocol, and the rows that it became."""

    def __init__(self, weir, protocol):
        spans, logs, metrics = exporters(weir, protocol)
        self.export_spans(spans)
        self.export_logs(logs)
        self.export_metrics(metrics)
        self.account = weir.stop()
        self.spans = {row["name"]: row for row in rows(weir.data, "spans")}
        self.logs = rows(weir.data, "logs")
        self.metrics = rows(weir.data, "metrics")

    def export_spans(self, exporter):
        provider = TracerProvider(resource=RESOURCE, id_generator=Counting(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("checkout", "2.0", SCOPE_SCHEMA_URL, attributes=COMMON["scope_attributes"])
        remote = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE))
        links = [Link(LINKED, {"reason": "retry", "number": 2}), Link(REMOTE)]
        server = tracer.start_span("server", remote, SpanKind.SERVER, ATTRIBUTES, links, START_NS)
        server.add_event("first", {"number": 1, "list": [1.5]}, START_NS + 1)
        server.add_event("second", None, START_NS + 2)
        server.set_status(Status(StatusCode.ERROR, "card declined"))
        server.end(START_NS + 5_000_000)
        within = trace.set_span_in_context(server)
        for kind in (SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.INTERNAL):
            span = tracer.start_span(kind.name, within, kind, start_time=START_NS + 10)
            span.set_status(Status(StatusCode.OK))
            span.end(START_NS + 10)
        tracer.start_span("root", Context(), start_time=START_NS).end(START_NS - 7)
        provider.shutdown()

    def export_logs(self, exporter):
        provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        logger = provider.get_logger("checkout", "2.0", SCOPE_SCHEMA_URL, attributes=COMMON["scope_attributes"])
        within = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE))
        nested = {"map": {"list": [1, "two", None], "bytes": b"\x00\xff"}, "number": 7}
        logger.emit(
            LogRecord(
                timestamp=START_NS,
                observed_timestamp=START_NS + 1,
                context=within,
                severity_text="WARNING",
                severity_number=SeverityNumber.WARN2,
                body="card declined",
                attributes=ATTRIBUTES | nested,
                event_name="checkout.failed",
            )
        )
        for number, body in enumerate(BODIES):
            logger.emit(LogRecord(timestamp=START_NS + 100 + number, observed_timestamp=START_NS, body=body))
        logger.emit(LogRecord(timestamp=0, observed_timestamp=START_NS + 50, body="no time of its own"))
        provider.shutdown()

    def export_metrics(self, exporter):
        reader = InMemoryMetricReader()
        provider = MeterProvider(
            [reader],
            RESOURCE,
            exemplar_filter=AlwaysOnExemplarFilter(),
            shutdown_on_exit=False,
            views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
        )
        meter = provider.get_meter("checkout", "2.0", SCOPE_SCHEMA_URL, attributes=COMMON["scope_attributes"])
        within = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE))
        meter.create_counter("orders", "1", "Orders taken").add(41, {"region": "eu", "number": 1}, within)
        meter.create_up_down_counter("queue", "{order}").add(-2.5)
        meter.create_gauge("temperature", "Cel").set(-17)
        meter.create_gauge("load").set(0.25, {"cpu": 3})
        histogram = meter.create_histogram("latency", "s", "How long", explicit_bucket_boundaries_advisory=[0.1, 1.0])
        exponential = meter.create_histogram("exponential", "s")
        for value in (0.05, 0.5, 20.0, 0.0):
            histogram.record(value, {"route": "/cart"}, within)
            exponential.record(value, {"route": "/cart"}, within)
        meter.create_observable_counter("seconds", [lambda _: [Observation(1.5)]])
        self.data = reader.get_metrics_data()
        exporter.export(self.data)
        provider.shutdown()
        exporter.shutdown()

    def points(self, name):
        """Pairs of what was exported of a metric and the rows that it became."""
        (scope,) = self.data.resource_metrics[0].scope_metrics
        (metric,) = [metric for metric in scope.metrics if metric.name == name]
        stored = [row for row in self.metrics if row["name"] == name]
        assert len(stored) == len(metric.data.data_points)
        (point,), (row,) = metric.data.data_points, stored
        return metric, point, row


BODIES = [True, -42, 0.5, b"\x00\x01", ["a", 1, None], {"a": {"b": [1, 2.5]}, "c": ""}, "", "{\"looks\": \"like JSON\"}"]
STORED_BODIES = [
    ("bool", "true"),
    ("int", "-42"),
    ("double", "0.5"),
    ("bytes", '{"bytes":"AAE="}'),
    ("array", '["a",1,null]'),
    ("map", '{"a":{"b":[1,2.5]},"c":""}'),
    ("text", ""),
    ("text", "{\"looks\": \"like JSON\"}"),
]


@pytest.fixture(scope="module", params=PROTOCOLS)
def exported(request, start):
    # The chain of an installation without configuration must change nothing.
    weir = start(plugins="") if request.param == "grpc" else start()
    return Exported(weir, request.param)


def parsed(row):
    """The row with its columns of JSON text parsed, those of lists included."""
    out = {}
    for name, value in row.items():
        if name in ("events", "links", "exemplars"):
            value = [parsed(child) for child in value]
        elif name.endswith("attributes") or name == "metadata":
            value = json.loads(value)
        out[name] = value
    return out


def assert_row(row, expected):
    """Compares every column, and the types within JSON (in Python, 1 is True and 1.0)."""
    row = parsed(row)
    assert row == expected
    for name in row:
        assert typed(row[name]) == typed(expected[name]), name


def typed(value):
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [typed(inner) for inner in value]
    return type(value).__name__, value


def span_row(**own):
    """The row of a span in which nothing is set but what every span of this test has."""
    row = COMMON | PROMOTED
    row |= {
        "time": START_NS,
        "trace_id": TRACE_ID.to_bytes(16, "big"),
        "parent_span_id": None,
        "trace_state": "",
        "status_code": "UNSET",
        "status_message": "",
        "adjusted_count": 1.0,
        "events": [],
        "dropped_events_count": 0,
        "links": [],
        "dropped_links_count": 0,
        "attributes": {},
        "dropped_attributes_count": 0,
        "flags": 0x100,
    }
    return row | own


def test_every_row_is_stored_once(exported):
    assert exported.account.received == {"spans": 6, "logs": 10, "metrics": 7}
    assert exported.account.written == exported.account.received
    assert (len(exported.spans), len(exported.logs), len(exported.metrics)) == (6, 10, 7)


def test_a_span_is_stored_with_everything_in_it(exported):
    assert_row(
        exported.spans["server"],
        span_row(
            name="server",
            kind="SERVER",
            span_id=(FIRST_SPAN_ID + 1).to_bytes(8, "big"),
            parent_span_id=REMOTE.span_id.to_bytes(8, "big"),
            trace_state="vendor=a1,other=b2",
            end_time=START_NS + 5_000_000,
            duration_ns=5_000_000,
            status_code="ERROR",
            status_message="card declined",
            attributes=ATTRIBUTES,
            flags=0x300,
            http_request_method="POST",
            http_response_status_code=503,
            http_route="/cart/{id}",
            events=[
                {
                    "time": START_NS + 1,
                    "name": "first",
                    "attributes": {"number": 1, "list": [1.5]},
                    "dropped_attributes_count": 0,
                },
                {"time": START_NS + 2, "name": "second", "attributes": {}, "dropped_attributes_count": 0},
            ],
            links=[
                {
                    "trace_id": LINKED.trace_id.to_bytes(16, "big"),
                    "span_id": LINKED.span_id.to_bytes(8, "big"),
                    "trace_state": "",
                    "attributes": {"reason": "retry", "number": 2},
                    "dropped_attributes_count": 0,
                    "flags": 0x300,
                },
                {
                    "trace_id": REMOTE.trace_id.to_bytes(16, "big"),
                    "span_id": REMOTE.span_id.to_bytes(8, "big"),
                    # This SDK does not export the trace state of a link.
                    "trace_state": "",
                    "attributes": {},
                    "dropped_attributes_count": 0,
                    "flags": 0x300,
                },
            ],
        ),
    )


@pytest.mark.parametrize(("number", "kind"), list(enumerate(["CLIENT", "PRODUCER", "CONSUMER", "INTERNAL"], start=2)))
def test_the_kind_of_a_span_is_stored_by_its_name(exported, number, kind):
    assert_row(
        exported.spans[kind],
        span_row(
            name=kind,
            kind=kind,
            span_id=(FIRST_SPAN_ID + number).to_bytes(8, "big"),
            parent_span_id=(FIRST_SPAN_ID + 1).to_bytes(8, "big"),
            trace_state="vendor=a1,other=b2",
            time=START_NS + 10,
            end_time=START_NS + 10,
            duration_ns=0,
            status_code="OK",
        ),
    )


def test_a_root_span_that_ends_before_it_starts_is_stored_as_it_came(exported):
    assert_row(
        exported.spans["root"],
        span_row(
            name="root",
            kind="INTERNAL",
            span_id=(FIRST_SPAN_ID + 6).to_bytes(8, "big"),
            end_time=START_NS - 7,
            duration_ns=-7,
        ),
    )


def log_row(**own):
    row = COMMON | PROMOTED
    row |= {
        "observed_time": START_NS,
        "severity_number": 0,
        "severity_text": "",
        "event_name": "",
        "trace_id": None,
        "span_id": None,
        "attributes": {},
        "dropped_attributes_count": 0,
        "flags": 0,
    }
    return row | own


def test_a_log_record_is_stored_with_everything_in_it(exported):
    (row,) = [row for row in exported.logs if row["event_name"]]
    assert_row(
        row,
        log_row(
            time=START_NS,
            observed_time=START_NS + 1,
            severity_number=14,
            severity_text="WARNING",
            event_name="checkout.failed",
            body="card declined",
            body_type="text",
            trace_id=REMOTE.trace_id.to_bytes(16, "big"),
            span_id=REMOTE.span_id.to_bytes(8, "big"),
            flags=1,
            attributes=ATTRIBUTES
            | {"map": {"list": [1, "two", None], "bytes": {"bytes": "AP8="}}, "number": 7},
            http_request_method="POST",
            http_response_status_code=503,
            http_route="/cart/{id}",
        ),
    )


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_a_body_of_any_type_is_stored_with_its_type(exported, number):
    (row,) = [row for row in exported.logs if row["time"] == START_NS + 100 + number]
    body_type, body = STORED_BODIES[number]
    assert_row(row, log_row(time=START_NS + 100 + number, body=body, body_type=body_type))


def test_a_record_without_a_time_has_the_time_at_which_it_was_observed(exported):
    (row,) = [row for row in exported.logs if row["body"] == "no time of its own"]
    expected = log_row(time=START_NS + 50, observed_time=START_NS + 50, body="no time of its own", body_type="text")
    assert_row(row, expected)


def metric_row(metric, point, **own):
    row = COMMON | PROMOTED
    row |= {
        "name": metric.name,
        "description": metric.description,
        "unit": metric.unit,
        "metadata": {},
        "temporality": None,
        "monotonic": None,
        "time": point.time_unix_nano,
        "start_time": point.start_time_unix_nano or None,
        "exemplars": [exemplar_row(exemplar) for exemplar in point.exemplars],
        "no_recorded_value": False,
        "attributes": dict(point.attributes),
        "flags": 0,
    }
    for name in NUMBERS:
        row[name] = None
    return row | own


# The columns of which each kind of metric has some.
NUMBERS = (
    "value_double value_int count sum min max bounds bucket_counts scale zero_count zero_threshold positive_offset "
    "positive_bucket_counts negative_offset negative_bucket_counts quantiles"
).split()


def exemplar_row(exemplar):
    whole = isinstance(exemplar.value, int)
    return {
        "time": exemplar.time_unix_nano,
        "value_double": None if whole else exemplar.value,
        "value_int": exemplar.value if whole else None,
        "trace_id": exemplar.trace_id.to_bytes(16, "big") if exemplar.trace_id else None,
        "span_id": exemplar.span_id.to_bytes(8, "big") if exemplar.span_id else None,
        "attributes": dict(exemplar.filtered_attributes or {}),
    }


def test_a_counter_of_integers_is_stored_with_its_exemplar(exported):
    metric, point, row = exported.points("orders")
    expected = metric_row(metric, point, kind="sum", temporality="cumulative", monotonic=True, value_int=41)
    assert_row(row, expected)
    assert row["attributes"] == '{"region":"eu","number":1}'
    (exemplar,) = row["exemplars"]
    assert exemplar["trace_id"] == REMOTE.trace_id.to_bytes(16, "big")
    assert (exemplar["value_int"], exemplar["value_double"]) == (41, None)


def test_a_sum_of_doubles_that_may_fall_is_stored(exported):
    metric, point, row = exported.points("queue")
    expected = metric_row(metric, point, kind="sum", temporality="cumulative", monotonic=False, value_double=-2.5)
    assert_row(row, expected)


def test_an_observable_counter_is_stored(exported):
    metric, point, row = exported.points("seconds")
    expected = metric_row(metric, point, kind="sum", temporality="cumulative", monotonic=True, value_double=1.5)
    assert_row(row, expected)


def test_gauges_are_stored_without_temporality(exported):
    metric, point, row = exported.points("temperature")
    assert_row(row, metric_row(metric, point, kind="gauge", value_int=-17, start_time=None))
    metric, point, row = exported.points("load")
    assert_row(row, metric_row(metric, point, kind="gauge", value_double=0.25, start_time=None))


def test_a_histogram_is_stored_with_its_buckets(exported):
    metric, point, row = exported.points("latency")
    assert_row(
        row,
        metric_row(
            metric,
            point,
            kind="histogram",
            temporality="cumulative",
            count=4,
            sum=20.55,
            min=0.0,
            max=20.0,
            bounds=[0.1, 1.0],
            bucket_counts=[2, 1, 1],
        ),
    )
    assert row["exemplars"], "a histogram without an exemplar shows nothing"


def test_an_exponential_histogram_is_stored_with_its_buckets(exported):
    metric, point, row = exported.points("exponential")
    assert (point.count, point.zero_count, sum(point.positive.bucket_counts)) == (4, 1, 3)
    assert_row(
        row,
        metric_row(
            metric,
            point,
            kind="exponential_histogram",
            temporality="cumulative",
            count=4,
            sum=20.55,
            min=0.0,
            max=20.0,
            scale=point.scale,
            zero_count=1,
            zero_threshold=0.0,
            positive_offset=point.positive.offset,
            positive_bucket_counts=list(point.positive.bucket_counts),
            negative_offset=point.negative.offset,
            negative_bucket_counts=list(point.negative.bucket_counts),
        ),
    )
