#!/usr/bin/env bash
# Starts the binary on a private folder and lets schemathesis go through its OpenAPI document.
# Usage: tests/api-fuzz.sh PATH-TO-HOLDFAST
set -euo pipefail
binary=${1:?usage: tests/api-fuzz.sh PATH-TO-HOLDFAST}
root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.tools/schemathesis

if [ ! -x "$tools/bin/schemathesis" ]; then
  python3 -m venv "$tools" || { echo "python3 with venv is missing (Debian: apt-get install python3-venv)"; exit 1; }
  "$tools/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5
fi

folder=$(mktemp -d)
server=
finish() { [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; rm -rf "$folder"; }
trap finish EXIT

"$binary" serve --demo --data "$folder/data" --listen 127.0.0.1:0 >"$folder/out" 2>"$folder/log" &
server=$!
for _ in $(seq 300); do
  url=$(sed -n 's/^listening on //p' "$folder/out")
  [ -n "$url" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$folder/log"; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { echo "the server did not start"; cat "$folder/log"; exit 1; }
key=$("$binary" api-keys add fuzz --role admin --data "$folder/data")

"$tools/bin/schemathesis" --config-file "$root/tests/schemathesis.toml" run "$url/openapi.json" \
  --header "Authorization: Bearer $key" \
  --max-examples "${EXAMPLES:-20}" --seed "${SEED:-1}" --workers 1 \
  --exclude-path /v1/stream --request-timeout 20 \
  --no-color
"$binary" verify --data "$folder/data"
