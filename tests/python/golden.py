"""A day of one service of which every number is known, as spans, as metrics, and as the events of its maintenance.

Ten requests a second. All fail 10:00–10:20, 10:22–10:23 and 14:00:00–14:00:30; a fifth fails 16:00–16:10; nothing comes
18:00–18:10; an outage 20:10–20:20 lies within planned maintenance, 20:00–20:30. In the morning four in five fail of 503 and
the others of a timeout, in the afternoon as many of a timeout as of 500, in the maintenance of a refused connection; of the
outage at 14:00 nobody says.
"""

from collections import Counter

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, AGGREGATION_TEMPORALITY_DELTA

from sending import attributes, event

DAY = "2026-03-03"
MIDNIGHT_NS = 1_772_496_000_000_000_000
SECOND_NS = 1_000_000_000
DAY_S = 86_400
SLOT_S = 10
PER_SLOT = 100
SERVICE = {
    "service.name": "shop",
    "service.instance.id": "shop-1",
    "deployment.environment.name": "production",
}


def at(hour, minute=0, second=0):
    """Seconds since midnight."""
    return (hour * 60 + minute) * 60 + second


def failing():
    """How many of a hundred requests fail in each slot; -1 where there are none."""
    bad = np.zeros(DAY_S // SLOT_S, dtype=np.int64)

    def put(start, end, count):
        bad[start // SLOT_S : end // SLOT_S] = count

    put(at(10), at(10, 20), 100)
    put(at(10, 22), at(10, 23), 100)
    put(at(14), at(14, 0, 30), 100)
    put(at(16), at(16, 10), 20)
    put(at(18), at(18, 10), -1)
    put(at(20, 10), at(20, 20), 100)
    return bad


TIMEOUT, REFUSED = "tmo", "ref"


def failed_of(second, rank):
    """What the request fails of that is the `rank`th of those that fail in a slot; nothing where nobody says."""
    hour = second // 3600
    if hour == 10:
        return "503" if rank % 5 < 4 else TIMEOUT
    if hour == 16:
        return TIMEOUT if rank % 2 else "500"
    return REFUSED if hour == 20 else ""


# A span in protobuf, of which all have the same length, so that a day of them is one array.
SPAN = np.dtype(
    [
        ("of_scope", "S1"),
        ("length", "u1"),
        ("trace_id_tag", "V2"),
        ("trace_id", ">u8", 2),
        ("span_id_tag", "V2"),
        ("span_id", ">u8"),
        ("name_and_kind", "V5"),
        ("attribute_tag", "V4"),
        ("attribute", "S10"),
        ("attribute_value_tag", "V4"),
        ("attribute_value", "S3"),
        ("start_tag", "S1"),
        ("start", "<u8"),
        ("end_tag", "S1"),
        ("end", "<u8"),
        ("status_tag", "V3"),
        ("status", "u1"),
    ]
)
OK, ERROR = 1, 2


FAST_NS, SLOW_NS = 5_000_000, 600_000_000


def spans(from_s=0, to_s=DAY_S, slow=None):
    """The requests of a part of the day, evenly spaced within their slots, as an array of encoded spans.

    `slow` says how many of a hundred requests take 600 ms in each slot of the day, of which none fails; the others take 5 ms.
    """
    bad = failing()[from_s // SLOT_S : to_s // SLOT_S]
    if slow is not None:
        bad = np.zeros_like(bad)
    slots = np.flatnonzero(bad >= 0)
    number = np.tile(np.arange(PER_SLOT), len(slots))
    slot = np.repeat(slots, PER_SLOT)
    start = MIDNIGHT_NS + (from_s + slot * SLOT_S) * SECOND_NS + number * (SLOT_S * SECOND_NS // PER_SLOT)
    day = np.zeros(len(slot), dtype=SPAN)
    day["of_scope"] = b"\x12"
    day["length"] = SPAN.itemsize - 2
    day["trace_id_tag"] = np.void(b"\x0a\x10")
    day["trace_id"] = np.stack([start, number + 1], axis=1)
    day["span_id_tag"] = np.void(b"\x12\x08")
    day["span_id"] = start
    day["name_and_kind"] = np.void(b"\x2a\x01/\x30\x02")
    day["start_tag"] = b"\x39"
    day["start"] = start
    day["end_tag"] = b"\x41"
    is_slow = (number * 37) % PER_SLOT < (0 if slow is None else slow[from_s // SLOT_S + slot])
    day["end"] = start + np.where(is_slow, SLOW_NS, FAST_NS)
    day["status_tag"] = np.void(b"\x7a\x02\x18")
    # The failures are spread over the slot, not at its start.
    rank = (number * 37) % PER_SLOT
    fails = rank < bad[slot]
    day["status"] = np.where(fails, ERROR, OK)
    # Every span has an attribute of the same length: what it failed of, or its route.
    day["attribute_tag"] = np.void(b"\x4a\x13\x0a\x0a")
    day["attribute"], day["attribute_value"] = b"http.route", b"/me"
    day["attribute_value_tag"] = np.void(b"\x12\x05\x0a\x03")
    for of in np.flatnonzero(fails):
        if error := failed_of(from_s + slot[of] * SLOT_S, rank[of]):
            day["attribute"][of], day["attribute_value"][of] = b"error.type", error.encode()
    return day


def _varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def _field(number, of):
    return bytes([number << 3 | 2]) + _varint(len(of)) + of


def span_request(some):
    """The bytes of a request with these spans."""
    head = ExportTraceServiceRequest().resource_spans.add()
    head.resource.attributes.extend(attributes(SERVICE))
    return _field(1, head.SerializeToString() + _field(2, some.tobytes()))


def points(from_s=0, to_s=DAY_S):
    """The requests of a part of the day as data points: seconds since midnight, whether they failed, how many, of what."""
    bad = failing()
    slots = [slot for slot in range(from_s // SLOT_S, to_s // SLOT_S) if bad[slot] >= 0]
    every = [(slot * SLOT_S, False, int(PER_SLOT - bad[slot]), "") for slot in slots]
    for slot in slots:
        types = Counter(failed_of(slot * SLOT_S, rank) for rank in range(bad[slot]))
        every += [(slot * SLOT_S, True, count, error) for error, count in types.items()]
    return sorted(point for point in every if point[2])


def point_request(some):
    """The bytes of a request with these data points: delta histograms of 10 s."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(attributes(SERVICE))
    metric = group.scope_metrics.add().metrics.add(name="http.server.request.duration", unit="s")
    metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_DELTA
    for second, failed, count, error in some:
        about = {"http.response.status_code": 503 if failed else 200}
        start = MIDNIGHT_NS + second * SECOND_NS
        metric.histogram.data_points.add(
            start_time_unix_nano=start,
            time_unix_nano=start + SLOT_S * SECOND_NS,
            count=count,
            sum=count * 0.005,
            explicit_bounds=[1.0],
            bucket_counts=[count, 0],
            attributes=attributes(about | ({"error.type": error} if error else {})),
        )
    return request.SerializeToString()


# The bounds of an SDK's default histogram of durations; the bound 0.5 is a threshold that nothing has to be guessed for.
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


def slow_points(slow, from_s=0, to_s=DAY_S):
    """Slots of a part of the day in which no request fails: seconds since midnight, how many took 5 ms, how many 600 ms."""
    return [(slot * SLOT_S, int(PER_SLOT - slow[slot]), int(slow[slot])) for slot in range(from_s // SLOT_S, to_s // SLOT_S)]


def slow_point_request(some, exponential=False):
    """The bytes of a request with these: cumulative histograms with explicit buckets, or delta ones with exponential buckets."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(attributes(SERVICE))
    metric = group.scope_metrics.add().metrics.add(name="http.server.request.duration", unit="s")
    data = metric.exponential_histogram if exponential else metric.histogram
    temporality = AGGREGATION_TEMPORALITY_DELTA if exponential else AGGREGATION_TEMPORALITY_CUMULATIVE
    data.aggregation_temporality = temporality
    for start, time, fast, slow in some:
        point = data.data_points.add(
            start_time_unix_nano=MIDNIGHT_NS + start * SECOND_NS,
            time_unix_nano=MIDNIGHT_NS + time * SECOND_NS,
            count=fast + slow,
            sum=fast * FAST_NS / 1e9 + slow * SLOW_NS / 1e9,
            attributes=attributes({"http.response.status_code": 200}),
        )
        if exponential:
            # Scale 0: 5 ms lies in (2^-8, 2^-7], 600 ms in (2^-1, 1].
            point.scale = 0
            point.positive.offset = -8
            point.positive.bucket_counts.extend([fast, 0, 0, 0, 0, 0, 0, slow])
        else:
            point.explicit_bounds.extend(BOUNDS)
            point.bucket_counts.extend([fast, 0, 0, 0, 0, 0, 0, 0, slow, 0, 0, 0, 0, 0, 0])
    return request.SerializeToString()


def maintenance():
    """The event that says, in the morning, when there will be maintenance."""
    start, end = (MIDNIGHT_NS + second * SECOND_NS for second in (at(20), at(20, 30)))
    of = {"itops.maintenance.id": "m-1", "itops.maintenance.start": start, "itops.maintenance.end": end}
    return event("itops.maintenance.scheduled", MIDNIGHT_NS + at(9) * SECOND_NS, SERVICE, of).SerializeToString()


def next_day():
    """A log record of the next day, of another service: with it the day is over, and the watermark passes its end."""
    time_ns = MIDNIGHT_NS + (DAY_S + 15 * 60) * SECOND_NS
    return event("", time_ns, {"service.name": "clock"}, {}).SerializeToString()
