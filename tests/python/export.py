"""Exports 100,000 simulated members twice and checks the promise. Usage: export.py PAGEMILL [MEMBERS]

As many rows as were served, each identifier once, in order; the same bytes both times; at most 256 MiB of memory.
Needs duckdb.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import duckdb

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
MOST = 256 << 20


def run(pagemill, url, out):
    """Exports; returns the most memory that the process held, in bytes."""
    command = [pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", str(out), "--base-url", url, "--limit", "1000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "TRUTO_API_TOKEN": "any"})
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss << 10


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main():
    pagemill = os.path.abspath(sys.argv[1])
    members = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    server = subprocess.Popen([pagemill, "simulate", "--port", "0", "--members", str(members)], stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()
        with tempfile.TemporaryDirectory() as work:
            outs = [pathlib.Path(work) / name for name in ("first", "second")]
            peaks = [run(pagemill, url, out) for out in outs]
            rows = duckdb.sql(
                f"""SELECT count(*), count(DISTINCT id), bool_and(_row = place)
                FROM (SELECT id, _row, row_number() OVER () - 1 AS place FROM read_parquet('{outs[0]}/members/*.parquet'))"""
            ).fetchall()[0]
            assert rows == (members, members, True), rows
            assert digest(outs[0]) == digest(outs[1]), "the second run wrote other bytes"
            assert max(peaks) <= MOST, f"{max(peaks) >> 20} MiB"
            print(f"{rows[0]} rows, {rows[1]} identifiers, in order, twice the same bytes; at most {max(peaks) >> 20} MiB")
    finally:
        server.terminate()
        server.wait()


main()
