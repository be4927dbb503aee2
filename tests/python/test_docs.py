"""The queries that the documentation shows: each runs in DuckDB over the tables of a demo, and finds something."""

import re
import subprocess
from pathlib import Path

import duckdb
import pytest

from running import PROGRAM, clean_environment

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUERIES = [
    pytest.param(query, id=f"{page.name}-{number}")
    for page in PAGES
    for number, query in enumerate(re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL), 1)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    command = [PROGRAM, "demo", "--scale", "0.05"]
    options = {"cwd": folder, "env": clean_environment(), "stdin": subprocess.DEVNULL, "timeout": 300}
    subprocess.run(command, check=True, capture_output=True, **options)
    # A demo has no dead letters: these stand in for them.
    dead = folder / "data/_dead_letter/spans/day=2026-03-03"
    dead.mkdir(parents=True)
    duckdb.sql(
        "COPY (SELECT *, 'redact' AS dead_letter_plugin, 'why' AS dead_letter_reason "
        f"FROM read_parquet('{folder}/data/spans/**/*.parquet', hive_partitioning = false) LIMIT 10) "
        f"TO '{dead}/weir-1-1.parquet'"
    )
    return folder


def test_there_are_queries():
    assert len(QUERIES) >= 10


@pytest.mark.parametrize("query", QUERIES)
def test_the_query_runs_and_finds_something(query, folder, monkeypatch):
    monkeypatch.chdir(folder)
    # Counted in the database: times with a zone need a package in Python that nothing else here needs.
    found = duckdb.sql(f"SELECT count(*) FROM ({query.strip().removesuffix(';')})").fetchall()
    assert found[0][0] > 0
