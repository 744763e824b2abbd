#!/usr/bin/env bash
# A person in front of a real browser: logs in, changes the first password, uploads a data set, looks at the chart.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh
# shellcheck source=tests/instance.sh
. tests/instance.sh

usage() {
    cat <<'TEXT'
usage: tests/page.sh [--engine docker|podman|none] [--archive FILE]

Runs the example backend and uses its pages in headless Chromium; leaves a picture in dist/report-page.png. The engine is
docker and the archive dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    local total
    instance_arguments --with-engine "$@"
    instance_prepare "$engine"
    instance_load "$archive"
    instance_start
    mkdir -p dist
    total=$(csv_totals "$DATA_SET" | awk '$1 == "total" { print $4 }')
    engine_exec "$name" backend settings get admin-password |
        python3 tests/page.py "$address" "$DATA_SET" "$total" dist/report-page.png
    say "passed: the page in Chromium with $engine"
}

main "$@"
