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
        set-secret) echo "smtp://127.0.0.1:25" >"$work/here/smtp-url.txt" ;;
        external | external-end)
            say "left out: $1 needs a MongoDB and a Redis elsewhere; tests/external.sh types the same"
            return
            ;;
        certificate | renew | authority) (cd "$work/here" && new_certificate) ;;
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
        certificate | set-secret | restart) wait_for 180 "ready after $1" status_is_ready http://127.0.0.1 ;;
        renew) wait_for 20 "the certificate is served" serves_certificate ;;
        stop) same "it stops in order" 0 "$(docker inspect --format '{{.State.ExitCode}}' backend)" ;;
    esac
    say "ok: $1"
}

# curl's own words stand beside the document.
last_state() {
    grep -o '"state": *"[a-z]*"' "$work/said" | tail -n 1 | cut -d '"' -f 4
}

new_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null
    cp cert.pem authority.pem
}

serves_certificate() {
    local served
    served=$(openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint 2>/dev/null) || return 1
    [[ $served == "$(openssl x509 -noout -fingerprint -in "$work/here/cert.pem")" ]]
}

main "$@"
