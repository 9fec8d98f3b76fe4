"""Cuts the power of a disk while an export writes to it. Usage: power.py PAGEMILL [CUTS] [SEED]. Needs the right to mount loop devices.

The disk is an image with a file system of its own (ext4, and XFS and Btrfs where their tools are). At a random moment the export is
stopped and the image is copied: the copy holds what has reached the device by then, and nothing of what was only in memory, which is what a power
cut leaves. The copy is mounted, so that the file system replays its journal. Each table must then be absent or whole; the same
command must bring it to the bytes of a run that nothing disturbed; and the file system must find nothing wrong with itself.
One cut in four comes right after exit code 0: then everything must be there already, and the same command must say so.

Where strace is, the same is tried with an export whose syncs are left out: what it has published must be gone after such a cut, or
this test could not fail.
"""

import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
WITHOUT_SYNCS = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,syncfs", "-e", "inject=fsync,fdatasync,syncfs:retval=0"]
# Name, size of the image, command that makes it, command that checks it.
KINDS = [
    ("ext4", 96, ["mkfs.ext4", "-q", "-F"], ["e2fsck", "-f", "-n"]),
    ("xfs", 320, ["mkfs.xfs", "-q", "-f"], ["xfs_repair", "-n"]),
    ("btrfs", 128, ["mkfs.btrfs", "-q", "-f", "-R", "free-space-tree"], ["btrfs", "check", "--readonly"]),
]


def tables(out):
    """A digest of each table that is there."""
    found = {}
    for table in sorted(out.iterdir()) if out.exists() else []:
        digest = hashlib.sha256()
        for path in sorted(path for path in table.rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(table)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        found[table.name] = digest.hexdigest()
    return found


def copy(image, to):
    """Copies the image as it is at one instant: until two copies are alike, since the kernel may write meanwhile."""
    before = None
    while True:
        subprocess.run(["cp", "--sparse=always", image, to], check=True)
        now = hashlib.file_digest(open(to, "rb"), "sha256").digest()
        if now == before:
            return
        before = now


class Power:
    """A disk whose power can be cut."""

    def __init__(self, pagemill, url, work, kind):
        self.pagemill, self.url, self.rng = pagemill, url, random.Random(1)
        self.disk, self.image, self.left = work / "disk", work / "image", work / "left"
        self.out = self.disk / "out"
        self.name, self.mib, self.make, self.check = kind
        self.seen, self.lengths = collections.Counter(), []

    def export(self, out, wrapper=()):
        command = [*wrapper, self.pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", str(out), "--base-url", self.url]
        command += ["--limit", "100", "--part-rows", "200", "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TRUTO_API_TOKEN": "any"})

    def finish(self, out):
        process = self.export(out)
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        return json.loads(stdout)

    def mount(self, image):
        subprocess.run(["mount", "-o", "loop", str(image), str(self.disk)], check=True)

    def umount(self):
        subprocess.run(["umount", str(self.disk)], check=True)

    def cut(self, after_the_end, wrapper=()):
        """Begins an export on a new disk and cuts the power; returns whether the export had ended."""
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as file:
            file.truncate(self.mib << 20)
        subprocess.run([*self.make, str(self.image)], check=True, capture_output=True)
        self.mount(self.image)
        process = None
        try:
            # The new file system itself is on the disk.
            subprocess.run(["sync", "-f", str(self.disk)], check=True)
            began = time.monotonic()
            process = self.export(self.out, wrapper)
            try:
                until = None if after_the_end or not self.lengths else self.rng.uniform(0, sorted(self.lengths)[len(self.lengths) // 2])
                _, stderr = process.communicate(timeout=until)
                assert process.returncode == 0, stderr
                self.lengths.append(time.monotonic() - began)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGSTOP)
            copy(self.image, self.left)
            return process.returncode == 0
        finally:
            if process and process.returncode is None:
                process.kill()
                process.communicate()
            self.umount()

    def look(self, ended, whole):
        """Looks at what a cut has left, and has the export done."""
        self.mount(self.left)
        try:
            there = tables(self.out)
            wrong = [table for table, digest in there.items() if whole.get(table) != digest]
            assert not wrong, f"not whole: {wrong}"
            assert not ended or there == whole, f"published, and then gone: {set(whole) - set(there)}"
            report = self.finish(self.out)
            assert not ended or report["already_published"], "published, and then not"
            assert tables(self.out) == whole, "other bytes"
            staged = [path.name for path in (self.disk / "out.pagemill" / "members" / "_").iterdir()]
            assert sorted(staged) == ["lock", "manifest.json"], staged
        finally:
            self.umount()
        if shutil.which(self.check[0]):
            subprocess.run([*self.check, str(self.left)], check=True, capture_output=True)
        self.seen["after the end" if ended else "in mid-run"] += 1
        self.seen["with some tables in place"] += 0 < len(there) < len(whole)
        self.seen["gone on with"] += report["resumed_pages"] > 0
        self.seen["finished by the next run"] += not ended and report["already_published"]

    def control(self, whole):
        """Leaves the syncs out, and returns what is found to be wrong; the kernel may be quick to write by itself, so there are some tries."""
        for _ in range(8):
            assert self.cut(True, WITHOUT_SYNCS)
            try:
                self.look(True, whole)
            except AssertionError as error:
                return str(error)
        raise AssertionError("syncs were left out, and nothing was lost: this test cannot fail")


def main():
    pagemill = os.path.abspath(sys.argv[1])
    cuts = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    server = subprocess.Popen([pagemill, "simulate", "--port", "0", "--members", "2000"], stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            (work / "disk").mkdir()
            Power(pagemill, url, work, KINDS[0]).finish(work / "whole")
            whole = tables(work / "whole")
            for kind in KINDS:
                power = Power(pagemill, url, work, kind)
                power.rng.seed(seed)
                if not shutil.which(power.make[0]):
                    print(f"{power.name}: not tried, there is no {power.make[0]}")
                    continue
                for n in range(cuts):
                    ended = power.cut(n % 4 == 0)
                    try:
                        power.look(ended, whole)
                    except AssertionError as error:
                        raise AssertionError(f"{power.name}, cut {n}: {error}") from error
                print(f"{power.name}: {cuts} cuts, " + ", ".join(f"{n} {what}" for what, n in power.seen.items() if n) + ": nothing lost, nothing half", flush=True)
                if shutil.which(WITHOUT_SYNCS[0]):
                    print(f"{power.name}, without syncs: found out ({power.control(whole)[:40]}…)", flush=True)
    finally:
        server.terminate()
        server.wait()


main()
