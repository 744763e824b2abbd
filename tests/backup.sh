#!/usr/bin/env bash
# A backup of a product that is in use, restored on another host: the same data, secrets and password are there. Services come back
# whatever becomes of a backup, and a file that is not whole leaves the volume as it was.
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

# The agent's codes for a backup and for a volume.
UNUSABLE=65 REFUSED=102
# Far more than engines and pipes hold on its way.
NOISE_MIB=96

usage() {
    cat <<'TEXT'
usage: tests/backup.sh [--archive FILE]

Backs the example backend up on docker while it is in use, and restores it into other volumes. The archive is
dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    instance_arguments "$@"
    instance_prepare docker
    instance_load "$archive"
    jar=$work/cookies
    use_first
    backs_up_under_load
    comes_back_when_killed
    comes_back_when_the_engine_loses_its_client
    encrypted_for_a_key
    encrypted_with_a_passphrase
    engine_stop "$name" >/dev/null
    docker rm "$name" >/dev/null
    damaged_is_refused
    restored_is_the_same
    restored_as_another_user
    say "passed: backup and restore on docker"
}

use_first() {
    instance_start
    local first
    password=$(openssl rand -hex 16)
    first=$(engine_exec "$name" backend settings get admin-password)
    log_in "$address" "$jar" "$first" >/dev/null
    same "the password is changed" 200 "$(change_password "$address" "$jar" "$first" "$password")"
    report=$(upload "$address" "$jar" "$DATA_SET")
    wait_for 60 "the report is ready" read_report "$address" "$jar" "$report" "$work/report"
    engine_exec "$name" backend settings set mail-to owner@customer.example
    engine_exec "$name" dd if=/dev/urandom of=/data/noise bs=1M "count=$NOISE_MIB" status=none
    token=$(engine_exec "$name" backend settings get status-token)
    instance=$(instance_of)
}

instance_of() {
    engine_exec "$name" backend status --json | jq -r .details.instance
}

backs_up_under_load() {
    : >"$work/codes"
    (while [[ -e $work/codes ]]; do status_code "$address" >>"$work/seen" && echo >>"$work/seen"; done) &
    local load=$!
    docker exec "$name" backend backup >"$work/backup" 2>"$work/said"
    rm "$work/codes"
    wait "$load"
    same "nobody was refused a connection meanwhile" "" "$(grep -vxE '200|503|' "$work/seen" || true)"
    grep -q '^503$' "$work/seen" || die "the product was never said to be in maintenance"
    same "what is not encrypted is said to be so" 1 "$(grep -c '^warning: the backup is not encrypted' "$work/said")"
    same "the last line says that all is as before" "the services run again" "$(tail -n 1 "$work/said")"
    same "and it is" 200 "$(status_code "$address")"
    same "with its data" 200 "$(log_in "$address" "$jar" "$password")"
    docker run --rm -i "$image" restore --check <"$work/backup" 2>"$work/said" || die "it is not whole: $(<"$work/said")"
    same "the services stopped in order" 0 "$(engine_logs "$name" | grep -c 'has not stopped within' || true)"
}

# A backup that nobody reads: its writer waits in the container until it is killed or its reader comes.
begin_unread() {
    rm -f "$work/pipe"
    mkfifo "$work/pipe"
    docker exec "$name" backend backup >"$work/pipe" 2>"$work/said" &
    client=$!
    exec 9<"$work/pipe"
    # The first thing that a backup says when everything is stopped.
    wait_for 60 "everything is stopped" grep -q '^all services are stopped$' "$work/said"
    same "the state says why" maintenance "$(curl -s "$address/status" | jq -r .state)"
}

comes_back_when_killed() {
    begin_unread
    same "it is alive" 200 "$(curl -s -o /dev/null -w '%{http_code}' "$address/livez")"
    same "it is not ready" 503 "$(curl -s -o /dev/null -w '%{http_code}' "$address/readyz")"
    [[ "$(curl -s -H 'Accept: text/html' "$address/")" == *'is being maintained'* ]] || die "nothing is said to people"
    same "every service but the agent is stopped" "agent ready" \
        "$(engine_exec "$name" backend status --json | jq -r '.details.services[] | select(.state != "stopped") | "\(.name) \(.state)"')"
    local code=0
    engine_exec "$name" backend backup >"$work/second" 2>&1 || code=$?
    same "there is one at a time" 1 "$code"
    # From outside: an engine with output that nobody reads may not get to run another command to its end.
    as_root kill -KILL "$(docker top "$name" -eo pid,args | awk '/backend backup$/ { print $1 }')"
    wait_for 180 "the services come back unattended" status_is_ready "$address"
    # What the engine still holds is read to its end, or its client would wait for a reader.
    timeout 60 cat <&9 >/dev/null || die "the engine does not end the output of a process that was killed"
    exec 9<&-
    code=0
    wait "$client" || code=$?
    same "the killed backup has not ended well" 137 "$code"
    same "their data are there" 200 "$(log_in "$address" "$jar" "$password")"
}

comes_back_when_the_engine_loses_its_client() {
    begin_unread
    kill -KILL "$client"
    exec 9<&-
    wait "$client" || true
    wait_for 180 "the services come back without a reader" status_is_ready "$address"
    say "ok: a client that is gone keeps nothing down"
}

encrypted_for_a_key() {
    age-keygen -o "$work/key.txt" 2>/dev/null
    docker exec "$name" backend backup --recipient "$(age-keygen -y "$work/key.txt")" >"$work/for-key" 2>"$work/said"
    ! grep -q 'not encrypted' "$work/said" || die "it is said not to be encrypted"
    age --decrypt --identity "$work/key.txt" "$work/for-key" >"$work/decrypted"
    docker run --rm -i "$image" restore --check <"$work/decrypted" 2>"$work/said"
    grep -q "^the backup is whole: $REPOSITORY $VERSION, instance $instance" "$work/said" || die "$(<"$work/said")"
    say "ok: the program age opens what was closed for a key"
}

encrypted_with_a_passphrase() {
    CASQUE_BACKUP_PASSPHRASE='correct horse' docker exec --env CASQUE_BACKUP_PASSPHRASE "$name" backend backup \
        >"$work/with-passphrase" 2>"$work/said"
    local code=0
    CASQUE_BACKUP_PASSPHRASE=wrong docker run --rm -i --env CASQUE_BACKUP_PASSPHRASE "$image" restore --check \
        <"$work/with-passphrase" 2>"$work/said" || code=$?
    same "another passphrase is refused" "$UNUSABLE" "$code"
    same "in one line" "error: cannot decrypt the backup: the passphrase is another" "$(<"$work/said")"
}

new_volume() {
    at_exit "engine_remove_volume '$1'"
    docker volume create "$1" >/dev/null
}

# Restores into a new volume and expects a code: refuses FILE CODE.
refuses() {
    local code=0
    docker run --rm -i --volume "$volume-new:/data" "$image" restore <"$1" 2>"$work/said" || code=$?
    same "$(basename "$1") is refused: $(tail -n 1 "$work/said")" "$2" "$code"
    # The engine puts the empty directories of the image into a new volume.
    same "and nothing is in the volume" "" \
        "$(docker run --rm --volume "$volume-new:/data" --entrypoint find "$image" /data -name .restore -o -not -type d)"
}

damaged_is_refused() {
    new_volume "$volume-new"
    local size
    size=$(stat -c %s "$work/backup")
    head -c $((size / 2)) "$work/backup" >"$work/half"
    head -c $((size - 1)) "$work/backup" >"$work/all-but-one"
    python3 - "$work/backup" "$work/flipped" <<'PYTHON'
import pathlib, sys

content = bytearray(pathlib.Path(sys.argv[1]).read_bytes())
content[len(content) // 3] ^= 1
pathlib.Path(sys.argv[2]).write_bytes(content)
PYTHON
    refuses "$work/half" "$UNUSABLE"
    refuses "$work/all-but-one" "$UNUSABLE"
    refuses "$work/flipped" "$UNUSABLE"
    rm "$work/half" "$work/all-but-one" "$work/flipped"
}

restored_is_the_same() {
    age --decrypt --identity "$work/key.txt" "$work/for-key" |
        docker run --rm -i --volume "$volume-new:/data" "$image" restore 2>"$work/said" || die "$(<"$work/said")"
    local code=0
    docker run --rm -i --volume "$volume-new:/data" "$image" restore <"$work/backup" 2>"$work/said" || code=$?
    same "a volume in use is refused" "$REFUSED" "$code"
    volume=$volume-new instance_start
    is_the_same
    same "a setting is the same" owner@customer.example "$(engine_exec "$name" backend settings get mail-to)"
    engine_stop "$name" >/dev/null
    docker rm "$name" >/dev/null
}

is_the_same() {
    same "the password is the same" 200 "$(log_in "$address" "$jar" "$password")"
    read_report "$address" "$jar" "$report" "$work/again"
    same "the report is the same" "$(<"$work/report")" "$(<"$work/again")"
    same "the data set is the same" "$(csv_totals "$DATA_SET")" "$(report_totals "$work/again")"
    same "the token is the same" "$token" "$(engine_exec "$name" backend settings get status-token)"
    same "it is the same instance" "$instance" "$(instance_of)"
}

# From a container in which each service has its own user to the volume of one user, by a container that may write nothing else.
restored_as_another_user() {
    new_volume "$volume-single"
    local -a options=(--user 1234567:0 --read-only --cap-drop ALL --tmpfs /tmp --tmpfs /run:mode=1777)
    CASQUE_BACKUP_PASSPHRASE='correct horse' docker run --rm -i "${options[@]}" --env CASQUE_BACKUP_PASSPHRASE \
        --volume "$volume-single:/data" "$image" restore <"$work/with-passphrase" 2>"$work/said" || die "$(<"$work/said")"
    same "everything belongs to that user" "" \
        "$(docker run --rm --volume "$volume-single:/data" --entrypoint find "$image" /data -mindepth 1 -not -uid 1234567)"
    same "settings and secrets can be read by it" "$token" \
        "$(docker run --rm "${options[@]}" --volume "$volume-single:/data" --entrypoint cat "$image" /data/casque/secrets/status-token)"
    at_exit "docker rm --force '$name-single' >/dev/null 2>&1"
    docker run --detach --name "$name-single" "${options[@]}" --volume "$volume-single:/data" "$image" >/dev/null
    wait_for 180 "the restored product runs as that user" docker exec "$name-single" backend health
}

main "$@"
