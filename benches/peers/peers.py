"""Compares `pagemill convert` with its peers, side by side. Usage: peers.py PAGEMILL [OPTIONS]

Pages of 1,000 members with `remote_data`, a JSON file each, become eight Parquet tables: by Pagemill, by DuckDB, by
pyarrow, by Polars, by Python with orjson, by dlt. Each run is a process of its own. The runs are interleaved in rounds,
so that whatever else the machine does falls on all of them. Every run is checked: as many rows in every table as
Pagemill has, and in the first round the same values.

    --http      `pagemill export` of the same pages out of a server that holds them in memory, instead
    --memory    the memory of `convert` as pages grow in number and in size, instead
    --all       everything
    --out       where the tables go; a folder in memory, such as one in /dev/shm, leaves the disk out of it
    --record    write what is printed to a file, too

Needs a network once, to fill target/venv-peers. The pages are made once, in target/peers.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENV = ROOT / "target/venv-peers"
WORK = ROOT / "target/peers"
PACKAGES = ["dlt[parquet]", "duckdb", "orjson", "polars", "pyarrow"]
ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
RESOURCE = "instant-messaging/members"

PAGEMILL = "pagemill"
DROPPED = "pagemill-dropped"
MINE = {DROPPED: "pagemill, without `remote_data`"}
FAST = {
    "duckdb-from_json": "DuckDB `from_json`",
    "duckdb-read_json": "DuckDB `read_json`",
    "pyarrow": "pyarrow, without `remote_data`",
    "polars": "Polars, without `remote_data`",
}
SLOW = {"orjson-pyarrow": "orjson and pyarrow", "dlt": "dlt"}
NOTES = """\
The ratios are of the medians of seconds: how many times as long as pagemill a peer took. All write the eight tables as
Parquet with Zstandard at level 1, and use all processors where they can. The seconds of pagemill are those of the whole
process, with the checksums and syncs of its commit, which wait for a disk; those of a peer are its work alone, without
syncs, the start of Python and the import of its packages. The process is the whole of it, for both: what a job takes that
somebody schedules. Pagemill's tables have more columns: of the account, the row, the length of each list, and what fits
no other. The memory is the most that the process held, with Python's.

pyarrow and Polars have no type for any object and skip `remote_data`, which is more than half of the bytes: what
Pagemill does with `--drop remote_data` is what they do. DuckDB's `read_json` is told the columns, and takes long for
objects as large as a page; `from_json`, told the same types, is given each page as a JSON value, which is the fastest
way that was found. dlt infers types and makes keys of its own.
"""


@dataclasses.dataclass
class Run:
    """What a process took; `seconds` and `cpu` are of its work alone where it says what that took."""

    seconds: float
    cpu: float
    peak: int
    printed: str
    process: float


# --- processes -------------------------------------------------------------------------------------------------------


def into_venv():
    """Makes the virtual environment where it is not there, and goes on in it."""
    python = VENV / "bin/python"
    made = VENV / "peers.json"
    if not made.exists() or json.loads(made.read_text()) != PACKAGES:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        made.write_text(json.dumps(PACKAGES))
    if pathlib.Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [python, *sys.argv])


def run(command, **environment):
    """Runs to the end, which must be a good one.

    What a process held at most includes, by the kernel's count, what its parent held when it forked. So this one stays
    small: it imports none of the packages and reads none of the pages.
    """
    os.sync()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, printed, seconds)


def script(name, *arguments):
    return [sys.executable, HERE / name, *arguments]


def fresh(arguments, name):
    """A folder that is not there yet; Pagemill has another beside it."""
    for folder in (arguments.out / name, arguments.out / f"{name}.pagemill"):
        shutil.rmtree(folder, ignore_errors=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments.out / name


def reported(made, records):
    """A run of Pagemill, if its report says that the records are in the tables, whole."""
    report = json.loads(made.printed)
    if report["rows"]["members"] != records or report["totals"]["misfits"]:
        sys.exit(f"pagemill: {made.printed}")
    return made


def convert(arguments, pages, records, name=PAGEMILL, *more):
    options = ["--resource", RESOURCE, "--account", ACCOUNT, "--out", fresh(arguments, name), "--json", *more]
    return reported(run([arguments.pagemill, "convert", warm(pages), *options]), records)


def export(arguments, url, records):
    options = ["--account", ACCOUNT, "--out", fresh(arguments, "export"), "--json"]
    options += ["--base-url", url, "--limit", "1000"]
    return reported(run([arguments.pagemill, "export", RESOURCE, *options], TRUTO_API_TOKEN="any"), records)


def peer(arguments, name, pages):
    made = run(script("others.py", name, warm(pages), fresh(arguments, name)))
    return dataclasses.replace(made, **json.loads(made.printed.splitlines()[-1]))


# --- pages -----------------------------------------------------------------------------------------------------------


def corpus(pagemill, pages):
    """The folder of the pages, which are made if they are not there."""
    folder = WORK / f"pages-{pages}"
    if not folder.exists():
        say(f"making {pages} pages")
        run(script("corpus.py", pagemill, folder, str(pages)))
    return folder


def size(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def warm(folder):
    """Has the pages in the page cache, should anything have pushed them out; says where they are."""
    room = bytearray(1 << 20)
    for path in folder.iterdir():
        with open(path, "rb", buffering=0) as file:
            while file.readinto(room):
                pass
    return folder


def many(pages, times, folder):
    """The pages so many times over, by links of other names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for again in range(times):
        for path in pages.iterdir():
            (folder / f"{again:03}-{path.name}").symlink_to(path)


def one(pages, least, folder):
    """The records of the pages, over and over, as one page of at least so many bytes; says how many records."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    paths, count = sorted(pages.iterdir()), 0
    with open(folder / "page.json", "wb") as file:
        file.write(b'{"result":[')
        while file.tell() < least:
            page = paths[count % len(paths)].read_bytes()
            file.write((b"," if count else b"") + page[page.index(b"[") + 1 : page.rindex(b'],"next_cursor"')])
            count += 1
        file.write(b'],"next_cursor":null}')
    return count


# --- measurements ----------------------------------------------------------------------------------------------------


def say(text):
    print(text, file=sys.stderr, flush=True)


def rounds(count, jobs):
    """Runs the jobs round by round, each so many rounds as it says at most; returns the runs of each."""
    runs = {name: [] for name in jobs}
    for at in range(count):
        for name, (most, job) in jobs.items():
            if at < most:
                made = job(at)
                runs[name].append(made)
                say(f"round {at + 1}: {name} {made.seconds:.2f} s, {made.peak >> 20} MiB")
    return runs


def median(runs, what):
    return statistics.median(getattr(made, what) for made in runs)


def spread(runs):
    """Seconds: the median, the least and the most."""
    seconds = [made.seconds for made in runs]
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


# The columns that `figures` makes.
HEAD = ["", "seconds (least to most)", "CPU seconds", "MB/s", "peak MiB"]


def figures(runs, bytes_):
    """What the runs took, as cells of a table: medians."""
    speed = bytes_ / median(runs, "seconds") / 1e6
    cells = [f"{median(runs, 'cpu'):.2f}", f"{speed:,.{0 if speed > 10 else 1}f}"]
    return [spread(runs), *cells, f"{median(runs, 'peak') / (1 << 20):,.0f}"]


def table(head, rows):
    line = lambda cells: f"| {' | '.join(map(str, cells))} |"
    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def compared(arguments, pages):
    """Pagemill and its peers, files to files."""

    records = arguments.pages * 1_000

    def checked(name, measure):
        def job(at):
            made = measure()
            run(script("check.py", *(["--values"] if at == 0 else []), arguments.out / PAGEMILL, arguments.out / name))
            return made

        return job

    dropped = lambda: convert(arguments, pages, records, DROPPED, "--drop", "remote_data")
    jobs = {PAGEMILL: (arguments.rounds, lambda _: convert(arguments, pages, records))}
    jobs[DROPPED] = (arguments.rounds, checked(DROPPED, dropped))
    for names, most in ((FAST, arguments.rounds), (SLOW, arguments.slow_rounds)):
        for name in names if most else ():
            jobs[name] = (most, checked(name, lambda name=name: peer(arguments, name, pages)))
    return peers_report(arguments, size(pages), rounds(arguments.rounds, jobs))


def peers_report(arguments, bytes_, runs):
    mine, rows = runs[PAGEMILL], []
    for name, made in runs.items():
        ratio, whole = (median(made, what) / median(mine, what) for what in ("seconds", "process"))
        process = [f"{ratio:.2f}", f"{median(made, 'process'):.2f}", f"{whole:.2f}"]
        rows.append([(MINE | FAST | SLOW).get(name, name), *figures(made, bytes_), *process, len(made)])
    members = f"{arguments.pages} pages, {arguments.pages * 1_000:,} members, {bytes_ / 1e6:,.0f} MB"
    return f"## Files to files\n\n{members}.\n\n{table([*HEAD, 'ratio', 'process', 'ratio of it', 'rounds'], rows)}\n\n{NOTES}"


def served(arguments, pages):
    """The same pages over HTTP, beside the same pages out of files."""
    records, bytes_, wait = arguments.pages * 1_000, size(pages), arguments.latency_ms
    servers = [serve(pages, milliseconds) for milliseconds in (0, wait)]
    try:
        urls = [server.stdout.readline().strip() for server in servers]
        jobs = {"convert": (arguments.rounds, lambda _: convert(arguments, pages, records))}
        for name, url in zip(("export", "export, late"), urls):
            jobs[name] = (arguments.rounds, lambda _, url=url: export(arguments, url, records))
        runs = rounds(arguments.rounds, jobs)
    finally:
        for server in servers:
            server.kill()
            server.wait()
    return http_report(arguments, bytes_, *runs.values())


def serve(pages, milliseconds):
    return subprocess.Popen(script("serve.py", pages, str(milliseconds)), stdout=subprocess.PIPE, text=True)


def http_report(arguments, bytes_, converted, exported, late):
    wait, pages = arguments.latency_ms, arguments.pages
    names = ["`convert`, out of files", "`export`, at once", f"`export`, {wait} ms before each response"]
    rows = [[name, *figures(runs, bytes_)] for name, runs in zip(names, (converted, exported, late))]
    own, share = median(converted, "seconds"), median(converted, "seconds") / median(exported, "seconds")
    waits, elapsed = pages * wait / 1_000, median(late, "seconds")
    ideal = max(waits, own)
    return f"""\
## Over HTTP

{pages} pages, {bytes_ / 1e6:,.0f} MB, one after the other, from a process on the same machine that holds the responses.

{table(HEAD, rows)}

`export` reaches {share:.0%} of `convert`'s speed. A page's cursor is in the page before, so that {pages} responses of
{wait} ms take {waits:.2f} s at least; `convert` takes {own:.2f} s. The larger of the two is the ideal; `export`, at
{elapsed:.2f} s, reaches {ideal / elapsed:.0%} of it.
"""


def remembered(arguments, pages):
    """The memory of `convert` as pages grow in number, and in size."""
    folders = [pages, WORK / "many", WORK / "one"]
    try:
        many(pages, 10, folders[1])
        counts = [arguments.pages, arguments.pages * 10, one(pages, 1 << 30, folders[2])]
        sizes = [size(folder) for folder in folders]
        names = [f"{counts[0]} pages", f"{counts[1]:,} pages", f"one page of {sizes[2] / (1 << 30):.2f} GiB"]
        jobs = {}
        for name, folder, count in zip(names, folders, counts):
            job = lambda _, folder=folder, count=count: convert(arguments, folder, count * 1_000)
            jobs[name] = (arguments.rounds, job)
        return memory_report(rounds(arguments.rounds, jobs), sizes)
    finally:
        for folder in folders[1:]:
            shutil.rmtree(folder, ignore_errors=True)


def memory_report(runs, sizes):
    first, rows = median(next(iter(runs.values())), "peak"), []
    for (name, made), bytes_ in zip(runs.items(), sizes):
        peaks = [each.peak / (1 << 20) for each in made]
        change = median(made, "peak") / first - 1
        rows.append([name, *figures(made, bytes_), f"{min(peaks):,.0f} to {max(peaks):,.0f}", f"{change:+.0%}"])
    shown = table([*HEAD, "least to most", "change"], rows)
    return f"## Memory\n\n`pagemill convert`, with `--memory` as by default.\n\n{shown}\n"


# --- the report ------------------------------------------------------------------------------------------------------


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def filesystem(folder):
    return run(["stat", "--file-system", "--format", "%T", folder]).printed.strip()


def commit():
    git = lambda *words: subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short", "HEAD") + (", changed" if changed else "")


def typed(arguments):
    """The command, with its defaults said and without where its record goes."""
    binary = arguments.pagemill
    binary = binary.relative_to(ROOT) if binary.is_relative_to(ROOT) else binary.name
    flags = [f"--{flag}" for flag in ("http", "memory", "all") if getattr(arguments, flag)]
    names = ("pages", "rounds", "slow_rounds", "latency_ms")
    numbers = [f"--{name.replace('_', '-')} {getattr(arguments, name)}" for name in names]
    return f"python3 benches/peers/peers.py {binary} {' '.join(flags + numbers)}"


def preamble(arguments, load):
    names = [package.split("[")[0] for package in PACKAGES]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    machine = f"{processor()}, {os.cpu_count()} processors, {platform.system()}"
    return f"""\
# Peers, {datetime.date.today()}

    {typed(arguments)}

Commit {commit()}; {machine}; load {load[0]:.1f} at the start, {os.getloadavg()[0]:.1f} at the end.
Pages out of the page cache; tables to {filesystem(arguments.out)}.
{run([arguments.pagemill, "--version"]).printed.strip()}, Python {platform.python_version()}, {versions}.
MB are 10^6 bytes, MiB 2^20. Seconds, MB/s and memory are medians; CPU seconds are of all processors together.
"""


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pagemill", type=pathlib.Path, help="the release binary")
    parser.add_argument("--http", action="store_true", help="measure `export` instead")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--all", action="store_true", help="measure everything")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds of the slow peers")
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--latency-ms", type=int, default=50, help="the wait before each response of --http")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", default=WORK / "out", help="where the tables go")
    parser.add_argument("--record", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    arguments.pagemill, arguments.out = arguments.pagemill.resolve(strict=True), arguments.out.resolve()
    return arguments


def main():
    arguments = parsed()
    into_venv()
    load = os.getloadavg()
    pages = corpus(arguments.pagemill, arguments.pages) / "fat"
    wanted = [
        (compared, arguments.all or not (arguments.http or arguments.memory)),
        (served, arguments.all or arguments.http),
        (remembered, arguments.all or arguments.memory),
    ]
    sections = [measure(arguments, pages) for measure, asked in wanted if asked]
    text = "\n".join([preamble(arguments, load), *sections])
    print(text)
    if arguments.record:
        arguments.record.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
