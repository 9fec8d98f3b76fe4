#!/usr/bin/env bash
# The vendor's own Python SDK reads all 10,000 members of the simulator. Usage: sdk.sh PAGEMILL PYTHON
set -euo pipefail
exec 3< <(exec "$1" simulate --port 0 --members 10000)
server=$!
trap 'kill $server' EXIT
read -r line <&3
url=$(grep -o 'http://[^ ]*' <<<"$line")
"$2" "$(dirname "$0")/truto_sdk.py" "$url" 10000
