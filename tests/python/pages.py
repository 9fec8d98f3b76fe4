"""Exports very many pages of one record each, and shows what memory each of them takes. Usage: pages.py PAGEMILL [PAGES]

The same export of a tenth of the pages is the measure. Beyond that nothing should grow but what is kept of each cursor: 16 bytes in a set,
which doubles when it is full, and 16 in the journal. 160 bytes a page are allowed for, and 48 MiB for the pages that wait within `--memory`
where the machine is slow, of which a short run may have none: a million pages tell more than a hundred thousand. All records must be there,
once and in order.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"


def export(pagemill, work, pages):
    """The largest memory of the export, in bytes."""
    server = subprocess.Popen([pagemill, "simulate", "--port", "0", "--members", str(pages)], stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()
        out = work / f"{pages}"
        command = [pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", out, "--base-url", url]
        command += ["--limit", "1", "--format", "ndjson", "--nested", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "TRUTO_API_TOKEN": "any"})
        stderr = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, stderr.decode()
        manifest = json.loads(next((work / f"{pages}.pagemill").rglob("manifest.json")).read_text())
        assert (manifest["pages"], manifest["rows"]) == (pages, pages), manifest
        rows = (json.loads(line)["_row"] for path in sorted((out / "members").iterdir()) for line in path.open())
        assert all(row == n for n, row in zip(range(pages), rows, strict=True))
        return usage.ru_maxrss * 1024
    finally:
        server.terminate()
        server.wait()


def main():
    pagemill = os.path.abspath(sys.argv[1])
    pages = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory() as work:
        few, many = (export(pagemill, pathlib.Path(work), n) for n in (pages // 10, pages))
    more = pages - pages // 10
    each = (many - few) / more
    print(f"{pages // 10} pages: {few / 2**20:.1f} MiB; {pages} pages: {many / 2**20:.1f} MiB, {each:.0f} bytes for each page more")
    assert many - few <= 160 * more + (48 << 20), "memory follows the number of pages"


main()
