#!/usr/bin/env bash
# The demo and its end, as a newcomer sees them.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh

usage() {
    cat <<'TEXT'
usage: tests/demo.sh --engine docker|none

Runs demo/start.sh on a free port, uses what it prints, runs demo/stop.sh and looks for what is left. `none` hides every
Docker engine from the demo.
TEXT
}

main() {
    local engine=
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --engine) engine=${2:?} && shift 2 ;;
            -h | --help) usage && exit 0 ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    case "$engine" in
        docker) engine_start docker ;;
        # Nobody listens there, so no engine answers.
        none) export DOCKER_HOST=unix:///nonexistent/docker.sock ;;
        *) usage >&2 && exit 2 ;;
    esac
    work=$(mktemp -d)
    at_exit "rm -rf '$work'"
    DEMO_PORT=$(free_port)
    export DEMO_PORT
    at_exit "demo/stop.sh >/dev/null 2>&1"
    same "the demo on a port that is taken ends with 1" 1 "$(on_taken_port)"
    demo/start.sh | tee "$work/said"
    use_what_it_said
    demo/stop.sh
    nothing_is_left "$engine"
    say "passed: the demo with $engine"
}

# Prints what the demo says beside a label; the commands among it are run as they are.
said() {
    sed -n "s/^  $1  *//p" "$work/said"
}

use_what_it_said() {
    local address=http://127.0.0.1:$DEMO_PORT page password token
    page=$(said "the report")
    password=$(bash -c "$(said password)")
    token=$(bash -c "$(said 'status token')")
    same "the printed status command gives the details" true \
        "$(bash -c "$(said 'its status' | sed "s/TOKEN/$token/")" 2>/dev/null | jq 'has("details")')"
    same "the printed password logs in" 200 "$(log_in "$address" "$work/cookies" "$password")"
    same "the printed page is there" 200 "$(page_code "$address" "$work/cookies" "${page#"$address"}")"
}

# Tries the demo beside another listener and prints its exit code; it has to say which port is taken.
on_taken_port() {
    local port status=0
    port=$(free_port)
    python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 &
    local listener=$!
    wait_for 10 "a listener on port $port" port_is_taken "$port"
    DEMO_PORT=$port demo/start.sh >/dev/null 2>"$work/refusal" || status=$?
    kill "$listener"
    grep -q "port $port is taken" "$work/refusal" || die "the refusal does not name the port: $(<"$work/refusal")"
    echo "$status"
}

port_is_taken() {
    [[ -n "$(ss -Hltn "sport = :$1")" ]]
}

nothing_is_left() {
    port_is_taken "$DEMO_PORT" && die "somebody still listens on port $DEMO_PORT"
    if [[ $1 == docker ]]; then
        same "no container is left" "" "$(docker ps --all --quiet --filter name=casque-demo)"
        same "no volume is left" "" "$(docker volume ls --quiet --filter name=casque-demo)"
    else
        [[ ! -e dist/demo-data ]] || die "dist/demo-data is left"
    fi
}

main "$@"
