#!/usr/bin/env bash
# Builds the example's image, dist/docker_backend-latest.tar, the way its own Makefile does.
set -euo pipefail
cd "$(dirname "$0")/.."

CASQUE=$PWD/dist/bin/casque
# The archive's answer to a locked file, and every other trouble with the network; see docs/cli.md.
NETWORK=4

# A stable archive deletes files when newer ones supersede them, so a lock that was right yesterday can name files that
# nobody has today. Then this build goes by a lock of its own, the last one as long as it is good, and the project's stays as it is.
main() {
    mkdir -p dist
    local code=0
    "$CASQUE" fetch examples/backend || code=$?
    case $code in
        0) make --no-print-directory -C examples/backend package-docker CASQUE="$CASQUE" DIST="$PWD/dist" ;;
        "$NETWORK") with_own_lock ;;
        *) exit "$code" ;;
    esac
}

with_own_lock() {
    echo "the archive no longer has what examples/backend/casque.lock names: this build goes by dist/casque.lock" >&2
    if [[ ! -e dist/casque.lock ]] || ! "$CASQUE" fetch --lockfile dist/casque.lock examples/backend; then
        "$CASQUE" lock --update --lockfile dist/casque.lock examples/backend
    fi
    "$CASQUE" build --lockfile dist/casque.lock --output dist/docker_backend-latest.tar examples/backend
}

main "$@"
