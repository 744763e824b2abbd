#!/usr/bin/env bash
# Builds the example's image, dist/docker_backend-latest.tar, the way its own Makefile does.
set -euo pipefail
cd "$(dirname "$0")/.."

CASQUE=$PWD/dist/bin/casque
# The archive's answer to a locked file, and every other trouble with the network; see docs/cli.md.
NETWORK=4

# A stable archive deletes files when newer ones supersede them, so a lock that was right yesterday can name files that
# nobody has today. Then this build goes by a lock of its own, and the project's stays as it is.
main() {
    mkdir -p dist
    local code=0
    "$CASQUE" fetch examples/backend || code=$?
    case $code in
        0) make --no-print-directory -C examples/backend package-docker CASQUE="$CASQUE" DIST="$PWD/dist" ;;
        "$NETWORK") with_new_lock ;;
        *) exit "$code" ;;
    esac
}

with_new_lock() {
    echo "the archive no longer has what examples/backend/casque.lock names: locking anew into dist/casque.lock" >&2
    "$CASQUE" lock --update --lockfile dist/casque.lock examples/backend
    "$CASQUE" build --lockfile dist/casque.lock --output dist/docker_backend-latest.tar examples/backend
}

main "$@"
