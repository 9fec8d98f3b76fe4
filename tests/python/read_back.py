"""Reads the files of the example `edge_values` with DuckDB, pyarrow and Polars, and compares every value.

    cargo run -p pagemill-sink-parquet --example edge_values -- DIR
    python tests/python/read_back.py DIR

Needs: duckdb pyarrow polars. Exits with 1 and says what differs.
"""

import datetime
import json
import math
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet

JSON_COLUMNS = {"json", "j"}


def moment(value):
    text = value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds")
    seconds, fraction = text.split(".")
    if fraction == "000000":
        return seconds + "Z"
    return f"{seconds}.{fraction[:3] if fraction.endswith('000') else fraction}Z"


def plain(value, name=""):
    """A value of any reader in the form that `expected.json` has."""
    if value is None:
        return None
    if isinstance(value, dict):
        # A JSON column that a reader has parsed keeps its own members.
        return {k: plain(v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, name) for v in value]
    if isinstance(value, datetime.datetime):
        return moment(value)
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if name in JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    return value


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def check(reader, got, expected, errors):
    if len(got) != len(expected):
        errors.append(f"{reader}: {len(got)} rows, not {len(expected)}")
        return
    for at, (row, wanted) in enumerate(zip(got, expected)):
        row = {k: plain(v, k) for k, v in row.items()}
        for name in wanted:
            if name not in row:
                errors.append(f"{reader}: no column {name!r}")
            elif not same(row[name], wanted[name]):
                errors.append(f"{reader}: row {at}, {name}: {row[name]!r}, not {wanted[name]!r}")


def duck(query):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    # As text where Python's own type is narrower or another time zone would be applied.
    relation = connection.sql(query)
    names = relation.columns
    return [dict(zip(names, row)) for row in relation.fetchall()], dict(zip(names, map(str, relation.types)))


def main():
    folder = Path(sys.argv[1])
    expected = json.loads((folder / "expected.json").read_text())
    errors = []
    parquet, arrow, stream = folder / "rows.parquet", folder / "rows.arrow", folder / "rows.arrows"

    def attempt(reader, read):
        try:
            check(reader, read(), expected, errors)
            print(f"{reader}: read")
        except Exception as error:  # each reader is tried, whatever the others do
            errors.append(f"{reader}: {type(error).__name__}: {error}")

    rows, types = duck(f"SELECT * FROM read_parquet('{parquet}')")
    print("DuckDB's types:", types)
    attempt("DuckDB, Parquet", lambda: rows)
    table = pyarrow.parquet.read_table(parquet)
    print("pyarrow's types:", {f.name: str(f.type) for f in table.schema})
    attempt("pyarrow, Parquet", lambda: table.to_pylist())
    frame = None
    try:
        frame = polars.read_parquet(parquet)
        print("Polars' types:", frame.schema)
    except Exception as error:
        errors.append(f"Polars, Parquet: {error}")
    if frame is not None:
        attempt("Polars, Parquet", frame.to_dicts)
        attempt("Polars, Parquet, lazily", polars.scan_parquet(parquet).collect().to_dicts)
    for name in ["rows.arrow", "compressed.arrow"]:
        attempt(f"pyarrow, {name}", lambda: pyarrow.feather.read_table(folder / name).to_pylist())
        attempt(f"Polars, {name}", lambda: polars.read_ipc(folder / name).to_dicts())
    attempt("pyarrow, rows.arrows", lambda: pa.ipc.open_stream(stream).read_all().to_pylist())
    attempt("Polars, rows.arrows", lambda: polars.read_ipc_stream(stream).to_dicts())

    text = (folder / "rows.ndjson").read_bytes().decode()
    if len(text.splitlines()) != len(expected) or not text.endswith("\n"):
        errors.append("NDJSON: a row holds what Python takes for a line break")
    lines = [json.loads(line) for line in text.splitlines()]
    for at, (got, wanted) in enumerate(zip(lines, expected)):
        if not same(got, wanted):
            errors.append(f"Python, NDJSON: row {at}: {got!r}, not {wanted!r}")
    ndjson = folder / "rows.ndjson"
    ints, _ = duck(f"SELECT \"int\" FROM read_ndjson('{ndjson}')")
    if [row["int"] for row in ints] != [row["int"] for row in expected]:
        errors.append("DuckDB, NDJSON: rows or integers differ")

    print("\n".join(errors) or "all values are equal")
    sys.exit(bool(errors))


main()
