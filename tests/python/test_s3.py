"""Writing to an S3-compatible store: a real server on loopback, healthy, late, down and failing."""

import re
import time

import duckdb
import pytest

import sample
from reading import rows
from s3 import BUCKET, SECRET, Store
from sending import HOUR_NS, send, spans

DOWN_SECONDS = 4
ROWS = 2_500


@pytest.fixture(scope="module")
def store():
    store = Store()
    yield store
    store.down()


@pytest.fixture
def begin(start, store, tmp_path, request):
    """Starts Weir with a prefix of the test's own."""
    prefix = "shop/" + re.sub("[^a-z0-9]+", "-", request.node.name).strip("-")

    def begin(**options):
        weir = start(**options, to=f"s3://{BUCKET}/{prefix}", write=f'staging = "{tmp_path / "staging"}"', sections=store.config())
        weir.prefix = prefix
        return weir

    return begin


def wait(store, prefix, folder, count, seconds=60):
    """The rows below a prefix, once there are so many."""
    deadline = time.monotonic() + seconds
    while len(found := store.rows(folder, prefix)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} rows after {seconds} s"
        time.sleep(0.25)
    return found


def numbers(found):
    """The ids of the spans that `spans` counts from 1, sorted."""
    return sorted(int.from_bytes(row["span_id"], "big") for row in found)


def test_tables_are_written_to_a_bucket(begin, store, start, tmp_path):
    weir, local = begin(), start()
    for signal, build in sample.MESSAGES.items():
        send(weir, signal, build())
        send(local, signal, build())
    assert weir.stop().written == local.stop().written == sample.COUNTS
    for signal, count in sample.COUNTS.items():
        found = store.rows(tmp_path / "read", f"{weir.prefix}/{signal}")
        assert len(found) == count
        # The rows of a bucket are the rows of a folder.
        assert sorted(map(repr, found)) == sorted(map(repr, rows(local.data, signal)))
    # The layout is the same too, and nothing but whole files is to be seen.
    keys = store.keys(weir.prefix + "/")
    parts = [key.removeprefix(weir.prefix + "/").rsplit("/", 1)[0] for key in keys]
    assert set(parts) == {
        str(path.parent.relative_to(local.data)) for path in local.data.rglob("*.parquet")
    }
    assert all(key.endswith(".parquet") for key in keys)
    glob = tmp_path / "read" / weir.prefix / "spans/**/*.parquet"
    counted = duckdb.sql(f"SELECT count(*) FROM read_parquet('{glob}', hive_partitioning = true)").fetchall()
    assert counted == [(sample.COUNTS["spans"],)]


@pytest.mark.parametrize("when", ["before the start", "after the start"])
def test_a_store_that_is_down_for_some_seconds_loses_and_doubles_nothing(begin, store, tmp_path, when):
    if when == "before the start":
        # A writer that was here before need not ask the store what it wrote.
        earlier = begin()
        earlier.metrics()
        earlier.stop()
    else:
        weir = begin()
    store.down()
    try:
        if when == "before the start":
            weir = begin()
        for hour in range(3):
            send(weir, "spans", spans(f"hour {hour}", ROWS, sample.START_NS + hour * HOUR_NS, 1_000))
        time.sleep(DOWN_SECONDS)
        assert weir.is_alive(), weir.stderr
        assert weir.metrics()['weir_rows_received_total{signal="spans"}'] == 3 * ROWS
    finally:
        store.up()
    found = wait(store, weir.prefix, tmp_path / "read", 3 * ROWS)
    assert numbers(found) == sorted(list(range(1, ROWS + 1)) * 3)
    # What comes after the trouble is written, too, and nothing a second time.
    send(weir, "spans", spans("later", 10, sample.START_NS))
    weir.stop()
    assert len(store.rows(tmp_path / "end", weir.prefix)) == 3 * ROWS + 10


def test_a_writer_that_cannot_know_what_it_wrote_does_not_start(begin, store):
    """It might give a name a second time. Nothing is acknowledged, so nothing is lost."""
    store.down()
    try:
        with pytest.raises(AssertionError, match="cannot list the object store") as refused:
            begin()
    finally:
        store.up()
    assert SECRET not in str(refused.value)


def test_rows_that_a_shutdown_could_not_publish_are_published_by_the_next_start(begin, store, tmp_path):
    weir = begin()
    send(weir, "spans", spans("shop", 7, sample.START_NS))
    store.down()
    try:
        with pytest.raises(AssertionError, match="kept +7 rows"):
            weir.stop()
    finally:
        store.up()
    weir = begin()
    send(weir, "spans", spans("shop", 3, sample.START_NS))
    weir.stop()
    assert len(store.rows(tmp_path / "end", weir.prefix)) == 10


@pytest.mark.parametrize("fault", ["refused", "lost"])
def test_a_store_that_fails_at_times_loses_and_doubles_nothing(begin, store, tmp_path, fault):
    weir = begin()
    store.faults = [fault, None, fault, fault]
    for hour in range(3):
        send(weir, "spans", spans(f"hour {hour}", 100, sample.START_NS + hour * HOUR_NS, 1_000))
    found = wait(store, weir.prefix, tmp_path / "read", 300)
    assert store.faults == [], "the store was not asked often enough to fail"
    weir.stop()
    assert numbers(store.rows(tmp_path / "end", weir.prefix)) == numbers(found) == sorted(list(range(1, 101)) * 3)


def test_an_old_version_of_a_day_that_arrives_late_is_refused(begin, store, tmp_path):
    """Rows that replace others: their file is written on a condition that the server checks."""
    weir = begin(plugins='[[plugin]]\nuse = "kpi"\n')

    def days():
        """The contents of the files of days."""
        keys = (key for key in store.keys(weir.prefix + "/") if key.endswith("/weir.parquet"))
        return {key: store.client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    store.conditions = []
    versions = []
    for life in range(4):
        if life == 2:
            store.faults = ["late"]
        if life > 0:
            weir = begin(plugins='[[plugin]]\nuse = "kpi"\n')
        # An hour later, so that the windows before are closed.
        send(weir, "spans", spans("shop", 10, sample.START_NS + life * HOUR_NS, 1_000))
        weir.stop()
        versions.append(days())
    assert store.faults == [] and len(store.late) == 1
    (late,) = (environ["PATH_INFO"].removeprefix(f"/{BUCKET}/") for environ, _ in store.late)
    assert len({version[late] for version in versions[1:]}) == 3, "the day has changed since"
    assert store.deliver() == [412]
    assert days() == versions[-1]
    of_late = [conditions for path, *conditions in store.conditions if path.endswith(late)]
    assert of_late[0] == [None, "*"], "there was none"
    assert all(match and none_match is None for match, none_match in of_late[1:])


def test_the_secret_is_not_printed(begin, store):
    weir = begin()
    send(weir, "spans", spans("shop", 1, sample.START_NS))
    weir.stop()
    assert SECRET not in weir.stderr
