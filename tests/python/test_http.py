"""OTLP/HTTP as bytes on the wire: encodings, compressions, refusals, and what no client should send."""

import gzip
import http.client
import itertools
import json
import random
import socket
import zlib

import pytest
import requests
import zstandard
from google.rpc.status_pb2 import Status

import sample
from reading import rows
from running import Weir
from sending import JSON, MESSAGES, PATHS, PROTOBUF, post, send, spans, to_json

MIB = 1 << 20
REQUEST_BYTES_MAX = 64 * MIB
# What the process may have held at its worst: the program itself, 64 MiB of requests in two forms, and the rows.
MEMORY_BYTES_MAX = 400 * MIB
SEED = 20_260_303

COMPRESSIONS = {
    None: lambda body: body,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
MEDIA = {PROTOBUF: lambda message: message.SerializeToString(), JSON: to_json}


@pytest.fixture(scope="module")
def weir(start):
    return start()


def stored(weir):
    """Every row of every table, in an order that does not depend on files. NaN is equal to itself in this form."""
    return {signal: sorted(repr(row) for row in rows(weir.data, signal)) for signal in PATHS}


@pytest.fixture(scope="module")
def reference(start):
    """The rows of the sample messages, sent as protobuf without compression."""
    return rows_of(start(), PROTOBUF, None)


def rows_of(weir, media, coding):
    for signal, build in sample.MESSAGES.items():
        answer = post(weir, signal, COMPRESSIONS[coding](MEDIA[media](build())), media, coding)
        assert answer.status_code == 200, answer.content
        assert answer.headers["content-type"] == media
        assert answer.content == (b"{}" if media == JSON else b"")
    account = weir.stop()
    assert account.received == sample.COUNTS
    return stored(weir)


@pytest.mark.parametrize(("media", "coding"), list(itertools.product(MEDIA, COMPRESSIONS))[1:])
def test_every_encoding_and_compression_gives_the_same_rows(start, reference, media, coding):
    assert rows_of(start(), media, coding) == reference


def test_unknown_fields_of_json_change_nothing(start, reference):
    weir = start()
    for signal, build in sample.MESSAGES.items():
        tree = json.loads(to_json(build()))
        tree |= {"unknown": {"deep": [1, {"a": None}]}, "alsoUnknown": "text"}
        assert post(weir, signal, json.dumps(tree), JSON).status_code == 200
    weir.stop()
    assert stored(weir) == reference


def assert_refused(answer, status, code, media, text):
    """The answer is a google.rpc.Status in the encoding of the request, with a message that says what is wrong."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert answer.headers["content-type"] == media
    if media == JSON:
        said = json.loads(answer.content)
        found, message = said["code"], said["message"]
    else:
        said = Status.FromString(answer.content)
        found, message = said.code, said.message
    assert found == code, said
    assert text in message, message


@pytest.mark.parametrize("signal", PATHS)
@pytest.mark.parametrize("media", MEDIA)
def test_what_cannot_be_decoded_is_400(weir, signal, media):
    whole = MEDIA[media](sample.MESSAGES[signal]())
    for body in (whole[:-1], whole[: len(whole) // 2], b"\xff\xff\xff", b"garbage"):
        answer = post(weir, signal, body, media)
        assert_refused(answer, 400, 3, media, "")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_cannot_be_decompressed_is_400(weir, coding):
    whole = COMPRESSIONS[coding](sample.trace().SerializeToString())
    for body in (b"not compressed", whole[: len(whole) // 2]):
        assert_refused(post(weir, "spans", body, coding=coding), 400, 3, PROTOBUF, "")


def test_json_with_a_wrong_type_is_400(weir):
    for body in (b"[]", b'"text"', b'{"resourceSpans":7}', b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"X"}]}]}]}'):
        assert_refused(post(weir, "spans", body, JSON), 400, 3, JSON, "")


@pytest.mark.parametrize("media", MEDIA)
def test_an_unknown_path_is_404(weir, media):
    answer = requests.post(f"http://{weir.http}/v2/traces", data=b"", headers={"content-type": media}, timeout=10)
    assert_refused(answer, 404, 12, media, "/v1/traces")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_another_method_than_post_is_405(weir, method):
    answer = requests.request(method, f"http://{weir.http}/v1/logs", timeout=10)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    if method != "HEAD":
        assert_refused(answer, 405, 12, PROTOBUF, method)


@pytest.mark.parametrize("media", ["text/plain", "application/xml", ""])
def test_an_unknown_media_type_is_415(weir, media):
    answer = post(weir, "metrics", b"x", media)
    assert_refused(answer, 415, 3, PROTOBUF, "application/json")


def test_an_unknown_compression_is_415(weir):
    assert_refused(post(weir, "logs", b"x", JSON, coding="br"), 415, 12, JSON, "gzip")


def test_an_empty_request_is_a_success(weir):
    for signal in PATHS:
        assert post(weir, signal, b"").content == b""
        assert post(weir, signal, b"{}", JSON).content == b"{}"


@pytest.mark.parametrize("media", MEDIA)
def test_a_body_of_65_mib_is_413(weir, media):
    body = b" " * (65 * MIB)
    assert_refused(post(weir, "logs", body, media), 413, 8, media, str(REQUEST_BYTES_MAX))
    # The same without a length that says so beforehand.
    assert_refused(post(weir, "logs", iter([body[: 5 * MIB]] * 13), media), 413, 8, media, str(REQUEST_BYTES_MAX))


@pytest.mark.parametrize("media", MEDIA)
@pytest.mark.parametrize("coding", COMPRESSIONS)
def test_a_request_of_nearly_the_limit_is_stored(start, media, coding):
    weir = start()
    message = spans("large", 1, sample.START_NS)
    message.resource_spans[0].scope_spans[0].spans[0].status.message = "x" * (60 * MIB)
    answer = post(weir, "spans", COMPRESSIONS[coding](MEDIA[media](message)), media, coding)
    assert answer.status_code == 200, answer.content
    weir.stop()
    (row,) = rows(weir.data, "spans")
    assert len(row["status_message"]) == 60 * MIB


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_is_413_and_costs_bounded_memory(weir, coding):
    before = weir.memory_bytes()
    zeros = bytes(MIB)
    if coding == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join(packer.compress(zeros) for _ in range(1024)) + packer.flush()
    else:
        packer = zstandard.ZstdCompressor(level=19).compressobj()
        bomb = b"".join(packer.compress(zeros) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 2 * MIB
    for _ in range(3):
        assert_refused(post(weir, "logs", bomb, coding=coding), 413, 8, PROTOBUF, str(REQUEST_BYTES_MAX))
    assert weir.memory_bytes() - before < 2 * REQUEST_BYTES_MAX
    assert weir.memory_bytes_peak() < MEMORY_BYTES_MAX


def test_values_nested_10000_deep_are_400(weir):
    deep = b'{"arrayValue":{"values":[' * 10_000 + b"{}" + b"]}}" * 10_000
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + deep + b"}]}]}]}"
    assert_refused(post(weir, "logs", body, JSON), 400, 3, JSON, "64")
    value = b""
    for _ in range(10_000):
        value = field(5, field(1, value))
    body = field(1, field(2, field(2, field(5, value))))
    assert_refused(post(weir, "logs", body), 400, 3, PROTOBUF, "64")


def field(number, content):
    """A field of protobuf that has a length."""
    length, out = len(content), bytearray([number << 3 | 2])
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    return bytes(out) + content


def test_values_nested_64_deep_are_stored(start):
    weir = start()
    deep = b'{"arrayValue":{"values":[' * 60 + b'{"stringValue":"bottom"}' + b"]}}" * 60
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + deep + b"}]}]}]}"
    assert post(weir, "logs", body, JSON).status_code == 200
    weir.stop()
    (row,) = rows(weir.data, "logs")
    assert row["body"] == "[" * 60 + '"bottom"' + "]" * 60


def test_garbage_is_refused_and_nothing_of_it_is_stored(start):
    weir = start()
    dice = random.Random(SEED)
    template = sample.trace().SerializeToString()
    statuses = set()
    for _ in range(300):
        signal, media = dice.choice(list(PATHS)), dice.choice(list(MEDIA))
        coding = dice.choice([None, "gzip", "zstd"])
        body = dice.randbytes(dice.randrange(1, 2_000))
        if dice.random() < 0.5:
            # A message with some bytes turned: close enough to get far.
            body = bytearray(template)
            for _ in range(dice.randrange(1, 20)):
                body[dice.randrange(len(body))] = dice.randrange(256)
            body = COMPRESSIONS[coding](bytes(body)) if dice.random() < 0.8 else bytes(body)
        statuses.add(post(weir, signal, body, media, coding).status_code)
    assert statuses <= {200, 400, 413}, f"seed {SEED}"
    assert 400 in statuses
    assert_serves(weir)


def test_bytes_that_are_no_http_do_not_hurt(start):
    weir = start()
    dice = random.Random(SEED)
    host, port = weir.http.split(":")
    left_open = []
    for target in (weir.http, weir.grpc) * 20:
        host, port = target.split(":")
        stream = socket.create_connection((host, int(port)), timeout=10)
        stream.sendall(dice.randbytes(dice.randrange(1, 5_000)))
        left_open.append(stream)
    # Requests that never end.
    for _ in range(20):
        host, port = weir.http.split(":")
        stream = socket.create_connection((host, int(port)), timeout=10)
        stream.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
        left_open.append(stream)
    assert_serves(weir)
    for stream in left_open:
        stream.close()


def assert_serves(weir: Weir):
    """The next request is stored, and the process has not grown beyond its bounds."""
    message = spans("after", 3, sample.START_NS)
    send(weir, "spans", message)
    assert weir.memory_bytes_peak() < MEMORY_BYTES_MAX
    weir.stop()
    assert len([row for row in rows(weir.data, "spans") if row["service_name"] == "after"]) == 3


def test_one_connection_serves_many_requests(start):
    weir = start()
    host, port = weir.http.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    for number in range(20):
        good = number % 2 == 0
        body = spans("kept", 5, sample.START_NS).SerializeToString() if good else b"\xff"
        connection.request("POST", "/v1/traces", body, {"content-type": PROTOBUF})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == (200 if good else 400)
    connection.close()
    assert weir.stop().written["spans"] == 50


def test_the_pages_say_that_it_is_alive_and_ready(start):
    weir = start()
    for path in ("/healthz", "/readyz"):
        assert requests.get(f"http://{weir.http}{path}", timeout=10).status_code == 200
    for signal, build in sample.MESSAGES.items():
        send(weir, signal, build())
    assert post(weir, "spans", b"\xff").status_code == 400
    metrics = weir.metrics()
    for signal, count in sample.COUNTS.items():
        assert metrics[f'weir_rows_received_total{{signal="{signal}"}}'] == count
    outcomes = {name: value for name, value in metrics.items() if name.startswith("weir_requests_total{")}
    assert sum(outcomes.values()) == 4, outcomes


def test_the_messages_of_this_test_have_what_they_should():
    for signal, build in sample.MESSAGES.items():
        message = build()
        assert type(message) is MESSAGES[signal]
        assert message.SerializeToString() == build().SerializeToString()
