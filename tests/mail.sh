#!/usr/bin/env bash
# The mail about a report: a real SMTP server, with a log-in, receives it from a container. Every password there is has
# characters that some configuration file takes for something else; status and metrics are read as others read them.
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
# shellcheck source=tests/mail_server.sh
. tests/mail_server.sh

usage() {
    cat <<'TEXT'
usage: tests/mail.sh [--engine docker|podman] [--archive FILE]

Gives the example backend a mail server in its setting smtp-url, uploads a data set and reads the mail that arrives. The
engine is docker and the archive dist/docker_backend-latest.tar unless given. Needs a network the first time, for
packages from the Python index.
TEXT
}

MAIL_FROM=backend@vendor.example
MAIL_TO=owner@customer.example

main() {
    instance_arguments --with-engine "$@"
    [[ $engine == docker || $engine == podman ]] || die "there is no way out of a container of \`$engine\`"
    instance_prepare "$engine"
    instance_load "$archive"
    MAIL_PASSWORD=$(password ascii)
    mail_server_start
    write_settings
    instance_start --env-file "$work/environment"
    read_as_others_do
    report_on_data_set
    wait_for 60 "the mail arrives" test -e "$work/mail/1.mail"
    read_mail
    say "passed: the mail with $engine"
}

# Prints 64 printable characters with quotes, dollars, `#`, `%`, blanks and, unless Python's SMTP library is to take them,
# some beyond ASCII. The first and the last are no blanks: those are refused in an ini file.
password() {
    python3 - "${1:-all}" <<'PYTHON'
import random, string, sys
own = random.SystemRandom()
some = list("'\"\\$`#%;:=@/ {}[]!&*<>|") + list("äöüß€漢" if sys.argv[1] == "all" else "")
rest = own.choices(string.ascii_letters + string.digits + string.punctuation + " ", k=62 - len(some))
middle = some + rest
own.shuffle(middle)
print("#" + "".join(middle) + own.choice("\\\"'#$"))
PYTHON
}

# The settings go in by a file: a secret never travels in an argument vector.
write_settings() {
    local quoted
    quoted=$(jq --null-input --raw-output --arg text "$MAIL_PASSWORD" '$text | @uri')
    (
        umask 077
        printf 'SMTP_URL=smtp://backend:%s@%s:%s\nMAIL_FROM=%s\nMAIL_TO=%s\n' \
            "$quoted" "$gateway" "$(<"$work/mail-port")" "$MAIL_FROM" "$MAIL_TO" >"$work/environment"
        for setting in ADMIN_PASSWORD MONGODB_ADMIN_PASSWORD MONGODB_PASSWORD REDIS_PASSWORD SECRET_KEY; do
            printf '%s=%s\n' "$setting" "$(password)" >>"$work/environment"
        done
    )
}

read_as_others_do() {
    local token
    token=$(engine_exec "$name" backend settings get status-token)
    same "a JSON schema's validator, Prometheus' parser and probes read what is served" \
        "undescribed:
metrics for strangers: 401
metrics: 200 True True
ready: agent beat migrate mongodb nginx redis setup web worker
probes: 200 200" "$(dist/test-venv/bin/python tests/status.py "$address" <<<"$token")"
    same "the container itself reads metrics without the token" 200 \
        "$(engine_exec "$name" python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1/metrics").status)')"
    same "no password is in the log" 0 "$(engine_logs "$name" | grep -cF -f <(secrets) || true)"
}

# Prints the given passwords, one a line.
secrets() {
    sed -n 's/^[A-Z_]*\(PASSWORD\|KEY\)=//p' "$work/environment"
}

report_on_data_set() {
    local first new jar=$work/cookies
    first=$(engine_exec "$name" backend settings get admin-password)
    new=$(openssl rand -hex 16)
    same "the first password logs in" 200 "$(log_in "$address" "$jar" "$first")"
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
