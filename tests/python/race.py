"""Has processes race for one slot, again and again. Usage: race.py PAGEMILL [ROUNDS] [PROCESSES]

In each round so many `pagemill export` are started at once for a new slot, some of them are stopped (SIGSTOP) for a moment,
and one is killed. Exactly one publishes; the others say that a run is at work (75), or that the slot is published (0).
Where the one that was to publish was killed, the next run does. Nothing is left behind but lock and manifest.
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
            print(f"{rounds} rounds of {processes}: " + ", ".join(f"{count} {what}" for what, count in outcomes.items() if count))
        finally:
            server.terminate()
            server.wait()


main()
