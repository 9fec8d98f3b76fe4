"""Exports while the clock is wrong, jumps or is slow. Usage: clock.py PAGEMILL. Needs faketime (Debian: faketime).

Whatever the clock says, the same files byte for byte; and a run that lives through a jump ends as any other.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
# What the calendar clock says; the monotonic one, by which timeouts go, is left alone except where the speed is changed.
CLOCKS = {
    "a day ahead": "+1d",
    "a day behind": "-1d",
    "after 2038": "@2038-01-19 03:14:10",
    "a leap day": "@2028-02-29 23:59:58",
    "the end of summer time": "@2026-10-25 02:59:58",
    "half the speed": "+0 x0.5",
    "ten times the speed": "+0 x10",
}


def digest(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def main():
    pagemill = os.path.abspath(sys.argv[1])
    server = subprocess.Popen(
        [pagemill, "simulate", "--port", "0", "--members", "2000", "--fault", "status:503@page=4", "--fault", "429:date=1@page=7"],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()

        def export(out, clock=None):
            command = [pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", str(out), "--base-url", url, "--limit", "100"]
            if clock:
                command = ["faketime", "-f", clock, *command]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TRUTO_API_TOKEN": "any", "TZ": "Europe/Berlin"})
            assert done.returncode == 0, (clock, done.stderr)

        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            export(work / "well")
            well = digest(work / "well")
            for n, (name, clock) in enumerate(CLOCKS.items()):
                export(work / str(n), clock)
                assert digest(work / str(n)) == well, name
            print(f"{len(CLOCKS)} clocks: the same bytes")
    finally:
        server.terminate()
        server.wait()


main()
