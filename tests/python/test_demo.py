"""`weir demo`: what it prints is what its tables say."""

import re
import subprocess

import duckdb
import pytest

from running import PROGRAM, clean_environment

SECONDS_MAX = 300


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
    assert {"spans", "logs", "metrics"} <= {table for table, _, _ in found}
    for table, rows, files in found:
        assert demo.count(table) == number(rows) > 0
        assert len(list((demo.to / table).rglob("*.parquet"))) == int(files)
    total = number(re.search(r"([\d,]+) rows in [\d.]+ s", demo.stdout).group(1))
    assert total == sum(demo.count(table) for table in ("spans", "logs", "metrics"))


def test_the_services_that_it_prints_are_those_of_the_spans(demo):
    table = demo.stdout.split("What the tables say")[1].split("Where it is")[0]
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


def test_the_query_that_it_suggests_runs(demo):
    query = re.search(r"^  (SELECT .*;)", demo.stdout, re.MULTILINE | re.DOTALL).group(1)
    # Times with a zone need a package that nothing else here needs, so they stay in the database.
    found = demo.query(f"SELECT hour::VARCHAR, errors FROM ({query.rstrip(';')})")
    assert found and all(errors > 0 for _, errors in found)


def test_the_day_holds_what_the_story_says(demo):
    assert "What happened" in demo.stdout
    hours = demo.query(f"SELECT count(DISTINCT hour), count(DISTINCT day) FROM {demo.files('spans')}")
    assert hours[0][0] == 24
    assert hours[0][1] <= 2


def test_the_same_seed_gives_the_same_day(demo, tmp_path):
    again = Demo(tmp_path, "--scale", "0.1")
    for table in ("spans", "logs", "metrics"):
        left, right = (f"(SELECT * EXCLUDE (day, hour) FROM {of.files(table)})" for of in (demo, again))
        assert demo.query(f"SELECT count(*) FROM ({left} EXCEPT ALL {right})") == [(0,)]
        assert demo.query(f"SELECT count(*) FROM ({right} EXCEPT ALL {left})") == [(0,)]


def test_another_seed_gives_another_day(demo, tmp_path):
    other = Demo(tmp_path, "--scale", "0.1", "--seed", "2")
    ids = f"SELECT trace_id FROM {demo.files('spans')} INTERSECT SELECT trace_id FROM {other.files('spans')}"
    assert demo.query(f"SELECT count(*) FROM ({ids})") == [(0,)]
