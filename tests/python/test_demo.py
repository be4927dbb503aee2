"""`weir demo`: what it prints is what its tables say."""

import re
import subprocess

import duckdb
import pytest

from running import PROGRAM, clean_environment

SECONDS_MAX = 300
KPI = {"incidents", "availability", "kpi_hourly", "kpi_daily", "changes", "alerts", "slo", "utilization"}
TABLES = {"spans", "logs", "metrics"} | KPI
# Two runs differ in these.
OF_THE_RUN = "computed_at, revision"


class Demo:
    def __init__(self, folder, *arguments):
        self.to = folder / "data"
        done = subprocess.run(
            [PROGRAM, "demo", "--to", self.to, *arguments],
            cwd=folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        assert done.returncode == 0, done.stderr
        self.stdout, self.stderr = done.stdout, done.stderr

    def section(self, title):
        """What is printed under a title, up to the next one."""
        return self.stdout.split(title)[1].split("\n\n")[0]

    def count(self, table):
        return self.query(f"SELECT count(*) FROM {self.files(table)}")[0][0]

    def files(self, table):
        return f"read_parquet('{self.to}/{table}/**/*.parquet', hive_partitioning = true)"

    def query(self, text):
        return duckdb.connect().sql(text).fetchall()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return Demo(tmp_path_factory.mktemp("demo"), "--scale", "0.1")


def number(text):
    return int(text.replace(",", ""))


def test_it_prints_where_its_tables_are_and_how_many_rows_they_have(demo):
    found = re.findall(rf"^  {re.escape(str(demo.to))}/(\w+)\s+([\d,]+) rows,\s+(\d+) files", demo.stdout, re.MULTILINE)
    assert {table for table, _, _ in found} == TABLES
    for table, rows, files in found:
        assert demo.count(table) == number(rows) > 0
        assert len(list((demo.to / table).rglob("*.parquet"))) == int(files)
    total = number(re.search(r"([\d,]+) rows in [\d.]+ s", demo.stdout).group(1))
    assert total == sum(demo.count(table) for table in ("spans", "logs", "metrics"))


def test_the_services_that_it_prints_are_those_of_the_spans(demo):
    table = demo.section("What the spans say")
    printed = re.findall(r"^  (\S+)\s+([\d,]+)\s+(?:–|([\d.]+) %)\s", table, re.MULTILINE)
    requests = demo.query(
        "SELECT service_name, count(*), round(100 * avg((status_code = 'ERROR')::INT), 2) "
        f"FROM {demo.files('spans')} WHERE kind IN ('SERVER', 'CONSUMER') GROUP BY 1"
    )
    assert len(requests) > 1
    shown = {name: (number(count), float(errors)) for name, count, errors in printed if errors}
    assert set(shown) == {name for name, _, _ in requests}
    for name, count, errors in requests:
        assert shown[name] == (count, pytest.approx(errors, abs=0.0051))


def seconds(text):
    """A duration as printed, in seconds, and the most that rounding takes from it."""
    if text == "–":
        return None
    value, unit = text.split()
    unit = {"s": 1, "min": 60, "h": 3600}[unit]
    return pytest.approx(float(value) * unit, abs=0.06 * unit if unit > 1 else 0.5)


def share(text):
    return None if text == "–" else pytest.approx(float(text.removesuffix(" %")) / 100, abs=0.00051)


VALUE = r"([\d.]+ (?:%|s|min|h)|–)"
KPI_LINE = re.compile(
    rf"(\S+) +{VALUE} +{VALUE} +{VALUE} +{VALUE} +(\d+(?:, \d+ again)?) +{VALUE} +{VALUE} +(\d+ of \d+|–) +([\d,]+|–)"
)


def test_the_kpis_that_it_prints_are_those_of_the_table(demo):
    lines = demo.section("What the KPIs say").splitlines()[2:-1]
    rows = demo.query(
        "SELECT service_name, availability_time, coverage, down_s, degraded_s, incidents, recurring, mttd_s, mttr_s, "
        f"changes, changes_failed, cost FROM {demo.files('kpi_daily')} ORDER BY 1"
    )
    assert len(lines) == len(rows) == 7
    for line, row in zip(lines, rows, strict=True):
        name, uptime, known, down, degraded, incidents, mttd, mttr, changes, cost = KPI_LINE.fullmatch(line.strip()).groups()
        assert name == row[0]
        assert row[1:5] == (share(uptime), share(known), seconds(down), seconds(degraded))
        assert incidents == (f"{row[5]}, {row[6]} again" if row[6] else f"{row[5]}")
        assert row[7:9] == (seconds(mttd), seconds(mttr))
        assert changes == (f"{row[9] - row[10]} of {row[9]}" if row[9] else "–")
        assert number(cost) == round(row[11])


def test_the_kpis_tell_the_story_of_the_day(demo):
    days = demo.query(
        "SELECT service_name, down_s, maintenance_s, incidents, changes_failed, coverage >= 0.99, ast_s + maintenance_s "
        f"FROM {demo.files('kpi_daily')}"
    )
    of = {name: rest for name, *rest in days}
    assert all(covered and length == 86_400 for _, _, _, _, covered, length in of.values())
    # The outage and the deployment, 38 minutes; a probe that comes every 15 s may see them a little late.
    assert of["checkout"][0] == pytest.approx(38 * 60, abs=60)
    assert of["payment"][0] == pytest.approx(12 * 60, abs=60)
    assert of["shipping"][:2] == [0, 30 * 60]
    assert of["checkout"][2:4] == [2, 1]
    incidents = demo.query(f"SELECT incident_id, status, cause_change_id, ttd_s FROM {demo.files('incidents')}")
    told = {id_: rest for id_, *rest in incidents if id_.startswith("inc-")}
    assert told["inc-1002"][1] == "chg-1142"
    assert told["inc-1005"] == ["open", None, None]
    # The signals see in a minute or so what people noticed after three.
    assert told["inc-1001"][2] <= 90
    assert demo.query(f"SELECT count(*) FROM {demo.files('incidents')} WHERE planned") == [(1,)]


def test_the_resources_that_it_prints_are_the_fullest(demo):
    lines = demo.section("The resources nearest to their limits").splitlines()[2:]
    rows = demo.query(
        "SELECT service_name, resource, max(p95) FROM "
        f"{demo.files('utilization')} GROUP BY 1, 2 ORDER BY 3 DESC LIMIT {len(lines)}"
    )
    assert len(lines) == 5
    line_of = re.compile(rf"(\S+) +(\S+) +(\S+) +{VALUE} +{VALUE} +{VALUE}")
    found = [line_of.fullmatch(line.strip()).groups() for line in lines]
    printed = [(name, resource, share(p95)) for name, resource, _, _, p95, _ in found]
    assert [row[2] for row in rows] == [p95 for _, _, p95 in printed]
    assert ("db-host", "system.filesystem") in {row[:2] for row in printed}


def test_no_line_is_wider_than_a_hundred_columns(demo):
    of_folders = str(demo.to)
    assert [line for line in demo.stdout.splitlines() if of_folders not in line and len(line) > 100] == []


def test_the_query_that_it_suggests_runs(demo):
    query = re.search(r"^  (SELECT .*;)", demo.stdout, re.MULTILINE | re.DOTALL).group(1)
    found = demo.query(query.rstrip(";"))
    assert found and all(mttr > 0 and incidents > 0 for _, mttr, incidents in found)


def test_the_day_holds_what_the_story_says(demo):
    assert "What happened" in demo.stdout
    hours = demo.query(f"SELECT count(DISTINCT hour), count(DISTINCT day) FROM {demo.files('spans')}")
    assert hours[0][0] == 24
    assert hours[0][1] <= 2


def test_the_same_seed_gives_the_same_day(demo, tmp_path):
    again = Demo(tmp_path, "--scale", "0.1")
    for table in TABLES:
        left_out = OF_THE_RUN if table in KPI else "day, hour"
        left, right = (f"(SELECT * EXCLUDE ({left_out}) FROM {of.files(table)})" for of in (demo, again))
        assert demo.query(f"SELECT count(*) FROM ({left} EXCEPT ALL {right})") == [(0,)]
        assert demo.query(f"SELECT count(*) FROM ({right} EXCEPT ALL {left})") == [(0,)]


def test_another_seed_gives_another_day(demo, tmp_path):
    other = Demo(tmp_path, "--scale", "0.1", "--seed", "2")
    ids = f"SELECT trace_id FROM {demo.files('spans')} INTERSECT SELECT trace_id FROM {other.files('spans')}"
    assert demo.query(f"SELECT count(*) FROM ({ids})") == [(0,)]
