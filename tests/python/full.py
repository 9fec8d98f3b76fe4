"""Exports to file systems that are full, out of inodes, or read-only. Usage: full.py PAGEMILL. Needs the right to mount.

Each time the export must fail with exit code 73 or 74, say why and where, and publish nothing; and when there is room again, the
same command must go on, and publish what an export to an ordinary disk does.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"


def digest(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def main():
    pagemill = os.path.abspath(sys.argv[1])
    server = subprocess.Popen([pagemill, "simulate", "--port", "0", "--members", "2000"], stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()

        def export(out):
            command = [pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", str(out), "--base-url", url, "--limit", "100", "--part-rows", "300"]
            return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TRUTO_API_TOKEN": "any"})

        def mount(*options):
            subprocess.run(["mount", *options], check=True)

        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            assert export(work / "whole").returncode == 0
            whole = digest(work / "whole")
            disk = work / "disk"
            disk.mkdir()
            out = disk / "out"
            cases = resumed = 0
            for small, large, reason in (
                [(f"size={kib}k", "size=64m", "No space left") for kib in (8, 64, 128, 200, 300, 400, 500, 600, 700)]
                + [(f"nr_inodes={n}", "nr_inodes=10k", "No space left") for n in (2, 5, 12, 20, 30, 40, 60)]
                + [("ro", "rw", "Read-only")]
            ):
                mount("-t", "tmpfs", "-o", small, "tmpfs", str(disk))
                try:
                    failed = export(out)
                    assert failed.returncode in (73, 74), (small, failed)
                    assert reason in failed.stderr and str(disk) in failed.stderr, failed.stderr
                    assert not out.exists() or not [path for path in out.rglob("*") if path.is_file()], "something is published"
                    mount("-o", f"remount,{large}", str(disk))
                    again = export(out)
                    assert again.returncode == 0, again.stderr
                    assert digest(out) == whole, small
                    cases += 1
                    resumed += "from an unfinished run" in again.stdout
                finally:
                    subprocess.run(["umount", str(disk)], check=True)
            print(f"{cases} file systems without room: nothing published, {resumed} gone on with, all the same in the end")
    finally:
        server.terminate()
        server.wait()


main()
