#!/usr/bin/env bash
# The customer's five commands, and the life of the backend after them, against a real engine.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/download.sh
. tests/download.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh
# shellcheck source=tests/instance.sh
. tests/instance.sh

usage() {
    cat <<'TEXT'
usage: tests/five-commands.sh --engine docker|podman|none [--archive FILE]

Downloads the image with curl, loads, lists and runs it and asks for its status; then logs in, uploads a data set,
compares its report, kills the database, stops the container and starts another on the same volume. `none` runs the
downloaded file with `casque run`. FILE is dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    local archive=dist/docker_backend-latest.tar engine=
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --engine) engine=${2:?} && shift 2 ;;
            --archive) archive=$(cd "$OLDPWD" && realpath "${2:?}") && shift 2 ;;
            -h | --help) usage && exit 0 ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    [[ -n $engine ]] || { usage >&2 && exit 2; }
    [[ -f $archive ]] || die "there is no archive \`$archive\`: make package-docker builds it"

    instance_prepare "$engine"
    jar=$work/cookies
    new_password=$(openssl rand -hex 16)
    download "$archive"
    load_and_list
    start_first
    status_for_strangers_and_friends
    first_log_in
    upload_and_compare
    kill_the_database
    stop_in_order
    new_container_same_volume
    stop_in_order
    say "passed: the five commands with $engine"
}
# The first of the five: curl with a user and a password.
download() {
    local password code
    password=$(openssl rand -hex 16)
    download_serve "$work" "$1" backend/docker_backend-latest.tar customer "$password"
    code=$(curl -s -o /dev/null -w '%{http_code}' -u customer:wrong "$DOWNLOAD_URL")
    same "a wrong password downloads nothing" 401 "$code"
    curl -fsS -u "customer:$password" "$DOWNLOAD_URL" -o "$work/backend.tar"
    cmp "$1" "$work/backend.tar" || die "the download is not the archive"
    say "ok: downloaded $(stat -L -c %s "$work/backend.tar") bytes"
}
# The second and the third.
load_and_list() {
    instance_load "$work/backend.tar"
    [[ $ENGINE != none ]] || return 0
    engine_has_image "$REPOSITORY" "$TAG" || die "\`$ENGINE image list\` does not show $REPOSITORY $TAG"
    say "ok: $ENGINE image list shows $REPOSITORY $TAG"
}
# The fourth: and the times a customer waits.
start_first() {
    instance_start
    engine_exec "$name" backend settings get status-token >"$work/token"
    [[ -s $work/token ]] || die "the status token is empty"
    engine_exec "$name" backend settings get admin-password >"$work/first-password"
}
# The fifth: details with the token, the bare state without it or with a wrong one.
status_for_strangers_and_friends() {
    local bare='["state","version"]' token
    token=$(<"$work/token")
    same "no token gives the bare state" "$bare" "$(curl -fsS "$address/status" | jq -c keys)"
    same "a wrong token gives the bare state" "$bare" "$(curl -fsS -A 'monitor wrong' "$address/status" | jq -c keys)"
    same "\`curl -A \"monitor TOKEN\"\` gives the details" "$REPOSITORY $VERSION" \
        "$(status_details "$address" "$token" | jq -r '.details | "\(.product) \(.product_version)"')"
    same "a bearer token gives the details" "$REPOSITORY" \
        "$(curl -fsS -H "Authorization: Bearer $token" "$address/status" | jq -r .details.product)"
    same "every service is ready" "[]" \
        "$(status_details "$address" "$token" | jq -c '[.details.services[] | select(.state != "ready") | .name]')"
}
first_log_in() {
    local first
    first=$(<"$work/first-password")
    same "a wrong password is refused" 401 "$(log_in "$address" "$work/nobody" "not the password")"
    same "the generated password logs in" 200 "$(log_in "$address" "$jar" "$first")"
    same "nothing else works before the password is changed" 403 "$(page_code "$address" "$jar" /reports)"
    same "the password is changed" 200 "$(change_password "$address" "$jar" "$first" "$new_password")"
    same "the first password is dead" 401 "$(log_in "$address" "$work/nobody" "$first")"
    same "the reports are open now" 200 "$(page_code "$address" "$jar" /reports)"
}
upload_and_compare() {
    report=$(upload "$address" "$jar" "$DATA_SET")
    wait_for 60 "the report is ready" read_report "$address" "$jar" "$report" "$work/report.json"
    diff <(csv_totals "$DATA_SET") <(report_totals "$work/report.json") ||
        die "the report differs from awk's totals of $DATA_SET"
    say "ok: the report's totals are awk's: $(report_totals "$work/report.json" | grep ^total)"
}
kill_the_database() {
    local token before named
    token=$(<"$work/token")
    before=$(mongodb_process "$token")
    # The status tells the process's id as the container counts.
    engine_exec "$name" sh -c "kill -9 $before"
    named=$(now_ms)
    wait_for 2 "/status names mongodb after its kill -9" status_names_mongodb "$token" "$before"
    say "time: /status named mongodb $(($(now_ms) - named)) ms after its kill -9"
    wait_for 120 "the backend is ready again, unattended" ready_with_another_mongodb "$token" "$before"
    say "time: ready again $(($(now_ms) - named)) ms after the kill"
    read_report "$address" "$jar" "$report" "$work/report.json" || die "the report cannot be read after the crash"
}
mongodb_process() {
    status_details "$address" "$1" | jq --exit-status '.details.services[] | select(.name == "mongodb") | .pid'
}
# Names it: it is not ready, or the status tells how its last run ended.
status_names_mongodb() {
    status_details "$address" "$1" | jq --exit-status --argjson before "$2" '
        .details.services[] | select(.name == "mongodb")
        | .pid != $before and (.state != "ready" or (.last_exit // "" | test("KILL")))' >/dev/null
}
ready_with_another_mongodb() {
    status_is_ready "$address" && [[ "$(mongodb_process "$1")" != "$2" ]]
}
stop_in_order() {
    local began code took
    began=$(now_ms)
    code=$(engine_stop "$name")
    took=$(($(now_ms) - began))
    same "the stop is clean" 0 "$code"
    [[ $took -lt 10000 ]] || die "the stop took $took ms, 10 s and more"
    say "time: stopped after $took ms"
}
new_container_same_volume() {
    local first
    first=$(<"$work/first-password")
    engine_remove "$name"
    instance_start
    same "the token is the same" "$(sha256sum <"$work/token")" \
        "$(engine_exec "$name" backend settings get status-token | sha256sum)"
    rm -f "$jar"
    same "the first password stays dead" 401 "$(log_in "$address" "$work/nobody" "$first")"
    same "the new password logs in" 200 "$(log_in "$address" "$jar" "$new_password")"
    cp "$work/report.json" "$work/before.json"
    read_report "$address" "$jar" "$report" "$work/report.json" || die "the report is gone"
    cmp "$work/before.json" "$work/report.json" || die "the report is another one"
    say "ok: the report is still there"
}
main "$@"
