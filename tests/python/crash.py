"""Reads, by DuckDB and pyarrow, every file that readers were shown while runs died. Usage: crash.py FOLDER

The crash test reads with the crates that the sinks write with, and judges by what it has read. In FOLDER it has left each file that
it was shown, once, however often it was shown, as DIGITS.FORMAT, and as DIGITS.FORMAT.rows what it has read: page, index, serving and
text of each row. DuckDB and pyarrow, each for itself, must read the same, so that its verdicts are theirs. Needs duckdb and pyarrow.
"""

import collections
import json
import pathlib
import sys

import duckdb
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

COLUMNS = ["page", "idx", "serve", "text"]


def by_pyarrow(path):
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path, partitioning=None)
    elif path.suffix == ".arrow":
        table = pyarrow.ipc.open_file(path).read_all()
    else:
        table = pyarrow.json.read_json(path)
    return list(zip(*(table.column(name).to_pylist() for name in COLUMNS)))


def by_duckdb(path):
    if path.suffix == ".arrow":
        table = pyarrow.ipc.open_file(path).read_all()
        return duckdb.from_arrow(table).select(*COLUMNS).fetchall()
    reader = "read_parquet" if path.suffix == ".parquet" else "read_json"
    return duckdb.sql(f"SELECT {', '.join(COLUMNS)} FROM {reader}('{path}', hive_partitioning=false)").fetchall()


def main():
    counts, rows = collections.Counter(), 0
    for expected in sorted(pathlib.Path(sys.argv[1]).glob("*.rows")):
        path = expected.with_suffix("")
        if path.suffix == ".txt" or path.stat().st_size == 0:
            continue
        wanted = [tuple(row) for row in json.loads(expected.read_text())]
        for read in (by_pyarrow, by_duckdb):
            assert read(path) == wanted, (path, read.__name__)
        counts[path.suffix[1:]] += 1
        rows += len(wanted)
    assert counts, "nothing to read"
    print(", ".join(f"{count} {name} files" for name, count in counts.items()) + f", {rows} rows: the same, say DuckDB and pyarrow")


main()
