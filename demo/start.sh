#!/usr/bin/env bash
# Starts the example backend, has it make a report, and says where to look.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh
# shellcheck source=demo/names.sh
. demo/names.sh

usage() {
    cat <<'TEXT'
usage: demo/start.sh [ARCHIVE]

Runs dist/docker_backend-latest.tar, or another archive, as casque-demo: with Docker where an engine answers, otherwise
with `casque run`. DEMO_PORT is the port on this machine, 8080 unless set. demo/stop.sh removes everything again.
TEXT
}

PORT=${DEMO_PORT:-8080}
ADDRESS=http://127.0.0.1:$PORT

main() {
    case "${1:-}" in -h | --help) usage && exit 0 ;; esac
    local archive=${1:-dist/docker_backend-latest.tar}
    [[ -f $archive ]] || die "there is no archive \`$archive\`: make package-docker builds it"
    jar=$(mktemp)
    at_exit "rm -f '$jar' '$jar.report'"
    engine_start "$(demo_engine)"
    engine_remove "$NAME"
    [[ -z "$(ss -Hltn "sport = :$PORT")" ]] || die "port $PORT is taken; choose another: make demo DEMO_PORT=8081"
    # shellcheck disable=SC2016 # The status is known only when this runs.
    at_exit '[[ $EXIT_STATUS -eq 0 ]] || last_words'
    run "$archive"
    wait_for 180 "the backend is ready" status_is_ready "$ADDRESS"
    log_in_as_first
    report=$(upload "$ADDRESS" "$jar" examples/backend/data/orders.csv)
    wait_for 60 "the report is ready" read_report "$ADDRESS" "$jar" "$report" "$jar.report"
    tell
}

last_words() {
    engine_logs "$NAME" 2>/dev/null | tail -n 40 >&2
    echo "hint: its last lines are above; make demo-stop removes what is left" >&2
}

run() {
    say "starting $NAME with $(engine_in_words)"
    if [[ $ENGINE == none ]]; then
        engine_run "$NAME" "$PORT" "$DATA" "$1" >/dev/null
    else
        "$ENGINE" load <"$1"
        engine_run "$NAME" "$PORT" "$NAME" "vendor/backend:v$(<examples/backend/VERSION)"
    fi
}

engine_in_words() {
    if [[ $ENGINE == none ]]; then echo "casque run, no engine answers here"; else echo "$ENGINE"; fi
}

# Logs in. At the first log-in the backend insists on another password; the demo obeys, then takes the generated one
# again, so that the command it prints tells the password that works.
log_in_as_first() {
    local first between
    first=$(engine_exec "$NAME" backend settings get admin-password)
    [[ "$(log_in "$ADDRESS" "$jar" "$first")" == 200 ]] ||
        die "the generated password does not log in; was it changed? make demo-stop forgets everything"
    [[ "$(page_code "$ADDRESS" "$jar" /reports)" == 403 ]] || return 0
    between=$(openssl rand -hex 16)
    [[ "$(change_password "$ADDRESS" "$jar" "$first" "$between")" == 200 ]] || die "the password cannot be changed"
    [[ "$(change_password "$ADDRESS" "$jar" "$between" "$first")" == 200 ]] || die "the password cannot be changed back"
}

tell() {
    local inside="docker exec $NAME"
    [[ $ENGINE != none ]] || inside="$CASQUE exec $NAME"
    say "/status: $(status_details "$ADDRESS" "$(engine_exec "$NAME" backend settings get status-token)")"
    cat <<TEXT

The example backend runs as $NAME and has made a report of $(jq .total.rows "$jar.report") orders.

  the report      $ADDRESS$report/page
  user            admin
  password        $inside backend settings get admin-password
  status token    $inside backend settings get status-token
  its status      curl -A "monitor TOKEN" $ADDRESS/status
  stop            make demo-stop
TEXT
}

main "$@"
