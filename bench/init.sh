#!/usr/bin/env bash
# casque-init beside supervisord, s6, runit, daemontools and horust, with twenty services whose output is captured.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

HORUST=0.1.14
KEPT=dist/bench

usage() {
    cat <<'TEXT'
usage: bench/init.sh [--rounds N] [--peer supervisord|s6|runit|daemontools|horust]... [--directory DIRECTORY]

Runs the same services under each, N times in turn (5 unless given), and prints medians: until all are up, until all are
stopped, memory, a crash, idling, capturing lines, orphans below PID 1, and what a killed service leaves. Logs go below
DIRECTORY, /dev/shm unless given: a disk would measure itself. The figures are also left in dist/bench/init.json. Run it on
a quiet machine. Needs root; horust is built from crates.io the first time.
TEXT
}

main() {
    case "${1:-}" in -h | --help) usage && exit 0 ;; esac
    mkdir -p "$KEPT"
    cc -O2 -Wall -Wextra -Werror -o "$KEPT/service" bench/service.c
    [[ "$("$KEPT/horust/bin/horust" --version 2>/dev/null)" == *"$HORUST"* ]] ||
        cargo install --quiet --locked --root "$KEPT/horust" --version "$HORUST" horust
    as_root python3 bench/init.py --init "$PWD/dist/bin/casque-init" --service "$PWD/$KEPT/service" \
        --horust "$PWD/$KEPT/horust/bin/horust" "$@"
}

main "$@"
