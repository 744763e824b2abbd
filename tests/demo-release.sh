#!/usr/bin/env bash
# The demo of a release, from a tag to /status, and that nothing is left of it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh

main() {
    engine_start docker
    work=$(mktemp -d)
    at_exit "rm -rf '$work'"
    DEMO_PORT=$(free_port)
    DEPOT_PORT=$(free_port)
    export DEMO_PORT DEPOT_PORT
    demo/release.sh >"$work/said" 2>&1 || { cat "$work/said" >&2 && die "the demo failed"; }
    grep -q '^ok: the backend that runs is that of the tag$' "$work/said" || die "the demo does not say that it worked"
    same "the project's own commands were run" 2 "$(grep -c ': running `make package' "$work/said")"
    same "no container is left" "" "$(docker ps --all --quiet --filter name=casque-demo)"
    same "no volume is left" "" "$(docker volume ls --quiet --filter name=casque-demo)"
    same "nobody listens any more" "" "$(ss -Hltn "sport = :$DEMO_PORT or sport = :$DEPOT_PORT")"
    same "no file is left" "" "$(compgen -G 'dist/demo-release.*' || true)"
    say "passed: from a tag to /status"
}

main "$@"
