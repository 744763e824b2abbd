#!/usr/bin/env bash
# The mail about a report: a real SMTP server, with a log-in, receives it from a container.
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

usage() {
    cat <<'TEXT'
usage: tests/mail.sh [--engine docker|podman] [--archive FILE]

Gives the example backend a mail server in its setting smtp-url, uploads a data set and reads the mail that arrives. The
engine is docker and the archive dist/docker_backend-latest.tar unless given. Needs a network the first time, for
aiosmtpd from the Python index.
TEXT
}

# Characters that a URL must escape: whoever forgets to unquote them cannot log in.
MAIL_PASSWORD=$(openssl rand -hex 8)%/@:
MAIL_FROM=backend@vendor.example
MAIL_TO=owner@customer.example

main() {
    local archive=dist/docker_backend-latest.tar engine=docker
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --engine) engine=${2:?} && shift 2 ;;
            --archive) archive=$(cd "$OLDPWD" && realpath "${2:?}") && shift 2 ;;
            -h | --help) usage && exit 0 ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    [[ $engine == docker || $engine == podman ]] || die "there is no way out of a container of \`$engine\`"
    [[ -f $archive ]] || die "there is no archive \`$archive\`: make package-docker builds it"
    instance_prepare "$engine"
    instance_load "$archive"
    mail_server_start
    write_settings
    instance_start --env-file "$work/environment"
    report_on_data_set
    wait_for 60 "the mail arrives" test -e "$work/mail/1.mail"
    read_mail
    say "passed: the mail with $engine"
}

# The server listens where containers see the host, and nowhere else.
mail_server_start() {
    local python=dist/test-venv/bin/python
    if ! "$python" -c 'import aiosmtpd' 2>/dev/null; then
        python3 -m venv dist/test-venv
        "$python" -m pip install --quiet --disable-pip-version-check aiosmtpd==1.4.6
    fi
    gateway=$(host_address)
    mkdir "$work/mail"
    MAIL_USER=backend MAIL_PASSWORD=$MAIL_PASSWORD "$python" tests/mail_server.py "$gateway" "$work/mail" >"$work/mail-port" 2>"$work/mail.log" &
    at_exit "end_process $!"
    wait_for 20 "the mail server listens" test -s "$work/mail-port"
}

# Prints the address under which containers reach the host. Podman makes its bridge with the first container.
host_address() {
    if [[ $ENGINE == podman ]]; then
        podman run --rm "$image" true >/dev/null 2>&1 || true
        podman network inspect podman | jq -r '.[0].subnets[0].gateway'
    else
        # Not every engine tells the gateway of a network that no container has used yet; its bridge always has it.
        local bridge
        bridge=$(docker network inspect bridge | jq -r '.[0].Options["com.docker.network.bridge.name"]')
        ip -4 -json address show dev "$bridge" | jq -r '.[0].addr_info[0].local'
    fi
}

# The settings go in by a file: a secret never travels in an argument vector.
write_settings() {
    local quoted
    quoted=$(jq --null-input --raw-output --arg text "$MAIL_PASSWORD" '$text | @uri')
    (
        umask 077
        printf 'SMTP_URL=smtp://backend:%s@%s:%s\nMAIL_FROM=%s\nMAIL_TO=%s\n' \
            "$quoted" "$gateway" "$(<"$work/mail-port")" "$MAIL_FROM" "$MAIL_TO" >"$work/environment"
    )
}

report_on_data_set() {
    local first new jar=$work/cookies
    first=$(engine_exec "$name" backend settings get admin-password)
    new=$(openssl rand -hex 16)
    same "the generated password logs in" 200 "$(log_in "$address" "$jar" "$first")"
    same "the password is changed" 200 "$(change_password "$address" "$jar" "$first" "$new")"
    report=$(upload "$address" "$jar" "$DATA_SET")
}

read_mail() {
    local mail=$work/mail/1.mail total
    total=$(csv_totals "$DATA_SET" | awk '$1 == "total" { print $2 }')
    same "the envelope is the settings'" "$MAIL_FROM $MAIL_TO" "$(head -n 1 "$mail")"
    grep -q '^Subject: .*orders.csv' "$mail" || die "the mail's subject does not name the data set"
    grep -q "^Orders: *$total" "$mail" || die "the mail does not tell of $total orders"
    grep -q "$report/page" "$mail" || die "the mail does not tell where the report is"
    say "ok: the mail tells of $report"
}

main "$@"
