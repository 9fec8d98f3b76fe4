"""Has processes race for one slot, again and again. Usage: race.py PAGEMILL [ROUNDS] [PROCESSES]

In each round so many `pagemill export` are started at once for a new slot, some of them are stopped (SIGSTOP) for a moment,
and one is killed. Exactly one publishes; the others say that a run is at work (75), or that the slot is published (0).
Where the one that was to publish was killed, the next run does. Nothing is left behind but lock and manifest.

At last `pagemill gc` comes while some runs are at work and after others have died: it takes what the dead have left, and no more.
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

ACCOUNT = "62f44730-dd91-461e-bd6a-aedd9e0ad79d"
MEMBERS = 300


def collect(pagemill, work, out, url, rng, outcomes):
    """Kills some runs, stops others, and collects."""
    command = [pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", str(out), "--base-url", url, "--format", "ndjson"]
    command += ["--limit", "10", "--part-rows", "20", "--slot"]
    runs = {}
    for n in range(40):
        runs[f"late={n}"] = subprocess.Popen([*command, f"late={n}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "TRUTO_API_TOKEN": "any"})
        time.sleep(rng.uniform(0.02, 0.1))
        runs[f"late={n}"].send_signal(signal.SIGSTOP)
    home = lambda slot: work / "out.pagemill" / "members" / slot
    attempts = lambda slot: [path for path in home(slot).iterdir() if path.is_dir()] if home(slot).exists() else []
    for slot in [slot for n, slot in enumerate(runs) if n % 2]:
        runs[slot].kill()
        runs.pop(slot).wait()
    live = {slot: attempts(slot) for slot in runs}
    dead = [path for home in (work / "out.pagemill" / "members").iterdir() for path in attempts(home.name) if home.name not in live]
    collector = [pagemill, "gc", str(out), "--older-than", "0"]
    subprocess.run(collector, check=True, stdout=subprocess.DEVNULL)
    assert all(path.exists() for path in dead), "it was only to say what it would do"
    subprocess.run([*collector, "--yes"], check=True, stdout=subprocess.DEVNULL)
    # A run that is committed is no rubbish: the next one of its slot moves its tables into place.
    for path in [path for path in dead if path.exists()]:
        assert (path.parent / "manifest.json").exists(), "what the dead have left is still there"
        last = subprocess.run([*command, path.parent.name], stdout=subprocess.DEVNULL, env={**os.environ, "TRUTO_API_TOKEN": "any"})
        assert last.returncode == 0 and not path.exists()
        dead.remove(path)
        outcomes["committed, left alone by gc, and finished by the next run"] += 1
    assert {slot: attempts(slot) for slot in runs} == live, "gc took what is of a run at work"
    for run in runs.values():
        run.send_signal(signal.SIGCONT)
        _, stderr = run.communicate()
        assert run.returncode == 0, stderr
    outcomes["left by the dead and collected"] += len(dead)
    outcomes["stopped at work, left alone by gc, and published"] += len(runs)


def main():
    pagemill = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 63
    processes = int(sys.argv[3]) if len(sys.argv) > 3 else 16
    rng = random.Random(1)
    outcomes = collections.Counter()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        out = work / "out"
        server = subprocess.Popen([pagemill, "simulate", "--port", "0", "--members", str(MEMBERS)], stdout=subprocess.PIPE, text=True)
        try:
            url = re.search(r"http://\S+", server.stdout.readline()).group()
            for n in range(rounds):
                slot = f"run={n}"
                command = [pagemill, "export", "instant-messaging/members", "--account", ACCOUNT, "--out", str(out), "--base-url", url]
                command += ["--limit", "20", "--part-rows", "50", "--slot", slot, "--format", "ndjson", "--json"]
                start = lambda: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TRUTO_API_TOKEN": "any"})
                runs = [start() for _ in range(processes)]
                killed = rng.randrange(processes) if n % 2 else None
                for stopped in rng.sample(range(processes), 4):
                    runs[stopped].send_signal(signal.SIGSTOP)
                if killed is not None:
                    time.sleep(rng.uniform(0, 0.1))
                    runs[killed].kill()
                for run in runs:
                    run.send_signal(signal.SIGCONT)
                published = 0
                for at, run in enumerate(runs):
                    stdout, stderr = run.communicate()
                    if run.returncode == -signal.SIGKILL:
                        outcomes["killed"] += 1
                    elif run.returncode == 0:
                        already = json.loads(stdout)["already_published"]
                        published += not already
                        outcomes["said that it is published" if already else "published"] += 1
                    else:
                        assert run.returncode == 75 and "another run is at work" in stderr, (run.returncode, stderr)
                        outcomes["said that a run is at work"] += 1
                if published == 0:
                    assert killed is not None, "nobody has published"
                    last = start()
                    stdout, stderr = last.communicate()
                    assert last.returncode == 0, stderr
                    outcomes["published by the next run"] += not json.loads(stdout)["already_published"]
                    outcomes["finished by the next run"] += json.loads(stdout)["already_published"]
                assert published <= 1, f"{published} have published {slot}"
                rows = [json.loads(line)["_row"] for path in sorted((out / "members" / slot).iterdir()) for line in path.open()]
                assert rows == list(range(MEMBERS)), slot
                left = sorted(path.name for path in (work / "out.pagemill" / "members" / slot).iterdir())
                assert left == ["lock", "manifest.json"], left
            collect(pagemill, work, out, url, rng, outcomes)
            print(f"{rounds} rounds of {processes}: " + ", ".join(f"{count} {what}" for what, count in outcomes.items() if count))
        finally:
            server.terminate()
            server.wait()


main()
