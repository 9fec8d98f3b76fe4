"""Kills exports at random moments, until each is whole, and asks the server's ledger. Usage: kill.py PAGEMILL [KILLS] [SEED] [KILL|TERM|INT]

A server, `pagemill simulate --ledger --stamp`, writes down what it serves, and goes wrong now and then. `pagemill export` is
killed at a random moment and started again, with the same command, until it says that it has published; then the
next slot begins, until there were so many kills. For every slot DuckDB and pyarrow, each for itself, must find what the
ledger says: every record of every page once, in order, and all of a page from one serving of it that left the server whole.
While an export is at work, its slot is either not to be seen or whole. With TERM or INT a run is asked to end, every
other one twice, which ends it where it is: it has to do so within five seconds, and to say with its exit code why. Needs duckdb and pyarrow.
"""

import collections
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import duckdb
import pyarrow.dataset
import pyarrow.parquet

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
MEMBERS, LIMIT = 6_000, 100
FAULTS = ["fin:3000@p=0.03", "reset:70000@p=0.03", "status:503@p=0.03", "gzip-cut@p=0.02", "429@p=0.01"]


def read_ledger(path):
    """The servings that left whole: (page, request) to the identifiers, in order."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {(line["page"], line["request"]): line["ids"] for line in lines if line["whole"] and line["ids"] is not None}


def by_duckdb(folder):
    return duckdb.sql(
        f"""SELECT CAST(_extra->>'$.ledger.page' AS BIGINT), CAST(_extra->>'$.ledger.idx' AS BIGINT),
                   CAST(_extra->>'$.ledger.serve' AS BIGINT), id, _row
        FROM read_parquet('{folder}/*.parquet', file_row_number=true) ORDER BY filename, file_row_number"""
    ).fetchall()


def by_pyarrow(folder):
    rows = []
    for path in sorted(folder.iterdir()):
        table = pyarrow.parquet.read_table(path, columns=["_extra", "id", "_row"])
        for extra, id_, row in zip(*(table.column(name).to_pylist() for name in ("_extra", "id", "_row"))):
            stamp = json.loads(extra)["ledger"]
            rows.append((stamp["page"], stamp["idx"], stamp["serve"], id_, row))
    return rows


def check(rows, ledger):
    """Every record of every page once, in order, from one serving a page."""
    pages = collections.OrderedDict()
    for page, idx, serve, id_, _ in rows:
        pages.setdefault(page, []).append((idx, serve, id_))
    assert list(pages) == list(range(len(pages))) and len(pages) == -(-MEMBERS // LIMIT), "pages are missing or out of order"
    for page, records in pages.items():
        servings = {serve for _, serve, _ in records}
        assert len(servings) == 1, f"page {page} is of {len(servings)} servings"
        assert [idx for idx, _, _ in records] == list(range(len(records))), f"page {page}"
        assert [id_ for _, _, id_ in records] == ledger[page, servings.pop()], f"page {page} is not what was served"
    assert [row for *_, row in rows] == list(range(MEMBERS)), "_row"


def children(out, slot):
    """Rows of child tables whose record is none, or doubled."""
    for table in sorted(path.name for path in out.iterdir() if path.name != "members"):
        doubled, lost = duckdb.sql(
            f"""SELECT (SELECT count(*) - count(DISTINCT (_row, _index)) FROM read_parquet('{out}/{table}/{slot}/*.parquet')),
                (SELECT count(*) FROM (SELECT _row, members_id FROM read_parquet('{out}/{table}/{slot}/*.parquet')) c
                 ANTI JOIN (SELECT _row, id FROM read_parquet('{out}/members/{slot}/*.parquet')) m ON c._row = m._row AND c.members_id = m.id)"""
        ).fetchall()[0]
        assert (doubled, lost) == (0, 0), f"{table}: {doubled} rows doubled, {lost} without their record"
        short = duckdb.sql(
            f"""SELECT count(*) FROM (SELECT _row, {table.removeprefix('members_')}_count AS n FROM read_parquet('{out}/members/{slot}/*.parquet') WHERE n > 0) m
            LEFT JOIN (SELECT _row, count(*) AS n FROM read_parquet('{out}/{table}/{slot}/*.parquet') GROUP BY 1) c USING (_row) WHERE c.n IS DISTINCT FROM m.n"""
        ).fetchall()[0][0]
        assert short == 0, f"{table}: {short} records have other rows than they should"


def main():
    pagemill = os.path.abspath(sys.argv[1])
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    name = sys.argv[4] if len(sys.argv) > 4 else "KILL"
    # A process that has only just begun has no handler yet, and dies of the signal itself.
    codes = {"KILL": [-signal.SIGKILL], "TERM": [143, -signal.SIGTERM], "INT": [130, -signal.SIGINT]}[name]
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        ledger, out = work / "ledger.ndjson", work / "out"
        serve = [pagemill, "simulate", "--port", "0", "--members", str(MEMBERS), "--stamp", "--gzip", "--ledger", str(ledger)]
        server = subprocess.Popen(serve + [word for fault in FAULTS for word in ("--fault", fault)], stdout=subprocess.PIPE, text=True)
        try:
            url = re.search(r"http://\S+", server.stdout.readline()).group()
            kills = slots = resumed = late = twice = 0
            lengths = [1.0]
            while kills < wanted:
                slot = f"run={slots}"
                command = [pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", str(out), "--base-url", url]
                command += ["--limit", str(LIMIT), "--slot", slot, "--part-rows", "700", "--json"]
                while True:
                    began = time.monotonic()
                    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TRUTO_API_TOKEN": "any"})
                    try:
                        # A run that is let live shows how long one takes; others die somewhere in that time.
                        stdout, stderr = process.communicate(timeout=None if slots == 0 or kills >= wanted else rng.uniform(0, sorted(lengths)[len(lengths) // 2]))
                    except subprocess.TimeoutExpired:
                        process.send_signal(getattr(signal, f"SIG{name}"))
                        asked = time.monotonic()
                        if name != "KILL" and rng.random() < 0.5:
                            time.sleep(rng.uniform(0, 0.02))
                            # It may have ended by itself.
                            twice += process.poll() is None
                            process.send_signal(getattr(signal, f"SIG{name}"))
                        process.communicate()
                        if process.returncode == 0:
                            # It had published before it heard of it.
                            late += 1
                            break
                        assert process.returncode in codes, process.returncode
                        assert time.monotonic() - asked < 5
                        kills += 1
                        there = (out / "members" / slot).exists()
                        late += there
                        if there:
                            check(by_duckdb(out / "members" / slot), read_ledger(ledger))
                        continue
                    assert process.returncode == 0, stderr.decode()
                    report = json.loads(stdout)
                    if report["resumed_pages"] == 0:
                        lengths.append(time.monotonic() - began)
                    resumed += report["resumed_pages"] > 0
                    break
                servings = read_ledger(ledger)
                check(by_duckdb(out / "members" / slot), servings)
                check(by_pyarrow(out / "members" / slot), servings)
                children(out, slot)
                left = [path for path in (work / "out.pagemill" / "members" / slot).iterdir() if path.name not in ("lock", "manifest.json")]
                assert not left, left
                slots += 1
            print(f"{kills} times SIG{name}, {twice} of them twice, {late} with tables in place; {slots} slots whole, {resumed} of them gone on with: 0 lost, 0 doubled, 0 mixed")
        finally:
            server.terminate()
            server.wait()


main()
