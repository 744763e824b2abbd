#!/usr/bin/env bash
# From `docker run` to ready: the example as it is, and what of it takes longest started by hand.
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
usage: bench/start.sh [--rounds N] [--archive FILE]

Starts the example on docker N times (7 unless given), each in turn with the slowest chain of its programs, started by a shell
script in its image, each as soon as the one before it is ready. Prints medians. The volume has been used before. The archive is
dist/docker_backend-latest.tar unless given. The figures are also left in dist/bench/start.json. Run it on a quiet machine.
TEXT
}

main() {
    local rounds=7
    [[ ${1:-} != --rounds ]] || { rounds=${2:?} && shift 2; }
    instance_arguments "$@"
    instance_prepare docker
    instance_load "$archive"
    instance_start
    docker cp "$name:/usr/lib/casque/plan.json" "$work/plan.json"
    engine_stop "$name" >/dev/null
    # With the files that a start has written.
    docker commit "$name" "$REPOSITORY:by-hand" >/dev/null
    at_exit "docker image rm --force '$REPOSITORY:by-hand' >/dev/null 2>&1"
    docker rm "$name" >/dev/null
    mkdir -p dist/bench
    python3 bench/start.py --image "$image" --by-hand "$REPOSITORY:by-hand" --name "$name" --volume "$volume" --port "$port" \
        --plan "$work/plan.json" --rounds "$rounds" --report dist/bench/start.json
}

main "$@"
