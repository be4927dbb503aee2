"""The files are opened by DuckDB, pyarrow and Polars without a word of help, with the types that are documented."""

import json
import math

import duckdb
import polars
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import sample
from reading import files, plain_table, rows
from sending import HOUR_NS, PATHS, send, spans

COMMON = """
time                              TIME
service_name                      TEXT
service_namespace                 TEXT
service_version                   TEXT
service_instance_id               TEXT
environment                       TEXT
resource_attributes               JSON
resource_dropped_attributes_count UINT32
resource_schema_url               TEXT
scope_name                        TEXT
scope_version                     TEXT
scope_attributes                  JSON
scope_dropped_attributes_count    UINT32
schema_url                        TEXT
"""

OWN = {
    "spans": """
trace_id                          FIXED(16)
span_id                           FIXED(8)
parent_span_id                    FIXED(8)
trace_state                       TEXT
name                              TEXT
kind                              TEXT
end_time                          TIME
duration_ns                       INT64
status_code                       TEXT
status_message                    TEXT
adjusted_count                    DOUBLE
events                            LIST(time TIME, name TEXT, attributes JSON, dropped_attributes_count UINT32)
dropped_events_count              UINT32
links                             LIST(trace_id FIXED(16), span_id FIXED(8), trace_state TEXT, attributes JSON, \
dropped_attributes_count UINT32, flags UINT32)
dropped_links_count               UINT32
attributes                        JSON
dropped_attributes_count          UINT32
flags                             UINT32
""",
    "logs": """
observed_time                     TIME
severity_number                   INT32
severity_text                     TEXT
event_name                        TEXT
body                              TEXT
body_type                         TEXT
trace_id                          FIXED(16)
span_id                           FIXED(8)
attributes                        JSON
dropped_attributes_count          UINT32
flags                             UINT32
""",
    "metrics": """
name                              TEXT
description                       TEXT
unit                              TEXT
metadata                          JSON
kind                              TEXT
temporality                       TEXT
monotonic                         BOOL
start_time                        TIME
value_double                      DOUBLE
value_int                         INT64
count                             UINT64
sum                               DOUBLE
min                               DOUBLE
max                               DOUBLE
bounds                            LIST DOUBLE
bucket_counts                     LIST UINT64
scale                             INT32
zero_count                        UINT64
zero_threshold                    DOUBLE
positive_offset                   INT32
positive_bucket_counts            LIST UINT64
negative_offset                   INT32
negative_bucket_counts            LIST UINT64
quantiles                         LIST(quantile DOUBLE, value DOUBLE)
exemplars                         LIST(time TIME, value_double DOUBLE, value_int INT64, trace_id FIXED(16), \
span_id FIXED(8), attributes JSON)
no_recorded_value                 BOOL
attributes                        JSON
flags                             UINT32
""",
}

PROMOTED = """
http_request_method               TEXT
http_response_status_code         INT32
http_route                        TEXT
url_path                          TEXT
server_address                    TEXT
error_type                        TEXT
db_system_name                    TEXT
rpc_service                       TEXT
messaging_system                  TEXT
exception_type                    TEXT
k8s_namespace_name                TEXT
k8s_pod_name                      TEXT
host_name                         TEXT
"""

# How Parquet itself (physical type, logical type, width), DuckDB, pyarrow and Polars call each type.
TYPES = {
    "TIME": (("INT64", "TIMESTAMP NANOS UTC"), "TIMESTAMPTZ_NS", "timestamp[ns, tz=UTC]", "Datetime[ns, UTC]"),
    "TEXT": (("BYTE_ARRAY", "STRING"), "VARCHAR", "string", "String"),
    "JSON": (("BYTE_ARRAY", "JSON"), "JSON", "extension<arrow.json>", "String"),
    "BOOL": (("BOOLEAN", "NONE"), "BOOLEAN", "bool", "Boolean"),
    "INT32": (("INT32", "NONE"), "INTEGER", "int32", "Int32"),
    "INT64": (("INT64", "NONE"), "BIGINT", "int64", "Int64"),
    "UINT32": (("INT32", "UINT32"), "UINTEGER", "uint32", "UInt32"),
    "UINT64": (("INT64", "UINT64"), "UBIGINT", "uint64", "UInt64"),
    "DOUBLE": (("DOUBLE", "NONE"), "DOUBLE", "double", "Float64"),
    "FIXED(16)": (("FIXED_LEN_BYTE_ARRAY 16", "NONE"), "BLOB", "fixed_size_binary[16]", "Binary"),
    "FIXED(8)": (("FIXED_LEN_BYTE_ARRAY 8", "NONE"), "BLOB", "fixed_size_binary[8]", "Binary"),
}
PARQUET, DUCKDB, PYARROW, POLARS = range(4)


def documented(signal):
    """The columns of a table and their types, in their order."""
    return dict(line.split(None, 1) for line in (COMMON + OWN[signal] + PROMOTED).split("\n") if line)


def named(kind, reader):
    """What a reader calls a type."""
    if kind in TYPES:
        return TYPES[kind][reader]
    if kind.startswith("LIST "):
        element = named(kind[5:], reader)
        return {DUCKDB: f"{element}[]", PYARROW: f"list<element: {element}>", POLARS: f"List({element})"}[reader]
    fields = [field.split(" ") for field in kind.removeprefix("LIST(")[:-1].split(", ")]
    fields = [(name, named(inner, reader)) for name, inner in fields]
    if reader == DUCKDB:
        return "STRUCT(" + ", ".join(f"{name} {inner}" for name, inner in fields) + ")[]"
    if reader == PYARROW:
        return "list<element: struct<" + ", ".join(f"{name}: {inner}" for name, inner in fields) + ">>"
    return "List(Struct({" + ", ".join(f"'{name}': {inner}" for name, inner in fields) + "}))"


def leaves(signal):
    """The documented leaf columns of Parquet: path and type."""
    for name, kind in documented(signal).items():
        if kind in TYPES:
            yield name, kind
        elif kind.startswith("LIST "):
            yield f"{name}.list.element", kind[5:]
        else:
            for field in kind.removeprefix("LIST(")[:-1].split(", "):
                inner, inner_kind = field.split(" ")
                yield f"{name}.list.element.{inner}", inner_kind


class Written:
    def __init__(self, weir):
        self.data = weir.data
        self.database = duckdb.connect()

    def glob(self, signal):
        return f"{self.data}/{signal}/**/*.parquet"

    def query(self, text):
        return self.database.sql(text).fetchall()


@pytest.fixture(scope="module")
def written(start):
    weir = start()
    for signal, build in sample.MESSAGES.items():
        send(weir, signal, build())
    # Two days, in several files.
    for hour in range(0, 48, 6):
        send(weir, "spans", spans(f"service {hour % 5}", 250, sample.START_NS + hour * HOUR_NS, 1_000_000))
    weir.stop()
    return Written(weir)


SPANS = sample.COUNTS["spans"] + 8 * 250


@pytest.mark.parametrize("signal", PATHS)
def test_parquet_says_the_type_of_every_column(written, signal):
    expected = {path: named(kind, PARQUET) for path, kind in leaves(signal)}
    for path in files(written.data, signal):
        schema = pq.ParquetFile(path).schema
        found = {}
        for number in range(len(schema.names)):
            column = schema.column(number)
            physical = column.physical_type
            if physical == "FIXED_LEN_BYTE_ARRAY":
                physical += f" {column.length}"
            found[column.path] = (physical, logical(column))
        assert found == expected


def logical(column):
    kind = json.loads(column.logical_type.to_json())
    name = kind["Type"].upper()
    if name == "INT":
        return f"{'INT' if kind['isSigned'] else 'UINT'}{kind['bitWidth']}"
    if name == "TIMESTAMP":
        return f"TIMESTAMP {kind['timeUnit'].removesuffix('econds').removesuffix('os').upper()}OS " + (
            "UTC" if kind["isAdjustedToUTC"] else "local"
        )
    return name


@pytest.mark.parametrize("signal", PATHS)
def test_duckdb_reads_every_column_with_its_type(written, signal):
    found = written.query(f"DESCRIBE SELECT * FROM read_parquet('{written.glob(signal)}', hive_partitioning = false)")
    # DuckDB puts a field in quotes where its name is a word of SQL.
    assert {name: kind.replace('"', "") for name, kind, *_ in found} == {
        name: named(kind, DUCKDB) for name, kind in documented(signal).items()
    }
    assert [name for name, *_ in found] == list(documented(signal))


@pytest.mark.parametrize("signal", PATHS)
def test_pyarrow_reads_every_column_with_its_type(written, signal):
    for path in files(written.data, signal):
        schema = pq.ParquetFile(path).schema_arrow
        found = {field.name: str(field.type) for field in schema}
        assert found == {name: named(kind, PYARROW) for name, kind in documented(signal).items()}
        assert schema.names == list(documented(signal))
        # Only the time is always there: a plugin may take any other value away.
        assert [field.name for field in schema if not field.nullable] == ["time"]


@pytest.mark.parametrize("signal", PATHS)
def test_polars_reads_every_column_with_its_type(written, signal):
    schema = polars.scan_parquet(written.glob(signal), hive_partitioning=False).collect_schema()
    found = {name: polars_name(kind) for name, kind in schema.items()}
    assert found == {name: named(kind, POLARS) for name, kind in documented(signal).items()}


def polars_name(kind):
    if isinstance(kind, polars.List):
        return f"List({polars_name(kind.inner)})"
    if isinstance(kind, polars.Struct):
        return "Struct({" + ", ".join(f"'{field.name}': {polars_name(field.dtype)}" for field in kind.fields) + "})"
    if isinstance(kind, polars.Datetime):
        return f"Datetime[{kind.time_unit}, {kind.time_zone}]"
    return str(kind)


@pytest.mark.parametrize("signal", PATHS)
def test_the_readers_see_the_same_rows(written, signal):
    count = SPANS if signal == "spans" else sample.COUNTS[signal]
    assert written.query(f"SELECT count(*) FROM '{written.glob(signal)}'") == [(count,)]
    assert pyarrow.dataset.dataset(written.data / signal, partitioning="hive").count_rows() == count
    frame = polars.scan_parquet(written.glob(signal), hive_partitioning=True)
    assert frame.select(polars.len()).collect().item() == count
    # Values, not only numbers of rows.
    (sums,) = written.query(f"SELECT sum(epoch_ns(time)::HUGEINT), count(DISTINCT service_name) FROM '{written.glob(signal)}'")
    ours = rows(written.data, signal)
    assert sums == (sum(row["time"] for row in ours), len({row["service_name"] for row in ours}))
    seen = frame.select(polars.col("time").dt.epoch("ns").cast(polars.Int128).sum()).collect().item()
    assert int(seen) == sums[0]


def test_the_folders_are_days_and_hours_of_the_events(written):
    ours = rows(written.data, "spans")
    hours = written.query(f"SELECT day::VARCHAR, hour::INT, count(*), min(time), max(time) FROM "
                          f"(SELECT day, hour, epoch_ns(time) AS time FROM '{written.glob('spans')}') GROUP BY 1, 2")
    assert sum(count for _, _, count, _, _ in hours) == len(ours) == SPANS
    for day, hour, _, first, last in hours:
        (start,) = written.query(f"SELECT epoch_ns(TIMESTAMP_NS '{day} {hour:02}:00:00')")[0]
        assert start <= first <= last < start + HOUR_NS
    # A day is a filter on folders alone, in each reader.
    (day, expected), *_ = written.query(f"SELECT day::VARCHAR, count(*) FROM '{written.glob('spans')}' GROUP BY 1 ORDER BY 2 DESC")
    assert expected < SPANS
    dataset = pyarrow.dataset.dataset(written.data / "spans", partitioning="hive")
    assert dataset.count_rows(filter=pyarrow.dataset.field("day") == day) == expected
    frame = polars.scan_parquet(written.glob("spans"), hive_partitioning=True)
    assert frame.filter(polars.col("day") == polars.lit(day).str.to_date()).select(polars.len()).collect().item() == expected


def test_files_and_folders_are_named_as_documented(written):
    for signal in PATHS:
        for path in files(written.data, signal):
            day, hour = path.parent.parent.name, path.parent.name
            assert path.parent.parent.parent == written.data / signal
            assert len(day) == len("day=2026-03-03") and day.startswith("day=")
            assert len(hour) == len("hour=00") and hour.startswith("hour=")
            writer, epoch, number = path.stem.rsplit("-", 2)
            assert writer == "weir" and epoch.isdigit() and number.isdigit()
    left = [path for path in (written.data / "_staging").rglob("*.parquet")]
    assert left == []


def test_attributes_are_queried_as_json(written):
    spans = f"(SELECT * FROM '{written.glob('spans')}' WHERE name = 'span 1')"
    (row,) = written.query(
        f"""SELECT attributes->>'$."http.route"', attributes->'$."http.response.status_code"',
            (attributes->>'$."http.response.status_code"')::INT, attributes->>'$.text', attributes->>'$.bytes.bytes',
            attributes->>'$.list[5].deep.deeper', json_type(attributes->'$.yes'), attributes->>'$."not a number"',
            resource_attributes->>'$."process.pid"', scope_attributes->>'$.team', json_valid(attributes),
            events[1].attributes->>'$."exception.type"', links[1].attributes->>'$.reason', http_response_status_code
            FROM {spans}"""
    )
    assert row == (
        "/cart/{id}", "200", 200, "grün 🌊 \"quoted\" \\ \n\u0000", "AP+A",
        None, "BOOLEAN", "NaN",
        "4711", "payments", True,
        "Timeout", "retry", 200,
    )  # fmt: skip
    routes = written.query(f"SELECT count(*) FROM '{written.glob('spans')}' WHERE attributes->>'$.number' = '7'")
    assert routes == [(8,)]


def test_a_key_that_appears_twice_appears_twice(written):
    (row,) = [row for row in rows(written.data, "spans") if row["name"] == "span 0"]
    pairs = json.loads(row["attributes"], object_pairs_hook=list)
    assert [value for key, value in pairs if key == "number"] == [-(2**63), "-1"]


def test_values_at_the_edges_of_their_types_are_read_back(written):
    stored = rows(written.data, "metrics")
    metrics = {(row["name"], row["count"], row["value_int"]): row for row in stored}
    assert ("sum", None, 2**63 - 1) in metrics
    assert ("gauge", None, -(2**63)) in metrics
    histogram = metrics["histogram", 2**63 + 1, None]
    assert (histogram["bounds"], histogram["bucket_counts"]) == ([0.75], [1, 2**63])
    assert histogram["exemplars"][0]["trace_id"] == sample.TRACE_ID
    exponential = metrics["exponential", 6, None]
    assert (exponential["positive_offset"], exponential["positive_bucket_counts"]) == (-2, [1, 0, 2])
    assert (exponential["negative_offset"], exponential["negative_bucket_counts"]) == (3, [2])
    assert (exponential["scale"], exponential["zero_count"], exponential["zero_threshold"]) == (-3, 1, 1e-9)
    summary = metrics["summary", 10, None]
    assert summary["quantiles"] == [{"quantile": 0.5, "value": 5.0}, {"quantile": 1.0, "value": math.inf}]
    assert sorted(row["no_recorded_value"] for row in stored if row["kind"] == "gauge") == [False, True, True]
    (nan,) = [row for row in stored if row["value_double"] is not None]
    assert math.isnan(nan["value_double"])


@pytest.mark.parametrize("signal", PATHS)
def test_every_column_carries_its_description(written, signal):
    found = written.query(f"SELECT file_name, key, value FROM parquet_kv_metadata('{written.glob(signal)}')")
    for path in files(written.data, signal):
        said = {key.decode(): value.decode() for name, key, value in found if name == str(path) and key != b"ARROW:schema"}
        assert said["weir.table"] == signal
        described = {name.removeprefix("weir.column."): text for name, text in said.items() if "column" in name}
        assert list(described) == [name for column in documented(signal).items() for name in with_fields(*column)]
        assert all(len(text) > 10 and "\n" not in text for text in described.values()), described


def with_fields(name, kind):
    """A column, and the fields of the structures in it."""
    fields = kind.removeprefix("LIST(")[:-1].split(", ") if kind.startswith("LIST(") else []
    return [name, *(f"{name}[].{field.split(' ')[0]}" for field in fields)]


def test_rows_are_ordered_by_service_and_time(written):
    for path in files(written.data, "spans"):
        keys = [(row["service_name"] or "", row["time"]) for row in pq_rows(path)]
        assert keys == sorted(keys)


def pq_rows(path):
    return plain_table(pq.ParquetFile(path).read(columns=["service_name", "time"])).to_pylist()
