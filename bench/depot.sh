#!/usr/bin/env bash
# casque-depot beside nginx, which serve the same file of 1 GB over plain HTTP and over TLS.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

usage() {
    cat <<'TEXT'
usage: bench/depot.sh [--rounds N] [--seconds N]

Serves one file with each, in turn, on half of the processors, to curl on the other half, N times (5 unless given), and prints
medians: throughput and processor time of 1 and of 100 downloads at a time (the 100 for so many seconds, 10 unless given), memory
for each, the time until the first byte, and what 2,000 idle connections take. casque-depot has a customer log in and writes
down who fetched what; nginx asks for nothing. The figures are also left in dist/bench/depot.json. Run it on a quiet machine.
TEXT
}

main() {
    case "${1:-}" in -h | --help) usage && exit 0 ;; esac
    # On a disk, as the files of a depot are: /tmp may be memory.
    mkdir -p dist/bench
    export TMPDIR=$PWD/dist/bench BIN=$PWD/dist/bin
    # shellcheck source=tests/depot-server.sh
    . tests/depot-server.sh
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$home/tls.key" -out "$home/tls.crt" 2>/dev/null
    set_up
    serve
    image v1 1000000000
    release v1 1 stable
    end_process "$SERVER"
    # A file, for arguments are for everybody to see.
    printf 'user = "%s"\n' "$LOGIN" >"$home/login"
    python3 bench/depot.py --depot "$DEPOT" --home "$home" --file "$home/docker_backend-v1.tar" "$@"
}

main "$@"
