# What CI runs.
ci:
    .ci/run

# Licences, bans and sources of all dependencies. Builds cargo-deny first, which takes some minutes.
deny:
    cargo deny --version || cargo install cargo-deny --locked
    cargo deny check licenses bans sources

# All benches; they check their answers first.
bench:
    cargo bench -p benches

# The decode bench against its peers.
bench-decode:
    cargo bench -p benches --bench decode

# `pagemill convert` beside DuckDB, pyarrow, Polars, orjson and dlt; with --http, --memory or --all also what else it measures.
peers *OPTIONS:
    cargo build --release --locked
    python3 benches/peers/peers.py target/release/pagemill {{OPTIONS}}

# A virtual environment with other people's readers.
venv:
    test -d target/venv || python3 -m venv target/venv
    target/venv/bin/pip install --quiet duckdb pyarrow polars

# Compares every value of every table with what Python's json reads from the same pages.
readers: venv
    cargo build --release --locked
    target/venv/bin/python tests/python/readers.py target/release/pagemill

# 100,000 members over HTTP, twice: every row once and in order, the same bytes, at most 256 MiB.
export: venv
    cargo build --release --locked
    target/venv/bin/python tests/python/export.py target/release/pagemill

# Each fuzz target for so many seconds, after a build of some minutes; needs a C++ compiler.
fuzz seconds="600":
    fuzz/run all {{seconds}}

# The vendor's own Python SDK reads all members of the simulator.
sdk:
    test -d target/venv-sdk || python3 -m venv target/venv-sdk
    target/venv-sdk/bin/pip install --quiet --ignore-requires-python --no-deps truto-python-sdk
    target/venv-sdk/bin/pip install --quiet aiohttp
    cargo build --release --locked
    tests/python/sdk.sh target/release/pagemill target/venv-sdk/bin/python

# Every death, pair of deaths, state of a power cut and failing call, in each format; then some of what came of it by DuckDB and
# pyarrow. Takes many minutes.
crash: venv
    rm -rf target/crash
    CRASH_KEEP="$PWD/target/crash" cargo test --release -p pagemill-tests --test crash_full --locked -- --ignored --nocapture
    target/venv/bin/python tests/python/crash.py target/crash

# A million pages of one record each, and the memory that each takes.
pages number="1000000":
    cargo build --release --locked
    python3 tests/python/pages.py target/release/pagemill {{number}}

# Exports that are killed, stopped, that race for a slot, run out of disk (as root), or live with a wrong clock (needs faketime).
kill times="200": venv
    cargo build --release --locked
    target/venv/bin/python tests/python/kill.py target/release/pagemill {{times}}
    target/venv/bin/python tests/python/kill.py target/release/pagemill {{times}} 2 TERM

race:
    cargo build --release --locked
    python3 tests/python/race.py target/release/pagemill

full:
    cargo build --release --locked
    python3 tests/python/full.py target/release/pagemill

# Cuts the power of disks with file systems of their own (as root; ext4, XFS, Btrfs, as far as their tools are there).
power cuts="100":
    cargo build --release --locked
    python3 tests/python/power.py target/release/pagemill {{cuts}}

# Exports to moto's S3 and to Azurite through a proxy that goes wrong with each request in turn, killed, racing; needs npm.
objects *OPTIONS:
    test -d target/venv-objects || python3 -m venv target/venv-objects
    target/venv-objects/bin/pip install --quiet 'moto[server]' boto3 duckdb pyarrow
    test -d target/azurite || npm install --silent --prefix target/azurite azurite
    cargo build --release --locked -p pagemill-cli --features cloud
    cargo test --release --locked -p pagemill-cli --features cloud --test stores
    target/venv-objects/bin/python tests/python/objects.py target/release/pagemill target/azurite/node_modules/.bin/azurite-blob {{OPTIONS}}

clock:
    cargo build --release --locked
    python3 tests/python/clock.py target/release/pagemill

# What it costs that a run survives a power cut.
bench-durable:
    cargo bench -p benches --bench durable
