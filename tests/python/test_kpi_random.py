"""Random days of several services through the real program, against a second implementation of the rules.

WEIR_KPI_SEEDS=20 tries as many days; WEIR_SEED is the first one."""

import os
import random
from collections import Counter, defaultdict

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import golden
import kpi_reference
from golden import DAY_S, MIDNIGHT_NS, SECOND_NS, SLOT_S
from reading import rows
from running import Weir
from sending import attributes, event, post
from test_kpi import PLUGIN, SEED

SEEDS = range(SEED, SEED + int(os.environ.get("WEIR_KPI_SEEDS", "3")))
SERVICES = ["cart", "pay", "shop"]


def failed_of(dice, bad, mood):
    """What the failed requests of a slot failed of: of some nobody says."""
    types = Counter(dice.choices(*mood, k=bad))
    types.pop("", None)
    return types


def random_day(dice):
    """Slots of a day, quiet in its first and last half hour, and its maintenance."""
    slots = [(100, 0)] * (DAY_S // SLOT_S)

    def spell(least, most):
        start = dice.randrange(180, len(slots) - 180 - most)
        return range(start, start + dice.randrange(least, most))

    for _ in range(dice.randrange(2, 9)):
        share = dice.choice([1.0, 0.9, 0.5, 0.49, 0.2, 0.05, 0.04])
        flaky = dice.random() < 0.3
        for slot in spell(1, 150):
            if not (flaky and dice.random() < 0.2):
                slots[slot] = (100, round(100 * share))
    for _ in range(dice.randrange(2, 6)):
        at = spell(1, 2).start
        # Failures as long, and as far from each other, as is just enough for something, or just not.
        for _ in range(dice.randrange(2, 6)):
            length, share = dice.choice([1, 2, 5, 6, 7, 29, 30, 31]), dice.choice([100, 100, 20])
            for slot in range(at, min(at + length, len(slots) - 180)):
                slots[slot] = (100, share)
            at += length + dice.choice([1, 2, 2, 3, 4, 29, 30, 31])
    for _ in range(dice.randrange(0, 3)):
        for slot in spell(6, 120):
            slots[slot] = None
    # No slot stands alone in a silence, so that there is no shorter one beside it.
    for slot in range(1, len(slots) - 1):
        if slots[slot] is not None and slots[slot - 1] is None and slots[slot + 1] is None:
            slots[slot] = None
    maintenance = []
    if dice.random() < 0.7:
        start = dice.randrange(180, len(slots) - 540) * SLOT_S
        maintenance.append((start, start + dice.randrange(6, 360) * SLOT_S))
    moods = [(["500", "503", "timeout", ""], weights) for weights in ((1, 0, 0, 0), (0, 4, 1, 1), (1, 1, 1, 1), (0, 0, 0, 1))]
    mood = moods[0]
    for number, slot in enumerate(slots):
        mood = dice.choice(moods) if dice.random() < 0.01 else mood
        slots[number] = slot and (*slot, failed_of(dice, slot[1], mood))
    return slots, maintenance


def resource(service):
    return golden.SERVICE | {"service.name": service, "service.instance.id": f"{service}-1"}


def point_request(service, points):
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(attributes(resource(service)))
    metric = group.scope_metrics.add().metrics.add(name="http.server.request.duration", unit="s")
    metric.histogram.aggregation_temporality = 1
    for slot, code, error, count in points:
        about = {"http.response.status_code": code} | ({"error.type": error} if error else {})
        start = MIDNIGHT_NS + slot * SLOT_S * SECOND_NS
        metric.histogram.data_points.add(
            start_time_unix_nano=start,
            time_unix_nano=start + SLOT_S * SECOND_NS,
            count=count,
            attributes=attributes(about),
        )
    return request.SerializeToString()


def requests_of(dice, days):
    """All requests in a random order, a tenth of the points and of the requests twice."""
    requests = []
    for service, (slots, maintenance) in days.items():
        known = [(number, slot) for number, slot in enumerate(slots) if slot]
        points = [(number, 200, None, valid - bad) for number, (valid, bad, _) in known if valid > bad]
        for number, (_, bad, types) in known:
            points += [(number, 503, error, count) for error, count in types.items()]
            points += [(number, 503, None, bad - types.total())] if bad > types.total() else []
        points += dice.sample(points, len(points) // 10)
        dice.shuffle(points)
        for first in range(0, len(points), 500):
            requests.append(("metrics", point_request(service, points[first : first + 500])))
        for number, (start, end) in enumerate(maintenance):
            times = {"start": MIDNIGHT_NS + start * SECOND_NS, "end": MIDNIGHT_NS + end * SECOND_NS}
            of = {"itops.maintenance.id": f"{service}-{number}"}
            of |= {f"itops.maintenance.{key}": value for key, value in times.items()}
            scheduled = event("itops.maintenance.scheduled", MIDNIGHT_NS, resource(service), of)
            requests.append(("logs", scheduled.SerializeToString()))
    requests += dice.sample(requests, len(requests) // 10)
    dice.shuffle(requests)
    return requests


def test_the_second_implementation_says_of_the_known_day_what_is_known():
    types = [Counter(golden.failed_of(slot * SLOT_S, rank) for rank in range(bad)) for slot, bad in enumerate(golden.failing())]
    slots = [(100, int(bad), of) if bad >= 0 else None for bad, of in zip(golden.failing(), types, strict=True)]
    day, incidents = kpi_reference.kpis(slots, [(golden.at(20), golden.at(20, 30))])
    stated = {"ast_s": 84_600, "up_s": 82_710, "down_s": 1_290, "unknown_s": 600, "bad": 14_100, "mtbf_s": 41_355}
    assert {key: day[key] for key in stated} == stated
    assert (day["incidents"], day["ttd_sum_s"], day["ttr_sum_s"], len(incidents)) == (2, 360, 1_980, 3)
    assert [incident[6] for incident in incidents] == ["503", "500", golden.REFUSED]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_day_is_as_the_second_implementation_says(seed, tmp_path):
    print(f"WEIR_SEED={seed} WEIR_KPI_SEEDS=1")
    dice = random.Random(seed)
    days = {service: random_day(dice) for service in SERVICES}
    weir = Weir(tmp_path, plugins=PLUGIN, write='epoch = "2s"\nfirst_epoch = "500ms"\n')
    try:
        for signal, body in requests_of(dice, days):
            assert post(weir, signal, body).status_code == 200
        weir.wait_processed()
        assert post(weir, "logs", golden.next_day()).status_code == 200
        weir.wait_processed()
        weir.stop()
    finally:
        weir.kill()
    found = {row["service_name"]: row for row in rows(weir.data, "kpi_daily") if row["window_start"] == MIDNIGHT_NS}
    incidents, fingerprints = defaultdict(list), defaultdict(set)
    stored = rows(weir.data, "incidents")
    starts = {row["incident_id"]: (row["started_at"] - MIDNIGHT_NS) // SECOND_NS for row in stored}
    for row in stored:
        clocks = [(row[clock] - MIDNIGHT_NS) // SECOND_NS for clock in ("started_at", "detected_at", "mitigated_at")]
        about = (row["kind"], row["flaps"], row["planned"], row["error_type"], starts.get(row["recurrence_of"]))
        incidents[row["service_name"]].append((*clocks, *about))
        fingerprints[row["service_name"], row["kind"], row["error_type"]].add(row["fingerprint"])
    # One for each that is alike, and none for two that are not.
    assert all(len(alike) == 1 for alike in fingerprints.values())
    assert len(set().union(*fingerprints.values())) == len(fingerprints)
    for service, day in days.items():
        expected, told = kpi_reference.kpis(*day)
        assert sorted(incidents[service], key=lambda one: one[0]) == told, service
        assert {key: found[service][key] for key in expected} == pytest.approx(expected), service
