#!/usr/bin/env bash
# Every test there is, from the cheapest to the whole product on real engines. Ends at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh

RESOLVER=same_as_apt

main() {
    LOGS=$(mktemp -d)
    at_exit "rm -rf '$LOGS'"
    scripts
    rust
    make --no-print-directory build
    step demo/image.sh
    # Engines come and go there, and take the bridge of another one with them.
    together engines without_docker
    # One for all that follow, which has the image already: a script that finds it there does not take it away.
    engine_start docker
    engine_has_image vendor/backend "v$(<examples/backend/VERSION)" ||
        at_exit "docker image rm vendor/backend:v$(<examples/backend/VERSION) >/dev/null 2>&1"
    docker load --quiet --input dist/docker_backend-latest.tar
    together building running using
    printf '\npassed: everything\n'
}

scripts() {
    shellcheck tests/*.sh demo/*.sh bench/*.sh .ci/run
}

rust() {
    # Some tests run the programs themselves, which `cargo test` alone does not build.
    cargo build --locked --workspace --bins
    cargo test --locked --workspace --no-run
    together crates resolver
    make --no-print-directory -C examples/backend test
}

crates() {
    step cargo test --locked --workspace -- --skip "$RESOLVER"
}

# Two minutes of apt's own work, beside tests that mostly wait.
resolver() {
    step cargo test --locked --workspace --test it -- "$RESOLVER"
}

# Each says what it did and removes what it made.
engines() {
    step tests/engines.sh
    step tests/python.sh
}

without_docker() {
    step tests/release.sh
    step tests/sbom.sh
    step tests/python-errors.sh
    step tests/same-bytes.sh
}

building() {
    step tests/root.sh
    step tests/base.sh
    step tests/ordinary-user.sh
    step tests/removed-package.sh
    step tests/scripts.sh
    step tests/failing-step.sh
    step tests/secrets.sh
    step tests/reproducible.sh
    step tests/cache.sh
    step tests/offline.sh
}

# The product as its operator sees it.
running() {
    step tests/init.sh
    step tests/wrong-setting.sh
    step tests/preflight.sh
    step tests/settings-live.sh
    step tests/external.sh
    step tests/tls.sh
    step tests/syslog.sh
    step tests/port-80.sh
    step tests/stop-and-kill.sh --rounds 1
    step tests/mail.sh --engine docker
    step tests/update.sh
    step tests/backup.sh
    step tests/support-bundle.sh
}

# The product as its customer's people see it, and where they get it.
using() {
    step tests/depot.sh
    step tests/depot-pages.sh
    step tests/verify.sh
    step tests/five-commands.sh --engine docker
    step tests/five-commands.sh --engine podman
    step tests/five-commands.sh --engine none
    step tests/page.sh --engine docker
    step tests/docs.sh
    step tests/anywhere.sh --engine docker
    step tests/anywhere.sh --engine podman
    step tests/anywhere.sh --engine none
    step tests/demo.sh --engine docker
    step tests/demo.sh --engine none
    step tests/demo-release.sh
}

# Runs lists of steps beside each other; the first that fails ends the others, too.
together() {
    local -A lanes=()
    local lane ended status
    for lane in "$@"; do
        # A process group of its own, so that what a step started ends with it.
        setsid "$0" --lane "$LOGS" "$lane" &
        lanes[$!]=$lane
        at_exit "end_lane $!"
    done
    while [[ ${#lanes[@]} -gt 0 ]]; do
        status=0
        wait -n -p ended "${!lanes[@]}" || status=$?
        [[ $status -eq 0 ]] || exit "$status"
        unset "lanes[$ended]"
    done
}

# What a step cleans up needs its engine, so nothing else ends before.
end_lane() {
    kill -TERM -- "-$1" 2>/dev/null || return 0
    wait_for 120 "the steps of process $1 end" process_is_gone "$1"
}

# Runs a step; what it says is printed when it ends, so that lines of two do not mix.
step() {
    local log began=$SECONDS status=0
    log=$(mktemp "$LOGS/step.XXXXXX")
    "$@" >"$log" 2>&1 || status=$?
    {
        flock 9
        printf '\n== %s (%s s)\n' "$*" "$((SECONDS - began))"
        cat "$log"
        [[ $status -eq 0 ]] || say "error: $* ended with $status"
    } 9>"$LOGS/lock"
    return "$status"
}

case "${1:-}" in
    --lane) LOGS=$2 && "$3" ;;
    *) main "$@" ;;
esac
