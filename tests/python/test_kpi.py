"""The plugin `kpi` in the real program: a day of which every number is known, sent in every way, gives those numbers."""

import os
import random
import signal
import time
from collections import Counter

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import golden
from golden import DAY_S, MIDNIGHT_NS, SECOND_NS, at
from reading import rows
from running import Weir
from sending import post

# A machine that is busy with other tests is no fault of the plugin.
PLUGIN = '[[plugin]]\nuse = "kpi"\n[plugin.limits]\ntime = "30s"\n'
TABLES = ["kpi_daily", "kpi_hourly", "availability", "incidents", "slo", "changes", "alerts"]
SEED = int(os.environ.get("WEIR_SEED", "1"))


class Run:
    """`weir run` with the plugin, which may be restarted in the same folder."""

    def __init__(self, folder, plugins=PLUGIN):
        self.folder, self.plugins = folder, plugins
        self.weir = self._start()

    def _start(self):
        return Weir(self.folder, plugins=self.plugins, write='epoch = "2s"\nfirst_epoch = "500ms"\n')

    def send(self, signal_, body):
        answer = post(self.weir, signal_, body)
        assert answer.status_code == 200, (answer.status_code, answer.content)

    def restart(self, number):
        if number == signal.SIGKILL:
            self.weir.kill()
        else:
            self.weir.stop(number)
        self.weir = self._start()

    def end(self):
        """The tables once the day is over: a log record of the next day moves the watermark past its end."""
        self.weir.wait_processed()
        self.send("logs", golden.next_day())
        self.weir.wait_processed()
        self.weir.stop()
        return Tables(self.weir.data)


class Tables:
    """The rows that are of the day; what comes after it says nothing of it."""

    def __init__(self, data):
        self.all = {table: self._of(data, table) for table in TABLES}

    @staticmethod
    def _of(data, table):
        def is_of_day(row):
            of = row.get("window_start", row.get("from_at", row.get("opened_at", MIDNIGHT_NS)))
            return MIDNIGHT_NS <= of < MIDNIGHT_NS + DAY_S * SECOND_NS and row.get("service_name") == "shop"

        run = ("computed_at", "revision")
        found = [{key: value for key, value in row.items() if key not in run} for row in rows(data, table)]
        return sorted(filter(is_of_day, found), key=repr)

    def __getitem__(self, table):
        return self.all[table]


def requests_of(kinds, spans_of=1000, points_of=200, from_s=0, to_s=DAY_S):
    """The requests of a day in the order of time: (signal, bytes)."""
    timed = [(at(9), "logs", golden.maintenance())]
    if "spans" in kinds:
        day = golden.spans(from_s, to_s)
        for first in range(0, len(day), spans_of):
            some = day[first : first + spans_of]
            timed.append(((int(some["end"][-1]) - MIDNIGHT_NS) / SECOND_NS, "spans", golden.span_request(some)))
    if "metrics" in kinds:
        day = golden.points(from_s, to_s)
        for first in range(0, len(day), points_of):
            some = day[first : first + points_of]
            timed.append((some[-1][0] + golden.SLOT_S, "metrics", golden.point_request(some)))
    return [(signal_, body) for _, signal_, body in sorted(timed, key=lambda one: one[:2])]


def tables_of(folder, requests, restarts=None, plugins=PLUGIN):
    """The tables after these requests; restarts by the number of requests before them."""
    run = Run(folder, plugins)
    try:
        for number, (signal_, body) in enumerate(requests):
            if restarts and number in restarts:
                run.restart(restarts[number])
            run.send(signal_, body)
        return run.end()
    finally:
        run.weir.kill()


def check(tables):
    assert len(tables["kpi_daily"]) == 1, tables["kpi_daily"]
    day = tables["kpi_daily"][0]
    exact = {
        "ast_s": 84_600,
        "up_s": 82_710,
        "down_s": 1_290,
        "degraded_s": 600,
        "unknown_s": 600,
        "maintenance_s": 1_800,
        "valid": 840_000,
        "bad": 14_100,
        "incidents": 2,
        "mttd_s": 180,
        "mttr_s": 990,
        "mtbf_s": 41_355,
        "open_count": 0,
        "recurring": 0,
        "low_coverage": False,
    }
    assert {key: day[key] for key in exact} == exact
    ratios = {
        "availability_time": 0.984643,
        "availability_low": 0.977660,
        "availability_high": 0.984752,
        "coverage": 0.992908,
        "availability_req": 0.983214,
        "availability_raw": 0.977972,
    }
    assert {key: round(day[key], 6) for key in ratios} == ratios
    check_incidents(tables)
    check_hours(tables, day)


def check_incidents(tables):
    def clock(ns):
        seconds = (ns - MIDNIGHT_NS) // SECOND_NS
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    stages = ("started", "detected", "mitigated")
    found = sorted(
        (*(clock(row[f"{stage}_at"]) for stage in stages), row["planned"], row["kind"], row["error_type"])
        for row in tables["incidents"]
    )
    # Of types of which as many requests failed the first in the alphabet.
    assert found == [
        ("10:00:00", "10:01:00", "10:23:00", False, "down", "503"),
        ("16:00:00", "16:05:00", "16:10:00", False, "degraded", "500"),
        ("20:10:00", "20:11:00", "20:20:00", True, "down", golden.REFUSED),
    ]
    assert len({row["fingerprint"] for row in tables["incidents"]}) == 3
    ten = next(row for row in tables["slo"] if row["window_start"] == MIDNIGHT_NS + at(10) * SECOND_NS)
    assert (clock(ten["page_fired_at"]), clock(ten["page_cleared_at"])) == ("10:01:00", "10:28:00")


def check_hours(tables, day):
    hours = tables["kpi_hourly"]
    assert len(hours) == 24
    for column in ("ast_s", "up_s", "down_s", "unknown_s", "maintenance_s", "valid", "bad", "incidents", "ttr_sum_s"):
        assert sum(hour[column] for hour in hours) == day[column], column
    seconds = {}
    for row in tables["availability"]:
        seconds[row["state"]] = seconds.get(row["state"], 0) + (row["to_at"] - row["from_at"]) // SECOND_NS
    assert seconds == {"up": 82_110, "degraded": 600, "down": 1_290, "unknown": 600, "maintenance": 1_800}


def without_sources(tables):
    """All that is the same whatever it was made of."""
    return {
        table: [{key: value for key, value in row.items() if key != "source"} for row in found]
        for table, found in tables.all.items()
    }


@pytest.fixture(scope="module")
def from_metrics(tmp_path_factory):
    return tables_of(tmp_path_factory.mktemp("metrics"), requests_of({"metrics"}))


def test_the_encoded_spans_are_what_the_protocol_says():
    some = golden.spans(at(16), at(16, 0, 10))
    request = ExportTraceServiceRequest.FromString(golden.span_request(some))
    spans = request.resource_spans[0].scope_spans[0].spans
    assert len(spans) == 100 and len({(span.trace_id, span.span_id) for span in spans}) == 100
    assert all(span.kind == 2 and span.end_time_unix_nano - span.start_time_unix_nano == 5_000_000 for span in spans)
    failed = [span for span in spans if span.status.code == golden.ERROR]
    types = Counter(span.attributes[0].value.string_value for span in failed if span.attributes[0].key == "error.type")
    assert types == {"500": 10, golden.TIMEOUT: 10}
    assert {span.attributes[0].key for span in spans if span not in failed} == {"http.route"}
    assert spans[0].start_time_unix_nano == MIDNIGHT_NS + at(16) * SECOND_NS
    assert sorted(span.status.code for span in spans) == [1] * 80 + [2] * 20


def test_as_metrics_the_day_has_the_stated_numbers(from_metrics):
    check(from_metrics)


def test_as_spans_the_day_has_the_stated_numbers(from_metrics, tmp_path):
    tables = tables_of(tmp_path, requests_of({"spans"}, spans_of=8000))
    check(tables)
    assert without_sources(tables) == without_sources(from_metrics)


def test_as_spans_and_metrics_no_request_counts_twice(from_metrics, tmp_path):
    tables = tables_of(tmp_path, requests_of({"spans", "metrics"}, spans_of=8000))
    check(tables)
    assert tables.all == from_metrics.all


@pytest.mark.parametrize("kinds", [["metrics"], ["spans", "metrics"]], ids="-".join)
def test_shuffled_and_duplicated_the_day_gives_the_same_tables(from_metrics, tmp_path, kinds):
    seed = SEED + 1
    print("WEIR_SEED", SEED)
    order = random.Random(seed)
    points = golden.points()
    points += order.sample(points, len(points) // 7)
    order.shuffle(points)
    requests = [("metrics", golden.point_request(points[first : first + 150])) for first in range(0, len(points), 150)]
    if "spans" in kinds:
        spans = golden.spans()
        spans = spans[np.random.default_rng(seed).permutation(len(spans))]
        requests += [("spans", golden.span_request(spans[first : first + 8000])) for first in range(0, len(spans), 8000)]
    requests += [("logs", golden.maintenance())] * 2
    # Requests that a client sends again because the answer was lost.
    requests += order.sample(requests, len(requests) // 5)
    order.shuffle(requests)
    tables = tables_of(tmp_path, requests)
    check(tables)
    assert tables.all == from_metrics.all


def test_spans_that_come_twice_and_in_another_order_count_once(tmp_path):
    hour = golden.spans(at(9, 45), at(11))
    ordered = [("spans", golden.span_request(hour[first : first + 4000])) for first in range(0, len(hour), 4000)]
    (tmp_path / "ordered").mkdir()
    (tmp_path / "shuffled").mkdir()
    stated = tables_of(tmp_path / "ordered", ordered)
    print("WEIR_SEED", SEED)
    dice = np.random.default_rng(SEED)
    twice = np.concatenate([hour, hour[dice.choice(len(hour), len(hour) // 3)]])
    twice = twice[dice.permutation(len(twice))]
    shuffled = [("spans", golden.span_request(twice[first : first + 4000])) for first in range(0, len(twice), 4000)]
    tables = tables_of(tmp_path / "shuffled", shuffled)
    assert tables.all == stated.all
    (day,) = tables["kpi_daily"]
    assert (day["valid"], day["bad"], day["down_s"]) == (45_000, 12_600, 1_260)
    (incident,) = tables["incidents"]
    assert (incident["ttd_s"], incident["ttr_s"], incident["flaps"]) == (60, 1_380, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_cut_by_restarts_the_day_gives_the_same_tables(from_metrics, tmp_path, number):
    requests = requests_of({"metrics"}, points_of=100)
    within = len(requests) * (at(10) + 600) // DAY_S
    # Within an incident, within the silence, and twice in a row.
    cuts = [within, len(requests) * 3 // 4, len(requests) * 3 // 4 + 1]
    tables = tables_of(tmp_path, requests, dict.fromkeys(cuts, number))
    check(tables)
    assert tables.all == from_metrics.all


def test_in_any_order_with_restarts_of_both_kinds_it_gives_the_same_tables(from_metrics, tmp_path):
    print("WEIR_SEED", SEED)
    order = random.Random(SEED)
    requests = requests_of({"metrics"}, points_of=150)
    requests += order.sample(requests, 10)
    order.shuffle(requests)
    cuts = {order.randrange(1, len(requests)): of for of in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)}
    tables = tables_of(tmp_path, requests, cuts)
    check(tables)
    assert tables.all == from_metrics.all


SLOW_FROM, SLOW_TO = at(9), at(11)


def slow_day():
    """How many of a hundred requests are slow in each slot: half of them, which is not more than half, then one more, then all."""
    slow = np.zeros(DAY_S // golden.SLOT_S, dtype=np.int64)
    for start, end, count in [(at(9, 10), at(9, 20), 50), (at(9, 30), at(9, 40), 51), (at(10, 10), at(10, 11), 100)]:
        slow[start // golden.SLOT_S : end // golden.SLOT_S] = count
    return slow


def slow_requests(kinds):
    """The requests of that morning in the order of time, as the day's own."""
    slow, timed = slow_day(), []
    if "spans" in kinds:
        day = golden.spans(SLOW_FROM, SLOW_TO, slow)
        for first in range(0, len(day), 4000):
            some = day[first : first + 4000]
            timed.append(((int(some["end"][-1]) - MIDNIGHT_NS) / SECOND_NS, "spans", golden.span_request(some)))
    points = golden.slow_points(slow, SLOW_FROM, SLOW_TO)
    sums = np.cumsum([point[1:] for point in points], axis=0)
    of = {
        "delta": [(second, second + golden.SLOT_S, fast, slow) for second, fast, slow in points],
        "cumulative": [
            (SLOW_FROM, point[0] + golden.SLOT_S, int(fast), int(slow))
            for point, (fast, slow) in zip(points, sums, strict=True)
        ],
    }
    for kind in set(kinds) & set(of):
        for first in range(0, len(points), 50):
            some = of[kind][first : first + 50]
            timed.append((some[-1][1], "metrics", golden.slow_point_request(some, exponential=kind == "delta")))
    return [(signal_, body) for _, signal_, body in sorted(timed, key=lambda one: one[:2])]


def test_a_slow_morning_is_the_same_as_spans_as_histograms_and_as_both(tmp_path):
    plugins = PLUGIN.replace("[plugin.limits]", "config = { latency_ms = { shop = 500 } }\n[plugin.limits]")
    found = {}
    for kinds in [("spans",), ("cumulative",), ("delta",), ("spans", "cumulative")]:
        folder = tmp_path / "-".join(kinds)
        folder.mkdir()
        found[kinds] = tables_of(folder, slow_requests(kinds), plugins=plugins)
    stated = found[("spans",)]
    (day,) = stated["kpi_daily"]
    assert (day["valid"], day["bad"], day["up_s"], day["degraded_s"]) == (72_000, 0, 7_200, 660)
    (incident,) = stated["incidents"]
    start = MIDNIGHT_NS + at(9, 30) * SECOND_NS
    assert (incident["kind"], incident["started_at"], incident["ttd_s"]) == ("degraded", start, 300)
    for kinds, tables in found.items():
        assert without_sources(tables) == without_sources(stated), kinds
    assert found[("spans", "cumulative")].all == found[("cumulative",)].all


def is_late(start_s):
    """Whether a time is of the outage at ten or around the silence at six."""
    return at(10) <= start_s < at(10, 30) or at(17, 50) <= start_s < at(18, 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_what_comes_late_and_alone_is_in_the_tables_after_a_clean_end(from_metrics, tmp_path, number):
    points = golden.points()
    soon, late = ([point for point in points if is_late(point[0]) is kind] for kind in (False, True))
    run = Run(tmp_path)
    try:
        run.send("logs", golden.maintenance())
        for first in range(0, len(soon), 200):
            run.send("metrics", golden.point_request(soon[first : first + 200]))
        before = run.end()
        assert before.all != from_metrics.all
        run.weir = run._start()
        for first in range(0, len(late), 50):
            run.send("metrics", golden.point_request(late[first : first + 50]))
        if number == signal.SIGKILL:
            # Before anything of it may have settled; the end after the next start has to do it.
            run.restart(number)
        run.weir.stop()
        tables = Tables(run.weir.data)
    finally:
        run.weir.kill()
    check(tables)
    assert tables.all == from_metrics.all


def test_what_comes_late_is_in_the_tables_soon_though_event_time_stands_still(from_metrics, tmp_path):
    points = golden.points()
    run = Run(tmp_path)
    try:
        run.send("logs", golden.maintenance())
        run.send("metrics", golden.point_request([point for point in points if not is_late(point[0])]))
        run.weir.wait_processed()
        run.send("logs", golden.next_day())
        run.weir.wait_processed()
        run.send("metrics", golden.point_request([point for point in points if is_late(point[0])]))
        deadline = time.monotonic() + 120
        while (tables := Tables(run.weir.data)).all != from_metrics.all:
            assert time.monotonic() < deadline, tables["kpi_daily"]
            time.sleep(0.5)
    finally:
        run.weir.kill()
