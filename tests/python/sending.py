"""OTLP requests as protobuf messages, and the ways to send them."""

import base64
import gzip
import json

import requests
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

PATHS = {"spans": "/v1/traces", "logs": "/v1/logs", "metrics": "/v1/metrics"}
MESSAGES = {
    "spans": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
HOUR_NS = 3_600_000_000_000


def value(of):
    if isinstance(of, bool):
        return AnyValue(bool_value=of)
    if isinstance(of, int):
        return AnyValue(int_value=of)
    if isinstance(of, float):
        return AnyValue(double_value=of)
    if isinstance(of, bytes):
        return AnyValue(bytes_value=of)
    if isinstance(of, str):
        return AnyValue(string_value=of)
    out = AnyValue()
    if isinstance(of, dict):
        out.kvlist_value.SetInParent()
        out.kvlist_value.values.extend(attributes(of))
    elif isinstance(of, list):
        out.array_value.SetInParent()
        out.array_value.values.extend(value(inner) for inner in of)
    return out


def attributes(of):
    return [KeyValue(key=key, value=value(inner)) for key, inner in of.items()]


def spans(service, count, start_ns, step_ns=0):
    """A request of so many spans of a service."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add()
    scope.resource.attributes.extend(attributes({"service.name": service}))
    of = scope.scope_spans.add()
    for number in range(count):
        at = start_ns + number * step_ns
        span = of.spans.add(name="work", kind=2, start_time_unix_nano=at, end_time_unix_nano=at + 1_000)
        span.trace_id = (number + 1).to_bytes(16, "big")
        span.span_id = (number + 1).to_bytes(8, "big")
        span.attributes.extend(attributes({"number": number, "http.response.status_code": 200}))
    return request


def event(name, time_ns, resource, of):
    """A request of one log record: an event of a service, with these attributes."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(attributes(resource))
    record = group.scope_logs.add().log_records.add(time_unix_nano=time_ns, event_name=name)
    record.attributes.extend(attributes(of))
    return request


def to_json(message):
    """OTLP/JSON: ProtoJSON in which ids are hexadecimal and enums are numbers."""
    tree = json_format.MessageToDict(message, use_integers_for_enums=True)

    def walk(node):
        if isinstance(node, list):
            for inner in node:
                walk(inner)
        elif isinstance(node, dict):
            for key, inner in node.items():
                if key in ("traceId", "spanId", "parentSpanId") and isinstance(inner, str):
                    node[key] = base64.b64decode(inner).hex()
                else:
                    walk(inner)

    walk(tree)
    return json.dumps(tree).encode()


def post(weir, signal, body, media=PROTOBUF, coding=None, **headers):
    """Sends a body as it is."""
    headers = {"content-type": media, **headers}
    if coding:
        headers["content-encoding"] = coding
    return requests.post(f"http://{weir.http}{PATHS[signal]}", data=body, headers=headers, timeout=60)


def send(weir, signal, message):
    """Sends a message, and checks that it was taken whole."""
    answer = post(weir, signal, gzip.compress(message.SerializeToString()), coding="gzip")
    assert answer.status_code == 200, (answer.status_code, answer.content)
    assert answer.content == b"", answer.content
