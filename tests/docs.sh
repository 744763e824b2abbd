#!/usr/bin/env bash
# Every block of commands in the example's handbook, in its order, on docker: what a customer reads is what works.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh
# shellcheck source=tests/download.sh
. tests/download.sh
# shellcheck source=tests/instance.sh
. tests/instance.sh
# shellcheck source=tests/certificates.sh
. tests/certificates.sh
# shellcheck source=tests/external_services.sh
. tests/external_services.sh
# shellcheck source=tests/mail_server.sh
. tests/mail_server.sh
# shellcheck source=tests/syslog_receiver.sh
. tests/syslog_receiver.sh

MAIL_PASSWORD=secret-of-mail

usage() {
    cat <<'TEXT'
usage: tests/docs.sh [--archive FILE]

Runs each block of the handbook of the example backend as it is printed, on the ports that it names: 80 and 443 have to be free. The archive
is dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    local count number block
    instance_arguments "$@"
    archive=$(realpath "$archive") casque=$(realpath "$CASQUE")
    instance_prepare docker
    nothing_is_in_the_way
    "$casque" docs --blocks "$archive" >"$work/blocks.json"
    "$casque" docs "$archive" >"$work/archive.md"
    download_serve "$work" "$archive" "backend/docker_backend-$TAG.tar" customer secret
    mail_server_start
    receiver_start
    new_authority "$work"
    mkdir "$work/here"
    count=$(jq length "$work/blocks.json")
    for ((number = 0; number < count; number++)); do
        block=$(jq -r ".[$number].name" "$work/blocks.json")
        jq -r ".[$number].commands" "$work/blocks.json" >"$work/commands"
        run_block "$block"
    done
    same "the image prints what the archive's handbook says" "$(<"$work/archive.md")" "$(docker run --rm "$image" docs)"
    say "passed: $count blocks of the handbook"
}

# The handbook's own names are used as they are, so nobody else's may be lost for it.
nothing_is_in_the_way() {
    local thing
    for thing in backend backend-trial backend-hardened; do
        ! docker container inspect "$thing" >/dev/null 2>&1 || die "there is a container \`$thing\`: docker rm it first"
        at_exit "docker rm --force --volumes '$thing' >/dev/null 2>&1"
    done
    for thing in backend-data backend-restored backend-hardened; do
        ! docker volume inspect "$thing" >/dev/null 2>&1 || die "there is a volume \`$thing\`: docker volume rm it first"
        # What is named last is done first, and a volume goes after its container.
        at_exit "docker volume rm --force '$thing' >/dev/null 2>&1"
    done
    at_exit "docker rm --force backend backend-hardened >/dev/null 2>&1"
    at_exit "docker image rm --force '$REPOSITORY:NEXT' >/dev/null 2>&1"
}

# Brings about what a block speaks of, runs it, and looks at what came of it.
run_block() {
    case "$1" in
        # The three words that only the vendor's letter knows.
        download) sed -i "s|USER:PASSWORD|customer:secret|; s|https://HOST/backend/.*\.tar -o|$DOWNLOAD_URL -o|" "$work/commands" ;;
        set-secret) echo "smtp://backend:$MAIL_PASSWORD@$gateway:$(<"$work/mail-port")" >"$work/here/smtp-url.txt" ;;
        external) services_elsewhere ;;
        syslog) sed -i "s|logs.example.com:601|$gateway:$tcp|" "$work/commands" ;;
        certificate | renew) certificate_here ;;
        authority) cp "$work/ca.pem" "$work/here/authority.pem" ;;
        # The same image under the name of the next: what the text says of versions is tested in tests/update.sh.
        load-next) cp "$archive" "$work/here/backend-next.tar" ;;
        check) docker tag "$image" "$REPOSITORY:NEXT" ;;
    esac
    (cd "$work/here" && sh -eu "$work/commands") >"$work/said" 2>&1 || {
        cat "$work/commands" "$work/said" >&2
        die "the block \`$1\` ended with another code than 0"
    }
    case "$1" in
        load) grep -q "$TAG" "$work/said" || die "the list of images does not show $TAG" ;;
        try-status | ready | next-ready) same "$1" ready "$(last_state)" ;;
        run-line) same "the image prints the line" "$(jq -r '.[] | select(.name == "run").commands' "$work/blocks.json")" "$(<"$work/said")" ;;
        details) grep -q '"services"' "$work/said" || die "the token does not open the details: $(<"$work/said")" ;;
        set) grep -qx 20 "$work/said" || die "log-size is not 20: $(<"$work/said")" ;;
        hardened) wait_for 180 "it is ready" docker exec backend-hardened backend health ;;
        backup) wait_for 180 "ready after the backup" status_is_ready http://127.0.0.1 ;;
        support-bundle) tar -xzOf "$work/here/backend-support.tar.gz" support-bundle/manifest.json | jq --exit-status '.members | length > 5' >/dev/null ;;
        exit-code) same "$1" "running 0" "$(<"$work/said")" ;;
        set-secret | restart) wait_for 180 "ready after $1" status_is_ready http://127.0.0.1 ;;
        external)
            wait_for 180 "ready after $1" status_is_ready http://127.0.0.1
            same "the built-in ones do not run" "" "$(databases_in backend)"
            ;;
        external-end)
            wait_for 180 "ready after $1" status_is_ready http://127.0.0.1
            same "the built-in ones run again" "mongod redis-server" "$(databases_in backend)"
            ;;
        mail-test) same "the mail is there" 1 "$(grep -c '^Subject: Test of ' "$work/mail/1.mail")" ;;
        certificate)
            wait_for 180 "ready after $1" status_is_ready http://127.0.0.1
            serves_certificate || die "another certificate is served than the one that was copied"
            ;;
        renew) wait_for 20 "the certificate is served" serves_certificate ;;
        syslog)
            curl -s -o /dev/null http://127.0.0.1/health?mark-of-the-test
            wait_for 30 "the receiver gets the lines" is_received mark-of-the-test
            ;;
        stop) same "it stops in order" 0 "$(docker inspect --format '{{.State.ExitCode}}' backend)" ;;
    esac
    say "ok: $1"
}

# curl's own words stand beside the document.
last_state() {
    grep -o '"state": *"[a-z]*"' "$work/said" | tail -n 1 | cut -d '"' -f 4
}

certificate_here() {
    new_certificate "$work" server localhost
    cp "$work/server.pem" "$work/here/cert.pem"
    cp "$work/server.key" "$work/here/key.pem"
}

# Who trusts the authority gets an answer, by the certificate that is here now.
serves_certificate() {
    local served
    served=$(openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint 2>/dev/null) || return 1
    [[ $served == "$(openssl x509 -noout -fingerprint -in "$work/here/cert.pem")" ]] &&
        curl -s --cacert "$work/ca.pem" -o /dev/null https://localhost/health
}

# The files that the text speaks of, with a MongoDB and a Redis behind them.
services_elsewhere() {
    local name=casque-test-elsewhere-$$
    external_mongodb secret
    external_redis -- --requirepass secret
    echo "mongodb://app:secret@$(container_address "$name-db")/orders" >"$work/here/mongodb-url.txt"
    echo "redis://:secret@$(container_address "$name-cache")/0" >"$work/here/redis-url.txt"
}

main "$@"
