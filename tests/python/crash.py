"""Reads, by DuckDB and pyarrow, what was published after runs died. Usage: crash.py FOLDER

FOLDER is what the crash test has left: FORMAT/CASE/out is what was published, FORMAT/CASE/served.json says of each serving which
page it was of. Every record must be there once, in order, and all of a page from one serving. Needs duckdb and pyarrow.
"""

import collections
import glob
import json
import pathlib
import sys

import duckdb
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

PAGES, ROWS = 6, 4
COLUMNS = ["page", "idx", "serve"]


def expected(table):
    places = {"m": lambda page: range(ROWS), "m_c": lambda page: (0, 2) if page % 2 else (), "m_e": lambda page: ()}[table]
    return [(page, idx) for page in range(PAGES) for idx in places(page)]


def by_pyarrow(path):
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path, partitioning=None)
    elif path.suffix == ".arrow":
        table = pyarrow.ipc.open_file(path).read_all()
    elif path.stat().st_size == 0:
        return []
    else:
        table = pyarrow.json.read_json(path)
    return list(zip(*(table.column(name).to_pylist() for name in COLUMNS)))


def by_duckdb(path):
    if path.suffix == ".arrow":
        table = pyarrow.ipc.open_file(path).read_all()
        return duckdb.from_arrow(table).select(*COLUMNS).fetchall()
    if path.suffix == ".ndjson" and path.stat().st_size == 0:
        return []
    reader = "read_parquet" if path.suffix == ".parquet" else "read_json"
    return duckdb.sql(f"SELECT page, idx, serve FROM {reader}('{path}', hive_partitioning=false)").fetchall()


def main():
    counts = collections.Counter()
    for case in sorted(glob.glob(f"{sys.argv[1]}/*/*/served.json")):
        case = pathlib.Path(case).parent
        if case.parent.name == "lines":
            continue
        served = json.loads((case / "served.json").read_text())
        servings = {}
        for table in ("m", "m_c", "m_e"):
            for read in (by_pyarrow, by_duckdb):
                rows = [row for path in sorted((case / "out" / table / "d=1").iterdir()) for row in read(path)]
                assert [row[:2] for row in rows] == expected(table), (case, table, read.__name__)
                for page, _, serve in rows:
                    assert servings.setdefault(page, serve) == serve and served[serve] == page, (case, table, page, serve)
        counts[case.parent.name] += 1
    assert counts, "nothing to read"
    print(", ".join(f"{count} of {name}" for name, count in counts.items()) + ": each record once, one serving a page, says DuckDB, says pyarrow")


main()
