"""The tables that Weir left, as plain Python values."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def files(data, table):
    """The published files of a table."""
    return sorted(path for path in (Path(data) / table).rglob("*.parquet") if "_staging" not in path.parts)


def rows(data, table):
    """Every row of a table as a dictionary: times as nanoseconds, ids as bytes, attributes as their JSON text."""
    found = []
    for path in files(data, table):
        # One file and nothing of its path: `day` and `hour` are not columns of the file.
        stored = pq.ParquetFile(path).read()
        found.extend(plain_table(stored).to_pylist())
    return found


def plain_table(table):
    columns = [plain(column.combine_chunks()) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def plain(array):
    """The array without extension types, and with times as nanoseconds since 1970, whatever the file has."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    if pa.types.is_dictionary(kind):
        return array.dictionary_decode() if not is_extension(kind.value_type) else plain(array.dictionary_decode())
    if pa.types.is_timestamp(kind):
        return array.cast(pa.timestamp("ns", kind.tz)).cast(pa.int64())
    if pa.types.is_list(kind):
        # `flatten` takes the offsets of a slice and its nulls into account; the offsets begin anew.
        lengths = array.value_lengths().fill_null(0).to_pylist()
        offsets, at = [0], 0
        for length in lengths:
            at += length
            offsets.append(at)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), plain(array.flatten()), mask=array.is_null())
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        return pa.StructArray.from_arrays([plain(field) for field in array.flatten()], names, mask=array.is_null())
    return array


def is_extension(kind):
    return isinstance(kind, pa.BaseExtensionType)


def wait_rows(data, table, count, seconds=60):
    """The rows of a table once there are `count` of them."""
    deadline = time.monotonic() + seconds
    while True:
        found = rows(data, table)
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {count} rows in {table} after {seconds} s"
        time.sleep(0.1)
