#!/usr/bin/env python3
"""Where the bytes of files are, and what DuckDB makes of the same rows.

    cargo bench --bench whole -- 200000 keep=target/files
    target/venv/bin/python benches/bytes.py target/files/metrics [--columns]

Each file is copied by DuckDB with its own defaults and zstd, rows in the same order, so that both have as many files with the same
rows. `as one` is a copy of all files to one.
"""

import argparse
import struct
import tempfile
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow.parquet as pq


class Sizes:
    """Bytes of some files: by column, of footers, and of what is neither."""

    def __init__(self, paths):
        self.columns = Counter()
        self.encodings = {}
        self.footers = self.rows = self.all = 0
        for path in paths:
            self.see(path)
        self.rest = self.all - self.footers - self.columns.total()

    def see(self, path):
        self.all += path.stat().st_size
        with path.open("rb") as file:
            file.seek(-8, 2)
            self.footers += struct.unpack("<I", file.read(4))[0] + 12
        metadata = pq.ParquetFile(path).metadata
        self.rows += metadata.num_rows
        for group in range(metadata.num_row_groups):
            for at in range(metadata.num_columns):
                column = metadata.row_group(group).column(at)
                self.columns[column.path_in_schema] += column.total_compressed_size
                encodings = [encoding for encoding in column.encodings if encoding not in ("RLE", "BIT_PACKED")]
                self.encodings[column.path_in_schema] = "+".join(sorted(encodings))


def copied(path, to):
    duckdb.execute("SET preserve_insertion_order = true")
    duckdb.execute(f"COPY (FROM read_parquet('{path}')) TO '{to}' (FORMAT parquet, COMPRESSION zstd)")
    return to


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a table")
    parser.add_argument("--columns", action="store_true", help="column by column")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.rglob("*.parquet"))
    own = Sizes(paths)
    with tempfile.TemporaryDirectory() as folder:
        others = Sizes([copied(path, Path(folder) / f"{at}.parquet") for at, path in enumerate(paths)])
        one = Sizes([copied(arguments.folder / "**" / "*.parquet", Path(folder) / "all.parquet")])

    def line(name, weir, duck, unit=own.rows):
        print(f"{name:<40} {weir / unit:>12.3f} {duck / unit:>12.3f}")

    print(f"{own.rows} rows in {len(paths)} files\n{'bytes a row':<40} {'weir':>12} {'duckdb':>12}")
    line("all", own.all, others.all)
    line("columns", own.columns.total(), others.columns.total())
    line("footers", own.footers, others.footers)
    line("page indexes and the rest", own.rest, others.rest)
    line("all, as one file of DuckDB's", own.all, one.all)
    line("bytes of a footer", own.footers, others.footers, len(paths))
    if arguments.columns:
        for column, size in own.columns.most_common():
            name = column.replace(".list.element", "[]")
            line(name, size, others.columns[column])
            print(f"    {own.encodings[column]} | {others.encodings.get(column)}")


if __name__ == "__main__":
    main()
