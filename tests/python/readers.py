"""Compares every value of every table with what Python's json reads from the same pages.

Usage: readers.py PAGEMILL [MEMBERS]

Saves pages of the simulator in several forms, converts them, and reads the tables back with DuckDB, pyarrow and
Polars. The expected tables are worked out here, from the schema document and the rules in the README alone.
"""

import datetime
import decimal
import gzip
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import duckdb
import polars
import pyarrow
import pyarrow.ipc
import pyarrow.parquet

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"


class Number(str):
    """A number, as it was written."""


def loads(text):
    return json.loads(text, parse_float=Number, parse_int=Number)


def plain(value):
    """JSON with numbers by value, so that texts of the same number are equal."""
    if isinstance(value, Number):
        return decimal.Decimal(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


# --- the expected tables ---------------------------------------------------------------------------------------------

MISFIT = object()
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")


def kind(schema):
    if schema.get("format") == "date-time":
        return "time"
    if schema.get("type") == "object" and not schema.get("properties"):
        return "json"
    return schema.get("type", "json")


def micros(text):
    match = TIME.fullmatch(text)
    if not match:
        return MISFIT
    date, time, fraction, zone = match.groups()
    fraction = (fraction or "").rstrip("0")
    if len(fraction) > 6:
        return MISFIT
    try:
        whole = datetime.datetime.fromisoformat(f"{date}T{time}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return MISFIT
    seconds = (whole - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(seconds=1)
    return seconds * 1_000_000 + int(fraction.ljust(6, "0") or 0)


def scalar(schema, value):
    """The value that the column holds, or MISFIT."""
    which = kind(schema)
    if value is None:
        return None
    if which == "json":
        return plain(value)
    if which == "string":
        return str(value) if isinstance(value, str) else MISFIT
    if which == "boolean":
        return value if isinstance(value, bool) else MISFIT
    if which == "time":
        return micros(value) if isinstance(value, str) and not isinstance(value, Number) else MISFIT
    if which == "integer":
        if isinstance(value, Number):
            exact = decimal.Decimal(value)
            if exact == exact.to_integral_value() and -(2**63) <= exact < 2**63:
                return int(exact)
        return MISFIT
    if which == "number":
        if isinstance(value, Number):
            nearest = float(value)
            if abs(nearest) != float("inf") and decimal.Decimal(repr(nearest)) == decimal.Decimal(value):
                return nearest
        return MISFIT
    raise AssertionError(which)


class Tables:
    def __init__(self, document, account):
        self.document, self.account = document, account
        self.root = document["x-pagemill"]["table"]
        self.key = f"{self.root}_{document['x-pagemill']['key']}"
        self.rows = {}
        self.columns = {}
        self.json_columns = {}
        self.declare(self.root, document, [])
        self.count = 0

    def declare(self, table, schema, keys):
        self.rows[table] = []
        self.columns[table] = {"integrated_account_id": "string", "_row": "integer", **{k: t for k, t in keys}}
        self.members_of(table, schema.get("properties") and schema, keys, "")
        if not schema.get("properties"):
            self.columns[table]["value"] = kind(schema)
        else:
            self.columns[table]["_extra"] = "json"

    def members_of(self, table, schema, keys, prefix):
        for name, member in (schema or {}).get("properties", {}).items():
            name = prefix + name
            if kind(member) == "array":
                self.columns[table][name + "_count"] = "integer"
                below = [(self.key, "string")] if table == self.root else [*keys[:-1], (f"{table}_index", "integer")]
                self.declare(f"{table}_{name}", member["items"], [*below, ("_index", "integer")])
            elif kind(member) == "object":
                self.members_of(table, member, keys, name + "_")
            else:
                self.columns[table][name] = kind(member)

    def add(self, record):
        keys = {"integrated_account_id": self.account, "_row": self.count}
        self.count += 1
        row, extra = dict(keys), {}
        identifier = scalar(self.document["properties"][self.document["x-pagemill"]["key"]], record.get("id"))
        identifier = None if identifier is MISFIT else identifier
        self.object(self.root, self.document, record, row, extra, "", {**keys, self.key: identifier})
        self.finish(self.root, row, extra or None)

    def finish(self, table, row, extra):
        self.rows[table].append({**{name: None for name in self.columns[table]}, **row, "_extra": extra})

    def object(self, table, schema, value, row, extra, prefix, keys):
        """Writes an object's members to `row`, what does not fit to `extra`; true when a column got a value."""
        found = False
        for name, member in value.items():
            declared = schema["properties"].get(name)
            if declared is None:
                extra[name] = plain(member)
            elif member is None:
                pass
            elif kind(declared) == "array":
                if isinstance(member, list):
                    row[prefix + name + "_count"] = len(member)
                    patches = self.list(f"{table}_{prefix}{name}", declared["items"], member, keys)
                    if patches:
                        extra[name] = patches
                    found = True
                else:
                    extra[name] = plain(member)
            elif kind(declared) == "object":
                if isinstance(member, dict):
                    inner = {}
                    some = self.object(table, declared, member, row, inner, prefix + name + "_", keys)
                    if inner or not some:
                        extra[name] = inner
                    found |= some
                else:
                    extra[name] = plain(member)
            else:
                held = scalar(declared, member)
                if held is MISFIT:
                    extra[name] = plain(member)
                else:
                    row[prefix + name] = held
                    found = True
        return found

    def list(self, table, schema, items, keys):
        patches = {}
        for index, item in enumerate(items):
            row, extra = {**keys, "_index": index}, None
            if not schema.get("properties"):
                held = scalar(schema, item)
                if held is MISFIT:
                    patches[str(index)], held = plain(item), None
                row["value"] = held
                self.rows[table].append({**{name: None for name in self.columns[table]}, **row})
                continue
            if isinstance(item, dict):
                extra = {}
                some = self.object(table, schema, item, row, extra, "", {**keys, f"{table}_index": index})
                extra = extra or (None if some else {})
            elif item is not None:
                extra = plain(item)
            self.finish(table, row, extra)
        return patches


# --- reading back ----------------------------------------------------------------------------------------------------


class Value:
    """A JSON value that was read as one, where the other readers give its text."""

    def __init__(self, value):
        self.value = value


# Polars has no type for a JSON value of any shape, and its text of a nested value is not JSON; others compare those.
UNREAD = object()


def compared(tables, table, reader, rows):
    expected = tables.rows[table]
    assert len(rows) == len(expected), f"{reader}: {table} has {len(rows)} rows, {len(expected)} expected"
    columns = tables.columns[table]
    for at, (got, want) in enumerate(zip(rows, expected)):
        for name, which in columns.items():
            value = got[name]
            if value is UNREAD:
                continue
            if isinstance(value, Value):
                value = plain(value.value)
            elif which == "json" and value is not None:
                value = plain(loads(value))
            if value != want[name] or (isinstance(value, bool) != isinstance(want[name], bool)):
                raise SystemExit(f"{reader}: {table} row {at} column {name}: {value!r}, {want[name]!r} expected")
    return len(rows) * len(columns)


def with_duckdb(folder, fmt, columns):
    if fmt == "parquet":
        source = f"read_parquet('{folder}/*.parquet')"
    else:
        types = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "time": "TIMESTAMPTZ", "json": "JSON"}
        shape = ", ".join(f"'{name}': '{types[which]}'" for name, which in columns.items())
        source = f"read_json('{folder}/*.ndjson', format='newline_delimited', columns={{{shape}}}, maximum_object_size=67108864)"
    shown = ", ".join(f'epoch_us("{n}") AS "{n}"' if w == "time" else f'"{n}"' for n, w in columns.items())
    cursor = duckdb.connect().execute(f"SELECT {shown} FROM {source}")
    names = [d[0] for d in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def arrow_rows(table, columns):
    for name, which in columns.items():
        if which == "time":
            at = table.schema.get_field_index(name)
            assert str(table.schema.field(at).type) == "timestamp[us, tz=UTC]", table.schema.field(at)
            table = table.set_column(at, name, table.column(at).cast(pyarrow.int64()))
    return table.to_pylist()


def with_pyarrow(folder, fmt, columns):
    files = sorted(folder.iterdir())
    if fmt == "parquet":
        table = pyarrow.concat_tables(pyarrow.parquet.read_table(f) for f in files)
    else:
        table = pyarrow.concat_tables(pyarrow.ipc.open_file(f).read_all() for f in files)
    return arrow_rows(table, columns)


def with_polars(folder, fmt, columns):
    files = sorted(folder.iterdir())
    if fmt == "parquet":
        frame = polars.concat(polars.read_parquet(f) for f in files)
    elif fmt == "arrow":
        frame = polars.concat(polars.read_ipc(f) for f in files)
    else:
        types = {"string": polars.String, "integer": polars.Int64, "number": polars.Float64, "boolean": polars.Boolean, "time": polars.String, "json": polars.String}
        frame = polars.concat(polars.read_ndjson(f, schema={n: types[w] for n, w in columns.items()}) for f in files)
        rows = frame.to_dicts()
        for row in rows:
            for name, which in columns.items():
                if which == "time" and row[name] is not None:
                    row[name] = micros(row[name])
                if which == "json":
                    row[name] = UNREAD
        return rows
    times = [polars.col(n).dt.epoch("us") for n, w in columns.items() if w == "time"]
    return frame.with_columns(times).to_dicts()


def with_json(folder, _fmt, columns):
    rows = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        assert not data or data.endswith(b"\n")
        text = data.decode("utf-8")
        assert text.count("\n") == len(text.splitlines()), "a row with something that a reader takes for a line break"
        for line in text.splitlines():
            row = json.loads(line)
            exact = loads(line)
            for name, which in columns.items():
                if which == "time" and row[name] is not None:
                    row[name] = micros(row[name])
                if which == "json" and exact[name] is not None:
                    row[name] = Value(exact[name])
            rows.append(row)
    return rows


READERS = {
    "parquet": [with_duckdb, with_pyarrow, with_polars],
    "arrow": [with_pyarrow, with_polars],
    "ndjson": [with_duckdb, with_polars, with_json],
}


# --- the run ---------------------------------------------------------------------------------------------------------


def convert(pagemill, resource, inputs, out, *options):
    command = [pagemill, "convert", *map(str, inputs), "--resource", resource, "--out", str(out), "--account", ACCOUNT, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def digest(folder):
    """What a folder holds: each file's path and content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def saved_pages(pagemill, folder, members):
    """Saves the simulator's pages as it sends them."""
    server = subprocess.Popen([pagemill, "simulate", "--port", "0", "--members", str(members)], stdout=subprocess.PIPE, text=True)
    try:
        base = re.search(r"http://\S+", server.stdout.readline()).group()
        pages, cursor = [], ""
        while cursor is not None:
            query = urllib.parse.urlencode({"integrated_account_id": ACCOUNT, "limit": 1000, "next_cursor": cursor})
            request = urllib.request.Request(f"{base}/unified/instant-messaging/members?{query}", headers={"Authorization": "Bearer t"})
            body = urllib.request.urlopen(request).read()
            path = folder / f"page-{len(pages):05}.json"
            path.write_bytes(body)
            pages.append(path)
            cursor = json.loads(body)["next_cursor"]
        return pages
    finally:
        server.terminate()
        server.wait()


def forms(pages, folder):
    """The same records in other forms: each record's own bytes, in another frame."""
    decoder = json.JSONDecoder()
    texts = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        records, at = [], text.index("[", text.index('"result"')) + 1
        while text[at] != "]":
            start = at
            _, at = decoder.raw_decode(text, at)
            records.append(text[start:at])
            if text[at] == ",":
                at += 1
        texts.append(records)

    def write(form, suffix, frame, pack=lambda data: data):
        to = folder / form
        to.mkdir()
        paths = []
        for n, records in enumerate(texts):
            path = to / f"page-{n:05}.{suffix}"
            path.write_bytes(pack(frame(records).encode("utf-8")))
            paths.append(path)
        return paths

    keyed = lambda records: '{"next_cursor":null,"result":{' + ",".join(f'"k{n}":{r}' for n, r in enumerate(records)) + "}}"
    return {
        "array": write("array", "json", lambda records: "[" + ",".join(records) + "]"),
        "keyed": write("keyed", "json", keyed),
        "ndjson": write("ndjson", "ndjson", lambda records: "".join(r + "\n" for r in records)),
        "gzip": write("gzip", "json.gz", lambda records: '{"result":[' + ",".join(records) + "]}", gzip.compress),
        "one": [join(folder, texts)],
    }


def join(folder, texts):
    path = folder / "all.ndjson"
    path.write_text("\n".join(record for records in texts for record in records), encoding="utf-8")
    return path


KINDS = {
    "x-pagemill": {"table": "things", "key": "id"},
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "count": {"type": "integer"},
        "size": {"type": "number"},
        "flag": {"type": "boolean"},
        "at": {"type": "string", "format": "date-time"},
        "any": {"type": "object"},
        "owner": {"type": "object", "properties": {"id": {"type": "string"}, "rank": {"type": "integer"}}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "parts": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "sizes": {"type": "array", "items": {"type": "number"}}}},
        },
    },
}

THINGS = r"""
{"id":"a","count":9223372036854775807,"size":0.1,"flag":true,"at":"2026-11-23T10:00:00.123456+02:00","any":{"x":[1.50,{"y":null}]}}
{"id":"b","count":-9223372036854775808,"size":1.7976931348623157e308,"flag":false,"at":"1969-12-31T23:59:59.999999Z","any":"text"}
{"id":"c","count":9223372036854775808,"size":1152921504606846976,"flag":"yes","at":"","any":12345678901234567890123}
{"id":7,"count":1.0,"size":5e-324,"at":"2026-11-23T10:00:00.1234567Z","owner":{"id":"o","rank":1.5,"more":[1]}}
{"id":1.50,"count":1e3,"size":-0.0,"at":"2026-11-23 10:00:00.1230000Z","owner":{},"tags":[],"parts":[]}
{"id":null,"count":1.5,"size":1e999,"owner":"me","tags":["x",null,5,{"y":1},"\u2028\u0085\n\u0000\"\\"],"parts":"none"}
{"tags":"x","parts":[{"name":"p","sizes":[1,2.5,null,"big"]},null,{},"odd",{"name":null,"new":true},{"sizes":[]}],"unknown":{"a":{"b":[]}}}
{"any":{},"owner":null,"id":"\ud83d\ude00é\t"}
{"any":[],"id":""}
{}
"""


def check(pagemill, resource, document, inputs, work, name, unable=()):
    tables = Tables(document, ACCOUNT)
    for path in inputs:
        text = path.read_text(encoding="utf-8")
        for record in loads(text)["result"] if text.startswith('{"') and '"result"' in text[:4096] else map(loads, filter(str.strip, text.split("\n"))):
            tables.add(record)
    values = 0
    for fmt, readers in READERS.items():
        out = work / f"{name}-{fmt}"
        convert(pagemill, resource, inputs, out, "--format", fmt)
        written = {path.name for path in out.iterdir()}
        assert written == set(tables.rows), f"{written} written, {set(tables.rows)} expected"
        for table, columns in tables.columns.items():
            for reader in readers:
                if (fmt, reader) in unable:
                    continue
                values += compared(tables, table, f"{fmt} {reader.__name__}", reader(out / table, fmt, columns))
    print(f"{name}: {tables.count} records, {len(tables.rows)} tables, {values} values compared")


def main():
    pagemill = os.path.abspath(sys.argv[1])
    members = int(sys.argv[2]) if len(sys.argv) > 2 else 5_000
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        pages = work / "pages"
        pages.mkdir()
        inputs = saved_pages(pagemill, pages, members)
        document = json.loads(subprocess.run([pagemill, "schema", "instant-messaging/members", "--as", "json-schema"], check=True, stdout=subprocess.PIPE).stdout)
        check(pagemill, "instant-messaging/members", document, inputs, work, "members")

        (work / "forms").mkdir()
        others = forms(inputs, work / "forms")
        for fmt in READERS:
            same = digest(work / f"members-{fmt}")
            for form, paths in others.items():
                out = work / f"{form}-{fmt}"
                convert(pagemill, "instant-messaging/members", paths, out, "--format", fmt)
                assert digest(out) == same, f"{form} gives other {fmt} files"
        print("array, keyed, ndjson, gzip and one file of all: the same files, byte for byte")

        schema = work / "things.json"
        schema.write_text(json.dumps(KINDS))
        things = work / "things.ndjson"
        things.write_text(THINGS.strip(), encoding="utf-8")
        # Polars takes no JSON number beyond its own.
        check(pagemill, str(schema), KINDS, [things], work, "things", unable=[("ndjson", with_polars)])


main()
