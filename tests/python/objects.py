"""Exports to object stores through a proxy that goes wrong. Usage: objects.py PAGEMILL AZURITE [--only s3|az] [--part grid|kill|race|hold|sweep|blind]

The stores are moto's S3 and Azurite, on this machine. PAGEMILL is built with `--features cloud`, AZURITE is the `azurite-blob` of npm.
A server, `pagemill simulate --ledger --stamp`, writes down what it serves.

grid   Each request of a run that nothing disturbs goes wrong once, in each of several ways: 503, 500, 429, a connection that is reset
       before the request is passed on or after it was carried out, 409, the process killed before and after. It is run again until it
       says that it has published. Then the ledger, DuckDB and pyarrow must agree on every record, once, in order, all of a page
       from one serving; and after `gc` nothing may be left but a manifest and the files that it names.
kill   Runs are killed at random moments until each has published.
race   Sixteen processes for one slot: one publishes, the others say so, or that another was first (75).
hold   A run is stopped at work, or its manifest is held on the way, until another has published; then it goes on, and must lose.
sweep  `gc` takes a run at work for dead, before it says that it is about to publish, as it says so, and after: it publishes all or nothing.
blind  The proxy takes the conditions out of all requests: refused, but with --unsafe-single-writer.

What is read is what `pagemill list-files` says. Needs moto[server], boto3, duckdb, pyarrow.
"""

import argparse
import base64
import collections
import concurrent.futures
import hmac
import json
import os
import pathlib
import random
import re
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import boto3
import duckdb
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
AZURE = "devstoreaccount1"
# The key of the emulator, which is the same everywhere.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_")) and "proxy" not in name.lower()}
KINDS = ["503", "500", "429", "reset", "lost", "409", "kill-before", "kill-after"]


class Requests(socketserver.ThreadingTCPServer):
    """Passes requests on, one a connection, and goes wrong with those that it is told to."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream, turns=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.turns = upstream, turns
        self.lock = threading.Lock()
        self.blind = False
        self.hold = None
        self.reset()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    url = property(lambda self: f"http://127.0.0.1:{self.server_address[1]}")

    def reset(self, fault=None, at=None):
        with self.lock:
            self.count, self.fault, self.at, self.seen, self.hit = 0, fault, at, [], None
            self.process, self.started = None, threading.Event()

    def handle_error(self, request, client_address):
        pass  # a client that was killed


def signed_anew(line, headers):
    """With Azure's signature for these headers, if it had one: Azurite checks it."""
    verb, target, _ = line.split(" ")
    values = {name.lower(): value for name, value in headers}
    if not values.get("authorization", "").startswith("SharedKey"):
        return headers
    names = ["content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"]
    names += ["if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"]
    lines = [verb, *("" if values.get(name) == "0" else values.get(name, "") for name in names)]
    lines += sorted(f"{name}:{value}" for name, value in values.items() if name.startswith("x-ms-"))
    path, _, query = target.partition("?")
    lines += [f"/{AZURE}{path}", *sorted(f"{name.lower()}:{value}" for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True))]
    signature = base64.b64encode(hmac.new(base64.b64decode(AZURE_KEY), "\n".join(lines).encode(), "sha256").digest()).decode()
    return [(name, f"SharedKey {AZURE}:{signature}" if name.lower() == "authorization" else value) for name, value in headers]


class Handler(socketserver.BaseRequestHandler):
    def read(self):
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.request.recv(65536)
            if not more:
                return None
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = [line.split(":", 1) for line in lines[1:]]
        headers = [(name, value.strip()) for name, value in headers]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        assert not any(name.lower() in ("transfer-encoding", "expect") for name, _ in headers)
        while len(body) < length:
            more = self.request.recv(1 << 20)
            if not more:
                return None
            body += more
        return lines[0], headers, body

    def handle(self):
        found = self.read()
        if found is None:
            return
        line, headers, body = found
        server = self.server
        with server.lock:
            at = server.count
            server.count += 1
            server.seen.append(urllib.parse.unquote(line))
            fault = server.fault if at == server.at else None
            if fault:
                server.hit = line
        if fault in ("503", "500", "429", "409"):
            return self.refuse(fault)
        if fault == "reset":
            return self.cut()
        if fault == "kill-before":
            return self.kill()
        hold = server.hold
        if hold and line.startswith("PUT") and hold[2] in line:
            hold[0].set()
            hold[1].wait(60)
        if server.blind:
            headers = [(name, value) for name, value in headers if name.lower() not in ("if-none-match", "if-match")]
            headers = signed_anew(line, headers)
        conditional = any(name.lower() in ("if-none-match", "if-match") for name, _ in headers)
        if server.turns and conditional and line.startswith("PUT"):
            with server.turns:
                answer = self.forward(line, headers, body)
        else:
            answer = self.forward(line, headers, body)
        if fault == "lost":
            return self.cut()
        if fault == "kill-after":
            return self.kill()
        self.request.sendall(answer)

    def forward(self, line, headers, body):
        kept = [f"{name}: {value}" for name, value in headers if name.lower() != "connection"]
        head = "\r\n".join([line, *kept, "Connection: close", "", ""])
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream:
            upstream.sendall(head.encode("latin-1") + body)
            answer = bytearray()
            while more := upstream.recv(1 << 20):
                answer += more
        head, rest = bytes(answer).split(b"\r\n\r\n", 1)
        kept = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"keep-alive:"))]
        return b"\r\n".join([*kept, b"Connection: close"]) + b"\r\n\r\n" + rest

    def refuse(self, status):
        code = {"503": "SlowDown", "500": "InternalError", "429": "TooManyRequests", "409": "ConditionalRequestConflict"}[status]
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>'.encode()
        head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.request.sendall(head.encode() + body)

    def cut(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()

    def kill(self):
        self.server.started.wait(10)
        self.server.process.kill()
        self.server.process.wait()


class S3:
    name, scheme = "s3", "s3"

    def __init__(self, work, _):
        self.port = free_port()
        log = open(work / "moto.log", "w")
        self.process = subprocess.Popen([pathlib.Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(self.port)], stdout=log, stderr=log, env=PLAIN)
        await_port(self.port)
        secret = {"aws_access_key_id": "any-key-id", "aws_secret_access_key": "any-secret", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", **secret)
        self.client.create_bucket(Bucket="lake")
        self.fs = pyarrow.fs.S3FileSystem(access_key="any-key-id", secret_key="any-secret", endpoint_override=f"127.0.0.1:{self.port}", scheme="http", region="us-east-1")
        # Moto looks and writes in two steps, so two conditional puts could both find nothing there. The proxy lets them in one by one.
        self.turns = threading.Lock()

    def environment(self, url):
        return {"AWS_ENDPOINT": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "any-key-id", "AWS_SECRET_ACCESS_KEY": "any-secret"}

    def keys(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def uploads(self, prefix):
        found = [upload for upload in self.client.list_multipart_uploads(Bucket="lake").get("Uploads", []) if upload["Key"].startswith(prefix)]
        return {upload["UploadId"]: len(self.client.list_parts(Bucket="lake", Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", [])) for upload in found}

    def forget(self, prefix):
        if keys := self.keys(prefix):
            self.client.delete_objects(Bucket="lake", Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
        for upload in self.client.list_multipart_uploads(Bucket="lake").get("Uploads", []):
            if upload["Key"].startswith(prefix):
                self.client.abort_multipart_upload(Bucket="lake", Key=upload["Key"], UploadId=upload["UploadId"])


class Azure:
    name, scheme = "az", "az"

    def __init__(self, work, azurite):
        self.port = free_port()
        log = open(work / "azurite.log", "w")
        place = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(work / "azurite")]
        self.process = subprocess.Popen([azurite, *place, "--silent", "--skipApiVersionCheck", "--disableTelemetry"], stdout=log, stderr=log, env=PLAIN)
        await_port(self.port)
        self.fs = pyarrow.fs.AzureFileSystem(AZURE, account_key=AZURE_KEY, blob_storage_authority=f"127.0.0.1:{self.port}", dfs_storage_authority=f"127.0.0.1:{self.port}", blob_storage_scheme="http", dfs_storage_scheme="http")
        self.fs.create_dir("lake")
        self.turns = None

    def environment(self, url):
        return {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": url}

    def keys(self, prefix):
        places = [f"lake/{prefix}", f"lake/{prefix}.pagemill"]
        found = [self.fs.get_file_info(pyarrow.fs.FileSelector(place, recursive=True, allow_not_found=True)) for place in places]
        return {info.path.removeprefix("lake/") for infos in found for info in infos if info.is_file}

    def uploads(self, _):
        # Blocks of a blob that was never completed cannot be listed, and vanish after a week.
        return {}

    def forget(self, _):
        # All of it is in a folder that goes at the end.
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a store does not start")


class Source:
    """The simulator, and what it has served whole."""

    def __init__(self, pagemill, work, members, limit):
        self.members, self.limit = members, limit
        self.path, self.at, self.served, self.lock = work / f"served-{members}.ndjson", 0, {}, threading.Lock()
        command = [pagemill, "simulate", "--port", "0", "--members", str(members), "--stamp", "--ledger", self.path]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=PLAIN)
        self.url = re.search(r"http://\S+", self.process.stdout.readline()).group()

    def ledger(self):
        with self.lock:
            with self.path.open("rb") as file:
                file.seek(self.at)
                new = file.read()
            new = new[: new.rfind(b"\n") + 1]
            self.at += len(new)
            for line in map(json.loads, new.splitlines()):
                if line["whole"] and line["ids"] is not None:
                    self.served[line["page"], line["request"]] = line["ids"]
            return self.served


def check(rows, source):
    """Every record of every page once, in order, from one serving a page."""
    ledger = source.ledger()
    pages = collections.OrderedDict()
    for page, idx, serve, id_, _ in rows:
        pages.setdefault(page, []).append((idx, serve, id_))
    assert list(pages) == list(range(-(-source.members // source.limit))), "lost or doubled: pages are missing or out of order"
    for page, records in pages.items():
        servings = {serve for _, serve, _ in records}
        assert len(servings) == 1, f"mixed: page {page} is of {len(servings)} servings"
        assert [idx for idx, _, _ in records] == list(range(len(records))), f"lost or doubled: page {page}"
        assert [id_ for _, _, id_ in records] == ledger[page, servings.pop()], f"lost or doubled: page {page} is not what was served"
    assert [row for *_, row in rows] == list(range(source.members)), "lost or doubled: _row"


class Place:
    """A prefix in a store, and how `pagemill` is run there."""

    def __init__(self, pagemill, store, source, prefix):
        self.pagemill, self.store, self.source, self.prefix = pagemill, store, source, prefix
        self.url = f"{store.scheme}://lake/{prefix}"

    def command(self, *more, slot="dt=1"):
        command = [self.pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--base-url", self.source.url]
        return [*command, "--limit", str(self.source.limit), "--out", self.url, "--slot", slot, "--json", *more]

    def start(self, url, *more, slot="dt=1"):
        environment = {**PLAIN, **self.store.environment(url), "TRUTO_API_TOKEN": "any"}
        return subprocess.Popen(self.command(*more, slot=slot), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def direct(self, *command):
        environment = {**PLAIN, **self.store.environment(f"http://127.0.0.1:{self.store.port}")}
        done = subprocess.run([self.pagemill, *command], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def listed(self, *more):
        return json.loads(self.direct("list-files", self.url, "--json", *more))

    def path(self, file):
        return file["path"].removeprefix(f"{self.store.scheme}://")

    def check(self, slot="dt=1", listed=None):
        """Reads the members of a slot by pyarrow and by DuckDB, each for itself, and compares them with the ledger."""
        listed = listed or self.listed("--slot", slot)
        paths = [self.path(file) for file in listed if file["table"] == "members" and file["slot"] == slot]
        rows = []
        with tempfile.TemporaryDirectory() as copies:
            for at, path in enumerate(paths):
                with self.store.fs.open_input_stream(path) as file:
                    pathlib.Path(copies, f"{at:05}").write_bytes(file.read())
                table = pyarrow.parquet.read_table(pathlib.Path(copies, f"{at:05}"), columns=["_extra", "id", "_row"])
                for extra, id_, row in zip(*(table.column(name).to_pylist() for name in ("_extra", "id", "_row"))):
                    stamp = json.loads(extra)["ledger"]
                    rows.append((stamp["page"], stamp["idx"], stamp["serve"], id_, row))
            check(rows, self.source)
            query = """SELECT CAST(_extra->>'$.ledger.page' AS BIGINT), CAST(_extra->>'$.ledger.idx' AS BIGINT),
                              CAST(_extra->>'$.ledger.serve' AS BIGINT), id, _row
                FROM read_parquet(?, file_row_number=true) ORDER BY filename, file_row_number"""
            check(duckdb.connect().execute(query, [f"{copies}/*"]).fetchall(), self.source)
        return paths

    def readers(self, slot):
        """As the README says."""
        paths = [self.path(file) for file in self.listed("--table", "members", "--slot", slot)]
        members = pyarrow.dataset.dataset(paths, filesystem=self.store.fs)
        assert members.to_table(columns=["id"]).num_rows == self.source.members
        assert duckdb.sql("SELECT count(*), count(DISTINCT _row) FROM members").fetchall() == [(self.source.members,) * 2]

    def left(self, listed=None):
        """What is there beside manifests and the files that they name, after `gc`; and uploads that were begun and not ended."""
        self.direct("gc", self.url, "--older-than", "0", "--yes")
        listed = listed or self.listed()
        named = {self.path(file).removeprefix("lake/") for file in listed}
        slots = {(file["dataset"], file["slot"] or "_") for file in listed}
        named |= {f"{self.prefix}.pagemill/{dataset}/{slot}/manifest.json" for dataset, slot in slots}
        there = self.store.keys(self.prefix)
        assert named <= there, f"lost: {named - there}"
        return there - named, self.store.uploads(self.prefix)


def until_published(place, proxy, *more, kill=None):
    """Runs until it says that it has published; gives what each time came of it."""
    codes = []
    for _ in range(6):
        process = place.start(proxy.url, *more)
        with proxy.lock:
            proxy.process = process
            proxy.started.set()
        stdout, stderr = process.communicate(timeout=240)
        codes.append(process.returncode)
        if process.returncode == 0:
            return codes, json.loads(stdout)
        assert process.returncode in (73, 74, 75, 76, -signal.SIGKILL), f"{codes}: {stderr}"
    raise AssertionError(f"it is never published: {codes}: {stderr}")


def grid(pagemill, store, sources, counts, workers):
    """Each request of a run, each way to go wrong."""
    small = (sources["small"], ["--nested", "--part-rows", "80"])
    large = (sources["large"], ["--nested", "--compression", "none"])
    cases = []
    for name, (source, more) in {"small": small, "large": large}.items():
        proxy = Requests(store.port)
        place = Place(pagemill, store, source, f"grid-{name}-clean")
        until_published(place, proxy, *more)
        place.check()
        calls = list(proxy.seen)
        counts[f"{store.name}: requests of an undisturbed run, {name}"] = len(calls)
        assert any("uploads" in call or "comp=block" in call for call in calls) == (name == "large"), calls
        # Of the large run only what has to do with its upload in pieces: the rest is as in the small one.
        about = [at for at, call in enumerate(calls) if name == "small" or re.search(r"uploads|uploadId|comp=block|/upload-|part-", call)]
        cases += [(name, source, more, kind, at) for at in about for kind in KINDS]
        store.forget(place.prefix)
        proxy.shutdown()

    proxies = collections.deque(Requests(store.port) for _ in range(workers))

    def one(case):
        name, source, more, kind, at = case
        proxy = proxies.popleft()
        place = Place(pagemill, store, source, f"grid-{name}-{kind}-{at}")
        try:
            proxy.reset(kind, at)
            codes, _ = until_published(place, proxy, *more)
            assert proxy.hit, "there was no such request"
            listed = place.listed()
            place.check(listed=listed)
            left, uploads = place.left(listed)
            assert not left, f"left behind: {left}"
            # Nobody knows the name of an upload whose beginning was not answered, or that was killed before it noted it. It holds nothing.
            begun = "?uploads" in proxy.hit and kind in ("lost", "kill-after") or "/upload-" in proxy.hit and kind == "kill-before"
            assert not any(uploads.values()) and (begun or not uploads), f"left behind: {uploads}, {proxy.hit}"
            return kind, codes, len(uploads)
        except Exception as error:
            raise AssertionError(f"{store.name} {name} {kind} at request {at} ({proxy.hit}): {error}") from error
        finally:
            store.forget(place.prefix)
            proxies.append(proxy)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for kind, codes, uploads in pool.map(one, cases):
            if counts[f"{store.name}: cases"] % 100 == 99:
                print(f"  {store.name}: {counts[f'{store.name}: cases'] + 1} of {len(cases)} cases", flush=True)
            counts[f"{store.name}: cases"] += 1
            counts[f"{store.name}: cases of {kind}"] += 1
            counts[f"{store.name}: cases that took a second run"] += len(codes) > 1
            counts[f"{store.name}: empty uploads that nobody knows of"] += uploads
    for proxy in proxies:
        proxy.shutdown()


def kill(pagemill, store, source, counts, wanted, rng):
    """Killed at random moments, with all tables."""
    proxy = Requests(store.port)
    place = Place(pagemill, store, source, "kill")
    kills = slots = 0
    lengths = [2.0]
    while kills < wanted:
        slot = f"run={slots}"
        while True:
            began = time.monotonic()
            process = place.start(proxy.url, "--part-rows", "60", slot=slot)
            try:
                wait = None if slots == 0 or kills >= wanted else rng.uniform(0.2, 1.1) * sorted(lengths)[len(lengths) // 2]
                stdout, stderr = process.communicate(timeout=wait)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                continue
            assert process.returncode == 0, stderr
            report = json.loads(stdout)
            if report["resumed_pages"] == 0 and not report["already_published"]:
                lengths.append(time.monotonic() - began)
            counts[f"{store.name}: killed runs that were gone on with"] += report["resumed_pages"] > 0
            break
        place.check(slot)
        slots += 1
    left, uploads = place.left()
    assert not left and not any(uploads.values()), (left, uploads)
    counts[f"{store.name}: kills at random moments"] += kills
    counts[f"{store.name}: slots of killed runs, whole"] += slots
    place.readers("run=0")
    place.direct("verify", place.url)
    store.forget("kill")
    proxy.shutdown()


def race(pagemill, store, source, counts, rounds, processes, rng):
    proxy = Requests(store.port, store.turns)
    place = Place(pagemill, store, source, "race")
    for n in range(rounds):
        slot = f"run={n}"
        runs = [place.start(proxy.url, "--nested", "--part-rows", "80", slot=slot) for _ in range(processes)]
        stopped = rng.sample(runs, 4)
        time.sleep(rng.uniform(0, 0.5))
        for run in stopped:
            run.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0, 0.5))
        for run in stopped:
            run.send_signal(signal.SIGCONT)
        published = 0
        for run in runs:
            stdout, stderr = run.communicate(timeout=240)
            if run.returncode == 0:
                already = json.loads(stdout)["already_published"]
                published += not already
                counts[f"{store.name}: racers that say it is published" if already else f"{store.name}: racers that publish"] += 1
            else:
                assert run.returncode == 75 and "another run of this slot has published" in stderr, (run.returncode, stderr)
                counts[f"{store.name}: racers that say another was first (75)"] += 1
        assert published == 1, f"{published} have published {slot}"
        place.check(slot)
    left, uploads = place.left()
    assert not left and not uploads, (left, uploads)
    counts[f"{store.name}: rounds of {processes} processes"] += rounds
    store.forget("race")
    proxy.shutdown()


def hold(pagemill, store, source, counts, rng):
    """One that stands still must not win later."""
    proxy = Requests(store.port)
    place = Place(pagemill, store, source, "hold")
    more = ["--nested", "--part-rows", "80"]
    for n in range(6):
        slot = f"run={n}"
        proxy.reset()
        if n < 3:
            holder = place.start(proxy.url, *more, slot=slot)
            while not any(f"{slot}/" in call and "/journal-000001" in call and call.startswith("PUT") for call in list(proxy.seen)):
                assert holder.poll() is None, holder.communicate()
                time.sleep(0.005)
            holder.send_signal(signal.SIGSTOP)
            go_on = lambda: holder.send_signal(signal.SIGCONT)
        else:
            # Its manifest is on the way, and arrives late.
            proxy.hold = (threading.Event(), threading.Event(), "manifest.json")
            go_on = proxy.hold[1].set
            holder = place.start(proxy.url, *more, slot=slot)
            assert proxy.hold[0].wait(60)
        other = place.start(f"http://127.0.0.1:{store.port}", *more, slot=slot)
        stdout, stderr = other.communicate(timeout=240)
        assert other.returncode == 0 and not json.loads(stdout)["already_published"], stderr
        before = place.listed("--slot", slot)
        go_on()
        stdout, stderr = holder.communicate(timeout=240)
        proxy.hold = None
        assert holder.returncode == 75 or json.loads(stdout)["already_published"], (holder.returncode, stdout, stderr)
        assert place.listed("--slot", slot) == before, "it has taken the other's place"
        place.check(slot)
        counts[f"{store.name}: holders that stood still and lost"] += 1
    left, uploads = place.left()
    assert not left and not uploads, (left, uploads)
    store.forget("hold")
    proxy.shutdown()


def sweep(pagemill, store, source, counts):
    """One that is taken for dead while it is about to publish."""
    proxy = Requests(store.port)
    place = Place(pagemill, store, source, "sweep")
    more = ["--nested", "--part-rows", "80"]
    for n, name in enumerate(["/journal-000001", "/committing", "manifest.json"] * 2):
        slot = f"run={n}"
        proxy.hold = (threading.Event(), threading.Event(), name)
        run = place.start(proxy.url, *more, slot=slot)
        assert proxy.hold[0].wait(60)
        go_on, proxy.hold = proxy.hold[1].set, None
        place.direct("gc", place.url, "--older-than", "0", "--yes")
        go_on()
        stdout, stderr = run.communicate(timeout=240)
        if name == "manifest.json":
            # It has said so already, and is left alone.
            assert run.returncode == 0 and not json.loads(stdout)["already_published"], (run.returncode, stderr)
            counts[f"{store.name}: swept as they published: left alone"] += 1
        else:
            assert run.returncode == 74 and "nothing was published" in stderr, (run.returncode, stdout, stderr)
            assert not any(key.endswith(f"{slot}/manifest.json") for key in store.keys("sweep"))
            other = place.start(f"http://127.0.0.1:{store.port}", *more, slot=slot)
            stdout, stderr = other.communicate(timeout=240)
            assert other.returncode == 0 and not json.loads(stdout)["already_published"], stderr
            counts[f"{store.name}: swept before they published: given up, and run again"] += 1
        place.check(slot)
    left, uploads = place.left()
    assert not left and not uploads, (left, uploads)
    place.direct("verify", place.url)
    store.forget("sweep")
    proxy.shutdown()


def blind(pagemill, store, source, counts):
    """A store that takes conditions and disregards them."""
    proxy = Requests(store.port)
    proxy.blind = True
    place = Place(pagemill, store, source, "blind")
    process = place.start(proxy.url, "--nested")
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == 78 and "--unsafe-single-writer" in stderr, (process.returncode, stderr)
    assert not store.keys("blind"), (store.keys("blind"), stderr)
    process = place.start(proxy.url, "--nested", "--unsafe-single-writer")
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    place.check()
    left, uploads = place.left()
    assert not left and not uploads, (left, uploads)
    counts[f"{store.name}: disregards conditions: refused, and let in when told to"] += 1
    store.forget("blind")
    proxy.shutdown()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pagemill")
    parser.add_argument("azurite")
    parser.add_argument("--only", choices=["s3", "az"])
    parser.add_argument("--part", action="append", choices=["grid", "kill", "race", "hold", "sweep", "blind"])
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    pagemill, azurite = os.path.abspath(options.pagemill), os.path.abspath(options.azurite)
    parts = options.part or ["blind", "hold", "sweep", "race", "kill", "grid"]
    counts, rng, running = collections.Counter(), random.Random(1), []
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        try:
            sources = {"small": Source(pagemill, work, 240, 40), "large": Source(pagemill, work, LARGE, 800)}
            running += sources.values()
            for kind in [S3, Azure]:
                if options.only not in (None, kind.name):
                    continue
                store = kind(work, azurite)
                running.append(store)
                for part in parts:
                    began = time.monotonic()
                    small = sources["small"]
                    match part:
                        case "grid":
                            grid(pagemill, store, sources, counts, options.workers)
                        case "kill":
                            kill(pagemill, store, small, counts, 30, rng)
                        case "race":
                            race(pagemill, store, small, counts, 6, 16, rng)
                        case "hold":
                            hold(pagemill, store, small, counts, rng)
                        case "sweep":
                            sweep(pagemill, store, small, counts)
                        case "blind":
                            blind(pagemill, store, small, counts)
                    print(f"{store.name} {part}: {time.monotonic() - began:.0f} s", flush=True)
        finally:
            for process in running:
                process.process.terminate()
                process.process.wait()
    for what, count in sorted(counts.items()):
        print(f"{count:>6} {what}")
    print("0 lost, 0 doubled, 0 mixed")


# So many members make a file of more than one piece.
LARGE = 4_000

main()
