"""What docs/analysts.md shows: each query gives the same answer in DuckDB, in DataFusion and in Spark, and over two months
whose KPIs are worked out by hand it gives those; the blocks of Python run. Spark is asked where it is: see in_spark.py."""

import contextlib
import io
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from datafusion import SessionContext
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import in_spark
from running import PROGRAM, Weir, clean_environment
from sending import attributes, post, send
from sending import event as event_of

PAGE = (Path(__file__).parents[2] / "docs/analysts.md").read_text()
BLOCKS = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NINE = {
    int(number): query
    for number, query in re.findall(r"^### (\d)\. .*?^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SPARK = [code for code in SNIPPETS if "spark" in code]

SECOND_NS = 1_000_000_000
PLUGINS = """
[[plugin]]
use = "kpi"
[plugin.limits]
time = "30s"
[plugin.config.cost_per_minute.shop]
sev1 = 10
[[plugin]]
use = "utilization"
[plugin.limits]
time = "30s"
"""


def duck(query):
    connection = duckdb.connect()
    connection.sql("SET TimeZone = 'UTC'")
    return plain(connection.sql(query).to_arrow_table())


def fusion(query):
    return plain(SessionContext().enable_url_table().sql(query).to_arrow_table())


def plain(table):
    """Names and rows; times in nanoseconds, numbers as numbers whatever the engine made them."""

    def value(column):
        if pa.types.is_timestamp(column.type):
            return column.cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()
        if pa.types.is_decimal(column.type):
            return column.cast(pa.float64()).to_pylist()
        return column.to_pylist()

    columns = [value(column) for column in table.columns]
    return table.column_names, [tuple(row) for row in zip(*columns, strict=True)]


def same(row):
    return tuple(pytest.approx(value, rel=1e-12) if isinstance(value, float) else value for value in row)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysts")
    options = {"cwd": folder, "env": clean_environment(), "stdin": subprocess.DEVNULL, "timeout": 300}
    subprocess.run([PROGRAM, "demo", "--scale", "0.05"], check=True, capture_output=True, **options)
    return folder


def at(month, day, hour, minute=0, second=0):
    return int(datetime(2026, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * SECOND_NS


def service(name):
    return {"service.name": name, "service.instance.id": f"{name}-1", "deployment.environment.name": "production"}


def an_hour(start, failing_minutes):
    """Requests of `shop` in an hour, ten a second, of which those of the first minutes fail; and how full a host is:
    half for half an hour, then nine tenths."""
    request = ExportMetricsServiceRequest()
    of_shop, of_host = request.resource_metrics.add(), request.resource_metrics.add()
    of_shop.resource.attributes.extend(attributes(service("shop")))
    of_host.resource.attributes.extend(attributes(service("db") | {"host.name": "db-1"}))
    durations = of_shop.scope_metrics.add().metrics.add(name="http.server.request.duration", unit="s")
    durations.histogram.aggregation_temporality = 1
    memory = of_host.scope_metrics.add().metrics.add(name="system.memory.utilization", unit="1")
    failed = {"http.response.status_code": 503, "error.type": "503"}
    for slot in range(360):
        from_ns = start + slot * 10 * SECOND_NS
        durations.histogram.data_points.add(
            start_time_unix_nano=from_ns,
            time_unix_nano=from_ns + 10 * SECOND_NS,
            count=100,
            attributes=attributes(failed if slot < failing_minutes * 6 else {"http.response.status_code": 200}),
        )
    for minute in range(60):
        memory.gauge.data_points.add(
            time_unix_nano=start + minute * 60 * SECOND_NS,
            as_double=0.5 if minute < 30 else 0.9,
            attributes=attributes({"system.memory.state": "used"}),
        )
    return request


def incident(name, id_, start, severity, minutes, **more):
    """The events of an incident: what, and how many seconds after its start."""
    about = {"id": id_, "impact_start_time": start, "severity": severity, **more}
    about = {f"itops.incident.{key}": value for key, value in about.items()}
    return [(start + after * SECOND_NS, f"incident.{what}", name, about) for what, after in minutes.items()]


def deployment(name, id_, finished, result="success", window=None):
    about = {"itops.change.id": id_, "itops.change.result": result}
    if window:
        about |= {"itops.change.window_start": window[0], "itops.change.window_end": window[1]}
    started = (finished - 300 * SECOND_NS, "deployment.started", name, about)
    return [started, (finished, "deployment.finished", name, about)]


def alert(id_, when, group):
    about = {"itops.alert.id": id_, "itops.alert.fingerprint": id_, "itops.alert.group_key": group}
    return [(when, "alert.fired", "shop", about)]


FEBRUARY, MARCH = at(2, 10, 10), at(3, 5, 12)
TIMELINE = sorted(
    [
        *deployment("shop", "chg-1", at(2, 10, 9, 50), window=(at(2, 10, 9), at(2, 10, 11))),
        *incident(
            "shop",
            "i-1",
            FEBRUARY,
            "sev1",
            {"detected": 30, "acknowledged": 150, "mitigated": 1200, "resolved": 1800},
            fingerprint="pool",
            cause_change_id="chg-1",
        ),
        *alert("a-1", FEBRUARY, "g1"),
        *alert("a-2", FEBRUARY + 60 * SECOND_NS, "g1"),
        *deployment("shop", "chg-2", at(3, 1, 8)),
        *deployment("shop", "chg-3", at(3, 1, 9), result="cancellation"),
        *deployment("pay", "chg-4", at(3, 1, 10)),
        *incident(
            "shop",
            "i-2",
            MARCH,
            "sev1",
            {"detected": 30, "acknowledged": 630, "mitigated": 2400, "resolved": 3600},
            fingerprint="pool",
        ),
        *alert("a-3", MARCH, "g1"),
        *alert("a-4", MARCH + 60 * SECOND_NS, "g2"),
        *incident("pay", "i-3", at(3, 6, 9), "sev3", {"detected": 600}),
        *incident("pay", "i-4", at(3, 6, 10), "sev2", {"detected": 60, "resolved": 7200}, planned=True),
    ],
    key=lambda one: one[0],
)


@pytest.fixture(scope="module")
def two_months(tmp_path_factory):
    """February and March of two services, as told by events and by an hour of metrics in each month."""
    weir = Weir(tmp_path_factory.mktemp("months"), plugins=PLUGINS)
    try:
        for number, start in ((1, FEBRUARY), (2, MARCH)):
            until = at(2, 28, 0) if number == 1 else at(4, 1, 0)
            for when, what, name, about in TIMELINE:
                if (number == 1) == (when < until) or number == 2 and when >= at(2, 28, 0):
                    send(weir, "logs", event_of(f"itops.{what}", when, service(name), about))
            send(weir, "metrics", an_hour(start, 15 * number))
            weir.wait_processed()
            # Two days on, what is silent is gone.
            send(weir, "logs", event_of("clock", start + 48 * 3600 * SECOND_NS, service("clock"), {}))
            weir.wait_processed()
        weir.stop()
        yield weir.folder
    finally:
        weir.kill()


def test_there_are_nine_questions_and_more():
    assert sorted(NINE) == list(range(1, 10)) and len(BLOCKS) >= 12


@pytest.mark.parametrize("query", BLOCKS, ids=lambda query: query.split("\n")[0][:60])
def test_both_engines_give_the_same_answer(query, demo, monkeypatch):
    monkeypatch.chdir(demo)
    (names, rows), (_, others) = duck(query), fusion(query)
    assert rows and names == fusion(query)[0]
    assert [same(row) for row in rows] == others


MONTHS = {2: at(2, 1, 0), 3: at(3, 1, 0)}
ANSWERS = {
    1: [("shop", 45.0, 45.0, 2)],
    2: [("sev1", 30.0, 360.0, 0), ("sev3", None, None, 1)],
    3: [
        (MONTHS[2], "shop", 0.75, 0.04),
        (MONTHS[3], "pay", None, None),
        (MONTHS[3], "shop", 0.5, 0.04),
    ],
    4: [("pay", 1.0, 1), ("shop", 0.5, 2)],
    5: [("pool", "shop", "503", 2, 1)],
    6: [("db", "system.memory", pytest.approx(0.7, abs=0.01), 0.9, 1.0)],
    7: [(MONTHS[2], 0.25, 200.0, None), (MONTHS[3], 0.5, 400.0, 0.25)],
    8: [(0.5, 4)],
    9: [("i-1", "chg-1", True)],
}


@pytest.mark.parametrize("number", ANSWERS)
@pytest.mark.parametrize("engine", [duck, fusion], ids=["duckdb", "datafusion"])
def test_over_two_months_it_gives_the_answer_worked_out_by_hand(number, engine, two_months, monkeypatch):
    monkeypatch.chdir(two_months)
    rows = [row for row in engine(NINE[number])[1] if "clock" not in row]
    assert rows == [same(row) for row in ANSWERS[number]]


@pytest.mark.parametrize("code", [pytest.param(code, id=code.split("\n")[0]) for code in SNIPPETS if "spark" not in code])
def test_the_block_of_python_runs_and_prints_something(code, demo, monkeypatch, capfd):
    monkeypatch.chdir(demo)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/analysts.md", "exec"), {})
    printed = out.getvalue() + capfd.readouterr().out
    assert "checkout" in printed or "inc-1001" in printed, printed


def test_what_pandas_and_polars_print_is_what_a_query_says(two_months, monkeypatch):
    monkeypatch.chdir(two_months)
    scope = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for code in SNIPPETS:
            if "pandas" in code or "polars" in code:
                exec(compile(code, "docs/analysts.md", "exec"), scope)
    assert re.search(r"shop\s+45\.0\s+45\.0\s+2", out.getvalue()), out.getvalue()
    # 75 minutes up and 45 down.
    assert re.search(r"shop\s+┆ 4500\.0 ┆ 2700\.0 ┆ 0\.625", out.getvalue()), out.getvalue()


@pytest.fixture(scope="module")
def spark():
    """How to ask Spark; skips the tests where it is not."""
    if missing := in_spark.missing():
        pytest.skip(missing)
    return in_spark.ask


def test_spark_answers_every_query_of_the_page_as_duckdb_does(spark, demo, monkeypatch):
    monkeypatch.chdir(demo)
    printed, answers = spark(demo, SPARK, BLOCKS)
    assert re.search(r"\|\s*checkout\|\s*25.5\|", printed), "the first block shows a mean of each service"
    assert re.search(r"\|2026-03-0[34] \d\d:\d\d:\d\d", printed), f"the second one shows times of spans: {printed}"
    for query, (names, rows) in zip(BLOCKS, answers, strict=True):
        known, expected = duck(query)
        assert names == known and rows, query
        assert rows == [near(row) for row in expected], query


def test_spark_gives_the_answers_worked_out_by_hand(spark, two_months):
    _, answers = spark(two_months, SPARK[:1], [NINE[number] for number in ANSWERS])
    for number, (_, rows) in zip(ANSWERS, answers, strict=True):
        assert [row for row in rows if "clock" not in row] == [near(row) for row in ANSWERS[number]], number


def near(row):
    """Spark's quotients of decimals have five digits behind the point."""
    return tuple(pytest.approx(value, rel=1e-5) if isinstance(value, float) else value for value in row)
