#!/usr/bin/env bash
# Installs the real clients that tests/clients.rs runs, into target/clients and by apt where
# it may. What is missing afterwards is skipped by the tests, and said so.
set -uo pipefail
cd "$(dirname "$0")/../../../.." || exit 1
folder=target/clients
mkdir -p "$folder/node"
python3 -c "import sys; sys.path.insert(0, '$folder'); import opentelemetry.sdk, graphyte" 2>/dev/null ||
    python3 -m pip install --quiet --root-user-action=ignore --target "$folder" \
        opentelemetry-sdk opentelemetry-exporter-otlp-proto-http opentelemetry-exporter-otlp-proto-grpc \
        prometheus_client statsd datadog fluent-logger graphyte python-logging-loki
if command -v npm >/dev/null; then
    [ -d "$folder/node/node_modules/@fluent-org/logger" ] ||
        npm install --prefix "$folder/node" --no-audit --no-fund --silent @fluent-org/logger winston winston-loki
fi
wanted=()
for program in rsyslogd:rsyslog nginx:nginx-light haproxy:haproxy prometheus:prometheus logger:bsdutils curl:curl zstd:zstd; do
    command -v "${program%%:*}" >/dev/null || wanted+=("${program##*:}")
done
if [ ${#wanted[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
exit 0
