#!/usr/bin/env bash
# What the example says of a host before anything is started and while it runs, what of it ends a start, and a mail whose every
# line is shown, from a real SMTP server.
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
# shellcheck source=tests/certificates.sh
. tests/certificates.sh
# shellcheck source=tests/mail_server.sh
. tests/mail_server.sh

MAIL_PASSWORD='canary/of:mail@'
MAIL_HOST=mail.bank.example
# PID 1's code for what keeps a product from starting.
SETTINGS=100

usage() {
    cat <<'TEXT'
usage: tests/preflight.sh [--archive FILE]

Has the example's image look at hosts that lack something, and send mails. The archive is dist/docker_backend-latest.tar unless
given. Needs a network the first time, for packages from the Python index.
TEXT
}

main() {
    instance_arguments "$@"
    instance_prepare docker
    instance_load "$archive"
    nothing_is_started
    data_that_would_be_lost
    a_volume_that_cannot_be_written
    a_processor_that_cannot
    little_of_everything
    certificate
    mail_server_start "$work/pair.pem"
    mail_address=$MAIL_HOST:$(<"$work/mail-port")
    who_nobody_vouches_for
    while_it_runs
    a_password_that_is_wrong
    a_mail_arrives
    say "passed: preflight and mail-test"
}

# Looks at this host by a container of its own: look CODE [ENGINE-ARGUMENT...]. Leaves the document in $work/found.
look() {
    local expected=$1 code=0
    shift
    docker run --rm "$@" "$image" preflight --json >"$work/found" 2>"$work/said" || code=$?
    [[ $code == "$expected" ]] || die "preflight ended with $code: $(cat "$work/said" "$work/found")"
}

# Prints something of a check: found NAME verdict|fact|consequence|remedy.
found() {
    jq --raw-output --arg name "$1" --arg what "$2" '.checks[] | select(.name == $name)[$what]' "$work/found"
}

# Says whether a fact has a text: says NAME TEXT.
says() {
    [[ "$(found "$1" fact)" == *"$2"* ]] || die "\`$1\` does not say \`$2\`: $(cat "$work/found")"
}

# Prints what is in a volume; an engine fills a new one with what the image has there: in_data [ENGINE-ARGUMENT...].
in_data() {
    docker run --rm "$@" --entrypoint find "$image" /data | sort
}

nothing_is_started() {
    look 0 --volume "$volume:/data"
    same "everything is looked at" \
        "kernel cpu memory limits rights clock volume disk-space disk-speed settings certificates ports overcommit" \
        "$(jq --raw-output '[.checks[].name] | join(" ")' "$work/found")"
    same "the volume is one" ok "$(found volume verdict)"
    says volume "the volume \`$volume\`"
    says kernel "Linux $(uname -r)"
    says cpu "with \`avx\`"
    same "the ports are free" ok "$(found ports verdict)"
    same "the vendor's own look is of this host" "vm.overcommit_memory is $(cat /proc/sys/vm/overcommit_memory)" "$(found overcommit fact)"
    same "nothing is left in the volume" "$(in_data)" "$(in_data --volume "$volume:/data")"
    docker run --rm --volume "$volume:/data" "$image" preflight >"$work/table"
    [[ "$(head -n 1 "$work/table")" == "CHECK "*"VERDICT "*"FACT" ]] || die "there is no table: $(cat "$work/table")"
    say "ok: people get a table"
}

data_that_would_be_lost() {
    look 0
    same "a volume without a name is warned of" warning "$(found volume verdict)"
    says volume "has no name"
}

a_volume_that_cannot_be_written() {
    look 1 --volume "$volume:/data:ro"
    same "a volume that cannot be written has failed" failed "$(found volume verdict)"
    same "and this helps" "mount a writable volume with \`-v NAME:/data\`" "$(found volume remedy)"
    look 1 --user 54321:1000 --volume "$volume:/data"
    [[ "$(found volume remedy)" == *"/bin/chown -R 54321 /data"* ]] || die "the line is missing: $(found volume remedy)"
    say "ok: who may not write gets the line that helps"
}

a_processor_that_cannot() {
    sed 's/ avx\b//g' /proc/cpuinfo >"$work/cpuinfo"
    chmod 755 "$work"
    local without=(--volume "$work/cpuinfo:/proc/cpuinfo:ro") code=0
    look 1 "${without[@]}" --volume "$volume:/data"
    same "MongoDB cannot run without AVX" "failed \`mongodb\` cannot run" "$(found cpu verdict) $(found cpu consequence)"
    docker run --rm "${without[@]}" --volume "$volume:/data" "$image" >"$work/start" 2>&1 || code=$?
    same "a start is refused" "$SETTINGS" "$code"
    same "in one line" 1 "$(grep -c "error: .*lacks \`avx\`; \`mongodb\` cannot run" "$work/start")"
    same "and nothing is left in the volume" "$(in_data)" "$(in_data --volume "$volume:/data")"
    look 1 "${without[@]}" --env MONGODB_URL=mongodb://127.0.0.1:1/x
    same "a MongoDB elsewhere needs none here" ok "$(found cpu verdict)"
    same "but has to be there" "failed 127.0.0.1:1: Connection refused (os error 111)" "$(found mongodb-url verdict) $(found mongodb-url fact)"
}

little_of_everything() {
    look 0 --volume "$volume:/data" --memory 300m --ulimit nofile=512:512 --cpus 1
    same "little memory is warned of" warning "$(found memory verdict)"
    says memory "300 MiB of the machine's"
    same "few open files are warned of" "warning 512 open files" "$(found limits verdict) $(found limits fact | cut -d, -f1)"
    [[ $(nproc) == 1 ]] || says cpu "1 of $(grep -c ^processor /proc/cpuinfo) processors"
    look 1 --volume "$volume:/data" --env WEB_WORKERS=many
    same "a wrong setting has failed" failed "$(found settings verdict)"
    same "and what depends on it is not checked" not-checked "$(found ports verdict)"
}

# An authority, and the mail server that it signed.
certificate() {
    new_authority "$work"
    new_certificate "$work" mail "$MAIL_HOST"
    cat "$work/mail.pem" "$work/mail.key" >"$work/pair.pem"
}

# Prints the setting for a password: smtp_url PASSWORD.
smtp_url() {
    printf 'smtp://backend:%s@%s' "$(jq --null-input --raw-output --arg text "$1" '$text | @uri')" "$mail_address"
}

# Sends a mail by a container of its own: mail_test CODE PASSWORD.
mail_test() {
    local code=0
    (umask 077 && printf 'SMTP_URL=%s\n' "$(smtp_url "$2")" >"$work/environment")
    docker run --rm --add-host "$MAIL_HOST:$gateway" --env-file "$work/environment" --volume "$volume:/data" "$image" \
        mail-test owner@customer.example >"$work/said" 2>&1 || code=$?
    [[ $code == "$1" ]] || die "mail-test ended with $code: $(cat "$work/said")"
}

who_nobody_vouches_for() {
    mail_test 1 "$MAIL_PASSWORD"
    same "a server of an unknown authority gets no password" \
        "error: $mail_address is reached, but there is no TLS with it: invalid peer certificate: UnknownIssuer; put the authority that signed the server's certificate, in PEM, into \`/data/tls/ca\`" \
        "$(tail -n 1 "$work/said")"
    docker run --rm -i --volume "$volume:/data" --entrypoint sh "$image" \
        -c 'mkdir -p /data/tls/ca && cat >/data/tls/ca/bank.pem' <"$work/ca.pem"
}

while_it_runs() {
    instance_start --add-host "$MAIL_HOST:$gateway"
    engine_exec "$name" backend preflight --json >"$work/found" || die "a product that runs cannot: $(cat "$work/found")"
    same "the ports are its own" not-checked "$(found ports verdict)"
    says volume "has data of $REPOSITORY $VERSION"
    look 0 --volume "$volume:/data"
    same "a volume in use is warned of" warning "$(found volume verdict)"
    says volume "is used by another container"
}

a_password_that_is_wrong() {
    mail_test 1 "canary-of-a-mistake"
    same "the refusal is the server's" "error: $mail_address refuses the log-in: 535 5.7.8 Authentication credentials invalid" \
        "$(tail -n 1 "$work/said" | cut -d';' -f1)"
    same "the password is masked" "0 > AUTH PLAIN ********" "$(grep -c canary "$work/said" || true) $(grep '^> AUTH' "$work/said")"
}

a_mail_arrives() {
    local code=0
    docker exec -i "$name" backend settings set smtp-url <<<"$(smtp_url "$MAIL_PASSWORD")" >/dev/null 2>&1
    engine_exec "$name" backend mail-test owner@customer.example >"$work/said" 2>&1 || die "no mail: $(cat "$work/said")"
    same "the server has taken it" "$mail_address has taken the mail: 250 kept" "$(tail -n 1 "$work/said")"
    same "it is there" "backend@localhost owner@customer.example" "$(head -n 1 "$work/mail/1.mail")"
    same "and says what it is" 1 "$(grep -c "^Subject: Test of $REPOSITORY $VERSION" "$work/mail/1.mail")"
    same "it went by TLS, and the password is masked" "1 0" \
        "$(grep -c '^\* TLS: ' "$work/said") $(grep -cF "$MAIL_PASSWORD" "$work/said" || true)"
    engine_exec "$name" backend preflight --json >"$work/found"
    same "preflight logs in, too" "ok $mail_address speaks SMTP by TLS, and lets the user in" "$(found smtp-url verdict) $(found smtp-url fact)"
    engine_exec "$name" backend mail-test 'nobody' >"$work/said" 2>&1 || code=$?
    same "what is no address is refused" 64 "$code"
}

main "$@"
