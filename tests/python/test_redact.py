"""Redaction: secrets planted in every place of every signal are in no byte of any file."""

import json

import duckdb
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from reading import files, rows
from sample import SPAN_ID, START_NS, TRACE_ID
from sending import attributes, send, value

# What is planted, and the bytes of it that must be nowhere.
SECRETS = {
    "email": ("mail to ada.lovelace+7@mail.example.org now", b"ada.lovelace"),
    "email in capitals": ("ADA.L@EXAMPLE.ORG", b"ADA.L@"),
    "card": ("paid with 4111 1111 1111 1111 today", b"1111 1111"),
    "card without spaces": ("5555555555554444", b"5555555555554444"),
    "bearer": ("Authorization: Bearer c2VjcmV0LXRva2VuLTEyMzQ1", b"c2VjcmV0LXRva2Vu"),
    "token": ("ghp_R2D2c3poR2D2c3poR2D2c3poR2D2c3po1234", b"R2D2c3po"),
    "cloud key": ("AKIAIOSFODNN7EXAMPLE", b"IOSFODNN7"),
    "ip": ("peer 203.0.113.77:8443", b"203.0.113.77"),
    "ip of six": ("peer 2001:db8:85a3::8a2e:370:7334", b"85a3::8a2e"),
    "url": ("https://ada:pa55word@example.org/?email=grace%40example.org", b"pa55word"),
    "email in a url": ("/users/grace%40example.org/cart", b"grace%40"),
}
CARD_NUMBER = 4_012_888_888_881_881
NEEDLES = [needle for _, needle in SECRETS.values()] + [b"4012888888881881", b"grace@example"]
ALL = " | ".join(text for text, _ in SECRETS.values())

REDACT = '[[plugin]]\nuse = "redact"\n'
# Uncompressed, so that the bytes of a file are the bytes of its values.
PLAIN = 'compression = "none"'


def secrets():
    """Attributes with every secret: alone, in lists, in maps, and a card as a number."""
    plain = {f"plain.{name}": text for name, (text, _) in SECRETS.items()}
    return attributes(
        plain
        | {
            "all": ALL,
            "list": [text for text, _ in SECRETS.values()] + [CARD_NUMBER],
            "map": {name: {"deep": [text]} for name, (text, _) in SECRETS.items()},
            "card": CARD_NUMBER,
            "card.double": float(CARD_NUMBER),
            "server.address": "203.0.113.77",
            "url.path": "/users/grace%40example.org/cart",
            # A key is text, too.
            "key of ada.lovelace@example.org": 1,
            "map.keys": {"ada.lovelace@example.org": {"203.0.113.77": 1}},
        }
    )


def resource(of):
    of.resource.attributes.extend(attributes({"service.name": "shop", "service.version": ALL, "host.name": ALL}))
    of.resource.attributes.extend(attributes({"deployment.environment.name": ALL, "service.instance.id": ALL}))
    of.resource.attributes.extend(secrets())
    of.schema_url = "https://" + ALL
    return of


def scope(of):
    of.scope.name = of.scope.version = of.schema_url = ALL
    of.scope.attributes.extend(secrets())
    return of


def trace():
    request = ExportTraceServiceRequest()
    of = scope(resource(request.resource_spans.add()).scope_spans.add())
    for kind in range(1, 4):
        span = of.spans.add(name=ALL, trace_state="vendor=" + ALL, kind=kind, trace_id=TRACE_ID, span_id=SPAN_ID)
        span.start_time_unix_nano = span.end_time_unix_nano = START_NS
        span.attributes.extend(secrets())
        span.status.message = ALL
        span.events.add(name=ALL, time_unix_nano=START_NS).attributes.extend(secrets())
        link = span.links.add(trace_id=TRACE_ID, span_id=SPAN_ID, trace_state="vendor=" + ALL)
        link.attributes.extend(secrets())
    return request


def logs():
    request = ExportLogsServiceRequest()
    of = scope(resource(request.resource_logs.add()).scope_logs.add())
    texts = [text for text, _ in SECRETS.values()]
    for body in [ALL, *texts, texts, {"deep": {"deeper": texts}}, {ALL: 1}, CARD_NUMBER, [CARD_NUMBER]]:
        record = of.log_records.add(time_unix_nano=START_NS, severity_text=ALL, event_name=ALL)
        record.body.CopyFrom(value(body))
        record.attributes.extend(secrets())
    return request


def metrics():
    request = ExportMetricsServiceRequest()
    of = scope(resource(request.resource_metrics.add()).scope_metrics.add())
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        metric = of.metrics.add(name=ALL, description=ALL, unit=ALL)
        metric.metadata.extend(secrets())
        point = getattr(metric, kind).data_points.add(time_unix_nano=START_NS)
        point.attributes.extend(secrets())
        if kind != "summary":
            point.exemplars.add(time_unix_nano=START_NS, as_int=1).filtered_attributes.extend(secrets())
    return request


COUNTS = {"spans": 3, "logs": 6 + len(SECRETS), "metrics": 5}


def send_all(weir):
    for signal, build in {"spans": trace, "logs": logs, "metrics": metrics}.items():
        send(weir, signal, build())


@pytest.fixture(scope="module", params=["mask", "hash"])
def redacted(request, start):
    config = "" if request.param == "mask" else 'config = { mode = "hash", key = "0123456789abcdef" }\n'
    weir = start(plugins=REDACT + config, write=PLAIN)
    send_all(weir)
    weir.pages = "\n".join(weir.metrics())
    weir.stop()
    return weir


def found_in(content):
    content = content.lower()
    return [needle.decode() for needle in NEEDLES if needle.lower() in content]


def test_the_secrets_are_found_where_nothing_redacts(start):
    """What the other tests look for can be found: in the bytes of files, and in their values."""
    weir = start(write=PLAIN)
    send_all(weir)
    weir.stop()
    for signal in COUNTS:
        content = b"".join(path.read_bytes() for path in files(weir.data, signal))
        assert len(found_in(content)) == len(NEEDLES) - 1, "grace@example is in the text of no file, only decoded"
        assert len(found_in(decoded(weir, signal))) == len(NEEDLES) - 1


def test_no_secret_is_in_any_byte_of_any_file(redacted):
    paths = [path for path in redacted.data.rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in paths)
    for path in paths:
        assert found_in(path.read_bytes()) == [], path
        assert found_in(str(path).encode()) == [], path


@pytest.mark.parametrize("signal", COUNTS)
def test_no_secret_is_in_any_value(redacted, signal):
    assert found_in(decoded(redacted, signal)) == []


def test_no_secret_is_said_or_counted(redacted):
    assert found_in(redacted.stderr.encode()) == []
    assert found_in(redacted.pages.encode()) == []


def test_every_row_is_stored_and_none_is_a_dead_letter(redacted):
    assert redacted.account.received == redacted.account.written == COUNTS


def decoded(weir, signal):
    """Every value of a table as text, one after the other."""
    database = duckdb.connect()
    table = f"read_parquet('{weir.data}/{signal}/**/*.parquet')"
    names = [name for name, *_ in database.sql(f"DESCRIBE SELECT * FROM {table}").fetchall()]
    casts = ", ".join(f'"{name}"::VARCHAR' for name in names)
    found = database.sql(f"SELECT {casts} FROM {table}").fetchall()
    assert len(found) == COUNTS[signal]
    return "\n".join(text for row in found for text in row if text is not None).encode()


def test_what_is_not_secret_stays(start):
    weir = start(plugins=REDACT)
    request = trace()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    harmless = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "version": "1.2.3",
        "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0 Safari/537.36",
        "time": 1_772_496_000_123_456_789,
        "order": "4111111111111112",
        "text": "at 12:30:15 we sold 4 of 5 @ 3 each",
        "double": 0.5,
        "yes": True,
        "bytes": b"\x00\xff",
    }
    del span.attributes[:]
    span.attributes.extend(attributes(harmless | {"planted": "a@example.org"}))
    span.name = "GET /cart"
    send(weir, "spans", request)
    weir.stop()
    (row,) = [row for row in rows(weir.data, "spans") if row["name"] == "GET /cart"]
    assert row["service_name"] == "shop"
    assert (row["trace_id"], row["span_id"], row["time"]) == (TRACE_ID, SPAN_ID, START_NS)
    assert json.loads(row["attributes"]) == harmless | {"bytes": {"bytes": "AP8="}, "planted": "[REDACTED:email]"}
    assert row["http_response_status_code"] == 200


def test_the_same_secret_has_the_same_hash_everywhere(start):
    weir = start(plugins=REDACT + 'config = { mode = "hash", key = "0123456789abcdef" }\n')
    for signal in ("spans", "logs"):
        request = {"spans": trace, "logs": logs}[signal]()
        of = request.resource_spans[0].scope_spans[0].spans if signal == "spans" else None
        of = of if of is not None else request.resource_logs[0].scope_logs[0].log_records
        of[0].attributes.extend(attributes({"user": "ada@example.org"}))
        del of[1:]
        send(weir, signal, request)
    weir.stop()
    seen = {json.loads(row["attributes"])["user"] for signal in ("spans", "logs") for row in rows(weir.data, signal)}
    (one,) = seen
    assert one.startswith("[email:") and "ada" not in one
