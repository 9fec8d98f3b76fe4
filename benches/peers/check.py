"""Compares the tables of peers with Pagemill's. Usage: check.py [--values] PAGEMILL PEER...

Each is a folder of Parquet files. Every table of a peer has as many rows as Pagemill's, and there are as many tables.
With --values, the values of all columns of the same name are equal too, row by row in the order of the keys; except
`remote_data`, of which peers keep another text, if any. Tables with keys of the peer's own are compared by rows alone.
"""

import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def tables(folder):
    """The files of each table: `members.parquet`, or a folder of its name."""
    found = {}
    for path in sorted(folder.rglob("*.parquet")):
        name = path.stem if path.stem.startswith("members") else path.parent.name.replace("__", "_")
        found.setdefault(name, []).append(path)
    return found


def rows(files):
    return {name: sum(pq.read_metadata(path).num_rows for path in paths) for name, paths in files.items()}


def sorted_by_key(paths, keys):
    table = pa.concat_tables(pq.ParquetFile(path).read() for path in paths)
    return table.sort_by([(key, "ascending") for key in keys])


def different_columns(name, mine, theirs):
    """The columns of a table whose values are not the same."""
    keys = ["id"] if name == "members" else ["members_id", "_index"]
    if not set(keys) <= set(pq.read_schema(theirs[0]).names):
        return []
    mine, theirs = sorted_by_key(mine, keys), sorted_by_key(theirs, keys)
    shared = [column for column in theirs.column_names if column in mine.column_names and column != "remote_data"]
    return [column for column in shared if not mine[column].equals(theirs[column].cast(mine[column].type))]


def compare(mine, peer, values):
    theirs = tables(peer)
    if rows(mine) != rows(theirs):
        sys.exit(f"{peer.name} has other rows: {json.dumps(rows(theirs))}, not {json.dumps(rows(mine))}")
    for name in mine if values else ():
        different = different_columns(name, mine[name], theirs[name])
        if different:
            sys.exit(f"{peer.name} has other values in {name}: {', '.join(different)}")


def main(arguments):
    values = "--values" in arguments
    folder, *peers = [pathlib.Path(argument) for argument in arguments if argument != "--values"]
    mine = tables(folder)
    for peer in peers:
        compare(mine, peer, values)
    print(json.dumps(rows(mine)))


if __name__ == "__main__":
    main(sys.argv[1:])
