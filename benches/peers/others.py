"""The peers: each turns saved pages into eight Parquet tables. Usage: others.py PEER PAGES OUT

One peer a process, so that its memory is its own. Prints as JSON the seconds and the CPU seconds that the work took,
without the start of Python and the import of the packages. Each is written as somebody who knows its library would
write it, in the fastest of the ways that were tried. All get the declared schema; all write Zstandard at level 1.
"""

import concurrent.futures
import importlib
import json
import os
import pathlib
import resource
import sys
import tempfile
import time

CATALOG = pathlib.Path(__file__).parents[2] / "crates/core/catalog"
MEMBERS = json.loads((CATALOG / "members.json").read_text(encoding="utf-8"))
# Where pages are streamed, so many are written at a time: a row group has their rows.
TOGETHER = 10


def kind(schema):
    """What a schema describes: list, struct, json (any object), time, boolean or text."""
    match schema:
        case {"type": "array"}:
            return "list"
        case {"type": "object", "properties": _}:
            return "struct"
        case {"type": "object"}:
            return "json"
        case {"type": "boolean"}:
            return "boolean"
        case {"format": "date-time"}:
            return "time"
    return "text"


def lists():
    """The lists of a member: their names, and what their elements are."""
    return [(name, schema["items"]) for name, schema in MEMBERS["properties"].items() if kind(schema) == "list"]


def columns(schema, path=()):
    """The columns of an object with its structs inlined: the path and the kind of each."""
    for name, member in schema["properties"].items():
        if kind(member) == "struct":
            yield from columns(member, (*path, name))
        elif kind(member) != "list":
            yield (*path, name), kind(member)


# --- DuckDB ----------------------------------------------------------------------------------------------------------

DUCKDB = {"text": "VARCHAR", "time": "TIMESTAMPTZ", "boolean": "BOOLEAN", "json": "JSON"}


def duckdb_type(schema):
    """A type, as in a declaration of columns."""
    if kind(schema) == "list":
        return duckdb_type(schema["items"]) + "[]"
    if kind(schema) == "struct":
        members = [f'"{name}" {duckdb_type(member)}' for name, member in schema["properties"].items()]
        return f"STRUCT({', '.join(members)})"
    return DUCKDB[kind(schema)]


def duckdb_structure(schema):
    """A type, as from_json takes it."""
    if kind(schema) == "list":
        return [duckdb_structure(schema["items"])]
    if kind(schema) == "struct":
        return {name: duckdb_structure(member) for name, member in schema["properties"].items()}
    return DUCKDB[kind(schema)]


def duckdb_columns(schema, value):
    if kind(schema) != "struct":
        return f'{value} AS "value"'
    quoted = [(".".join([value, *map('"{}"'.format, path)]), "_".join(path)) for path, _ in columns(schema)]
    return ", ".join(f'{place} AS "{name}"' for place, name in quoted)


def duckdb_tables(records, source, out):
    """Keeps the records in memory and writes each table from there: to read anew for each table takes far longer."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"CREATE TEMP TABLE members AS SELECT unnest({records}) AS r FROM {source}")

    def copy(table, query):
        options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
        connection.execute(f"COPY ({query}) TO '{out}/{table}.parquet' ({options})")

    copy("members", f"SELECT {duckdb_columns(MEMBERS, 'r')} FROM members")
    for name, item in lists():
        elements = f'unnest(r."{name}") AS e, generate_subscripts(r."{name}", 1) - 1 AS _index'
        elements = f"SELECT r.id AS members_id, {elements} FROM members"
        copy(f"members_{name}", f"SELECT members_id, _index, {duckdb_columns(item, 'e')} FROM ({elements})")


def duckdb_read_json(pages, out):
    options = f"format = 'newline_delimited', columns = {{result: '{duckdb_type(MEMBERS)}[]'}}"
    duckdb_tables("result", f"read_json('{pages}/*.json', {options})", out)


def duckdb_from_json(pages, out):
    structure = json.dumps({"result": [duckdb_structure(MEMBERS)]})
    duckdb_tables(f"from_json(json, '{structure}').result", f"read_ndjson_objects('{pages}/*.json')", out)


# --- pyarrow, and orjson before it -----------------------------------------------------------------------------------


def arrow_type(schema, leaves):
    """A type; members of kinds that are no leaves are left out."""
    import pyarrow as pa

    if kind(schema) == "list":
        return pa.list_(arrow_type(schema["items"], leaves))
    if kind(schema) == "struct":
        members = {n: m for n, m in schema["properties"].items() if kind(m) in (*leaves, "list", "struct")}
        return pa.struct([(name, arrow_type(member, leaves)) for name, member in members.items()])
    return leaves[kind(schema)]


def arrow_columns(schema, values):
    """The columns of an array of structs; times that are text become times."""
    import pyarrow as pa
    import pyarrow.compute as pc

    moment = pa.timestamp("us", "UTC")
    if kind(schema) != "struct":
        return {"value": values}
    found = {}
    for path, which in columns(schema):
        # Only pyarrow's own reader leaves a kind out.
        if which == "json" and path[0] not in [field.name for field in values.type]:
            continue
        column = pc.struct_field(values, list(path))
        found["_".join(path)] = column.cast(moment) if which == "time" else column
    return found


def arrow_list(schema, ids, values):
    """The table of a list: the record's identifier, the element's position, the element's columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parents, items = pc.list_parent_indices(values), values.flatten()
    positions = pc.subtract(pa.array(range(len(items)), pa.int32()), values.offsets.take(parents))
    return pa.table({"members_id": ids.take(parents), "_index": positions, **arrow_columns(schema, items)})


def arrow_tables(members):
    """The eight tables of an array of members."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = {"members": pa.table(arrow_columns(MEMBERS, members))}
    ids = pc.struct_field(members, "id")
    for name, item in lists():
        tables[f"members_{name}"] = arrow_list(item, ids, pc.struct_field(members, name))
    return tables


class ArrowFiles:
    """A Parquet file for each table, written some pages at a time."""

    def __init__(self, out):
        self.out, self.files, self.waiting = out, {}, []

    def add(self, tables):
        self.waiting.append(tables)
        if len(self.waiting) == TOGETHER:
            self.write()

    def write(self):
        import pyarrow as pa
        import pyarrow.parquet as pq

        for name in self.waiting[0] if self.waiting else ():
            table = pa.concat_tables(tables[name] for tables in self.waiting)
            if name not in self.files:
                path = f"{self.out}/{name}.parquet"
                self.files[name] = pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=1)
            self.files[name].write_table(table)
        self.waiting = []

    def close(self):
        self.write()
        for file in self.files.values():
            file.close()


def read_ahead(read, paths):
    """What `read` makes of each path, in order; as many are read at a time as there are processors."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        reading = []
        for path in paths:
            reading.append(pool.submit(read, path))
            if len(reading) > 2 * os.cpu_count():
                yield reading.pop(0).result()
        for rest in reading:
            yield rest.result()


def pyarrow_read_json(pages, out):
    """No type of pyarrow holds any object, so `remote_data` is skipped."""
    import pyarrow as pa
    import pyarrow.json as pj

    leaves = {"text": pa.string(), "boolean": pa.bool_(), "time": pa.timestamp("us", "UTC")}
    schema = pa.schema([("result", pa.list_(arrow_type(MEMBERS, leaves)))])
    parse = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    options = pj.ReadOptions(use_threads=False, block_size=64 << 20)

    def read(path):
        return arrow_tables(pj.read_json(path, options, parse)["result"].combine_chunks().flatten())

    files = ArrowFiles(out)
    for tables in read_ahead(read, sorted(pages.iterdir())):
        files.add(tables)
    files.close()


def orjson_and_pyarrow(pages, out):
    import orjson
    import pyarrow as pa

    leaves = {"text": pa.string(), "boolean": pa.bool_(), "time": pa.string(), "json": pa.string()}
    shape = arrow_type(MEMBERS, leaves)
    files = ArrowFiles(out)
    for path in sorted(pages.iterdir()):
        members = orjson.loads(path.read_bytes())["result"]
        for member in members:
            if member.get("remote_data") is not None:
                member["remote_data"] = orjson.dumps(member["remote_data"]).decode()
        files.add(arrow_tables(pa.array(members, shape)))
    files.close()


# --- Polars ----------------------------------------------------------------------------------------------------------


def polars_type(schema):
    import polars as pl

    if kind(schema) == "list":
        return pl.List(polars_type(schema["items"]))
    if kind(schema) == "struct":
        members = {name: member for name, member in schema["properties"].items() if kind(member) != "json"}
        return pl.Struct({name: polars_type(member) for name, member in members.items()})
    return {"text": pl.String, "boolean": pl.Boolean, "time": pl.Datetime("us", "UTC")}[kind(schema)]


def polars_columns(schema, value):
    if kind(schema) != "struct":
        return [value.alias("value")]
    expressions = []
    for path in [path for path, which in columns(schema) if which != "json"]:
        column = value
        for name in path:
            column = column.struct.field(name)
        expressions.append(column.alias("_".join(path)))
    return expressions


def polars_read_json(pages, out):
    """Page by page; the lines reader takes several times as long. `remote_data` is skipped: any object has no type."""
    import polars as pl

    shape = {"result": pl.List(polars_type(MEMBERS))}
    members = pl.concat(pl.read_json(path, schema=shape).explode("result") for path in sorted(pages.iterdir()))

    def write(table, frame):
        frame.write_parquet(f"{out}/{table}.parquet", compression="zstd", compression_level=1)

    record = pl.col("result").struct
    write("members", members.select(polars_columns(MEMBERS, pl.col("result"))))
    for name, item in lists():
        values = members.select(members_id=record.field("id"), e=record.field(name)).filter(pl.col("e").list.len() > 0)
        elements = values.with_columns(_index=pl.int_ranges(pl.col("e").list.len())).explode("e", "_index")
        write(f"members_{name}", elements.select("members_id", "_index", *polars_columns(item, pl.col("e"))))


# --- dlt -------------------------------------------------------------------------------------------------------------


def dlt_filesystem(pages, out):
    """Its own layout and keys; one process, as by default."""
    import dlt
    import orjson

    @dlt.resource(name="members", primary_key="id", columns={"remote_data": {"data_type": "json"}})
    def members():
        for path in sorted(pages.iterdir()):
            yield orjson.loads(path.read_bytes())["result"]

    destination = dlt.destinations.filesystem(bucket_url=out.as_uri())
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        pipeline = dlt.pipeline("peer", destination=destination, dataset_name="members", pipelines_dir=work)
        pipeline.run(members(), loader_file_format="parquet")


# --- the run ---------------------------------------------------------------------------------------------------------

# What each needs is imported before the clock starts.
PEERS = {
    "duckdb-read_json": (duckdb_read_json, ["duckdb"]),
    "duckdb-from_json": (duckdb_from_json, ["duckdb"]),
    "pyarrow": (pyarrow_read_json, ["pyarrow.json", "pyarrow.compute", "pyarrow.parquet"]),
    "polars": (polars_read_json, ["polars"]),
    "orjson-pyarrow": (orjson_and_pyarrow, ["orjson", "pyarrow.compute", "pyarrow.parquet"]),
    "dlt": (dlt_filesystem, ["dlt", "dlt.destinations", "orjson", "pyarrow.parquet"]),
}


DLT = {"DATA_WRITER__COMPRESSION": "zstd", "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    peer, packages = PEERS[sys.argv[1]]
    pages, out = (pathlib.Path(argument).resolve() for argument in sys.argv[2:])
    os.environ |= DLT
    for package in packages:
        importlib.import_module(package)
    out.mkdir(parents=True)
    used, began = cpu(), time.perf_counter()
    peer(pages, out)
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": cpu() - used}))


if __name__ == "__main__":
    main()
