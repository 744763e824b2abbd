#!/usr/bin/env bash
# The depot as builds and customers meet it: the real program, real curl, minisign and openssl.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
source tests/wait.sh
# shellcheck source=tests/depot-server.sh
source tests/depot-server.sh

get() {
    curl -sfk -u "$LOGIN" "$@"
}

same() {
    cmp "$home/docker_backend-$1.tar" "$2" || die "the download is not the image of $1"
}

downloads() {
    image v1 20000000
    release v1 1 stable
    get -o "$home/got" "$HOST/backend/docker_backend-latest.tar"
    same v1 "$home/got"
    [[ "$(get -I "$HOST/backend/docker_backend-latest.tar" | tr -d '\r' | sed -n 's/^content-length: //p')" == 20000000 ]]
    (cd "$home" && get "$HOST/backend/docker_backend-v1.tar.sha256" | sha256sum --check --quiet)
    get -o "$home/got.minisig" "$HOST/backend/docker_backend-latest.tar.minisig"
    minisign -VQ -p "$home/vendor.pub" -m "$home/got" -x "$home/got.minisig" >/dev/null
    echo "passed: a release is uploaded, downloaded and verified"
}

# The first half comes slowly and is cut off; the second after the next release.
resumes() {
    local code=0
    rm "$home/got"
    get --limit-rate 4M --max-time 1 -o "$home/got" "$HOST/backend/docker_backend-latest.tar" || code=$?
    [[ $code -eq 28 && $(stat -c %s "$home/got") -gt 0 ]] || die "the download was not cut off: $code"
    image v2 21000000
    release v2 2 stable
    get -C - -o "$home/got" "$HOST/backend/docker_backend-latest.tar"
    same v1 "$home/got"
    get -o "$home/got2" "$HOST/backend/docker_backend-latest.tar"
    same v2 "$home/got2"
    # Now that two releases were begun nobody can know which this is of.
    truncate -s 1000 "$home/got"
    code=0
    get -C - -o "$home/got" "$HOST/backend/docker_backend-latest.tar" || code=$?
    [[ $code -eq 33 ]] || die "curl was to say that it cannot resume, and ended with $code"
    echo "passed: a resumed download is of one release, also when latest changed in between"
}

# The server is killed in the middle of an upload, and again between the upload and the record.
killed() {
    local code=0
    image v3 30000000
    upload "$home/docker_backend-v3.tar" --limit-rate 5M --max-time 1 || code=$?
    [[ $code -eq 28 ]] || die "the upload was not cut off: $code"
    kill -KILL "$SERVER"
    wait "$SERVER" || true
    serve
    upload "$home/docker_backend-v3.tar"
    kill -KILL "$SERVER"
    wait "$SERVER" || true
    serve
    [[ "$(curl -s -o /dev/null -w '%{http_code}' -u "$LOGIN" "$HOST/backend/docker_backend-v3.tar")" == 404 ]] ||
        die "a file of no release can be downloaded"
    release v3 3 beta
    get -o "$home/got" "$HOST/backend/beta/docker_backend-latest.tar"
    same v3 "$home/got"
    "$DEPOT" verify >/dev/null
    echo "passed: a killed server leaves nothing half"
}

installs() {
    mkdir "$home/customer" "$home/bin"
    # shellcheck disable=SC2016 # the stand-in's own arguments
    printf '#!/bin/sh\necho "$@" >>%s/docker.log\n' "$home" >"$home/bin/docker"
    chmod +x "$home/bin/docker"
    get -o "$home/install.sh" "$HOST/backend/install.sh"
    shellcheck "$home/install.sh"
    head -c 5000 "$home/docker_backend-v2.tar" >"$home/customer/docker_backend-v2.tar.part"
    (cd "$home/customer" && PATH=$home/bin:$PATH DEPOT_USER=${LOGIN%%:*} DEPOT_PASSWORD=${LOGIN#*:} bash "$home/install.sh" >"$home/said" 2>/dev/null)
    same v2 "$home/customer/docker_backend-v2.tar"
    grep -qx 'load --input docker_backend-v2.tar' "$home/docker.log"
    grep -qx 'run it with: docker run -d -p 80:80 vendor/backend' "$home/said"
    echo "passed: install.sh resumes, verifies and loads"
}

operates() {
    "$DEPOT" release promote backend v3
    get -o "$home/got" "$HOST/backend/docker_backend-latest.tar"
    same v3 "$home/got"
    "$DEPOT" release withdraw backend v3 --reason 'loses data'
    [[ "$(curl -s -u "$LOGIN" "$HOST/backend/docker_backend-v3.tar")" == "release \`v3\` was withdrawn: loses data" ]] ||
        die "the reason is not shown"
    "$DEPOT" backup "$home/copy.db"
    [[ "$(curl -s "$HOST/metrics" | sed -n 's/^casque_depot_published_total //p')" == 1 ]]
    local password=${LOGIN#*:}
    ! grep -qF -e "$password" -e "$TOKEN" -r "$home/log" "$home/data" || die "a secret is in a log or in the records"
    "$DEPOT" audit --actor acme --format csv >"$home/audit"
    grep -q ',acme,127.0.0.1,download,backend,v1,docker_backend-v1.tar,206,[0-9]*,true$' "$home/audit" ||
        die "the resumed download is not in the audit"
    echo "passed: promote, withdraw, backup, metrics, audit"
}

certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$home/tls.key" -out "$home/tls.pem" 2>/dev/null
}

subject() {
    openssl s_client -connect "127.0.0.1:$PORT" </dev/null 2>/dev/null | openssl x509 -noout -subject
}

has_subject() {
    [[ "$(subject)" == *"$1"* ]]
}

# With TLS; the certificate is renewed, and TERM lets a download finish.
secure() {
    kill "$SERVER"
    wait "$SERVER" || die "the depot did not end cleanly"
    certificate first
    export CASQUE_DEPOT_TLS_CERTIFICATE=$home/tls.pem CASQUE_DEPOT_TLS_KEY=$home/tls.key
    HOST=https://127.0.0.1:$PORT
    serve
    has_subject first || die "the certificate is not the first"
    echo broken >"$home/tls.pem"
    kill -HUP "$SERVER"
    wait_for 10 "the depot says that the certificate is not good" grep -q 'the old certificate stays' "$home/log"
    has_subject first || die "the old certificate did not stay"
    certificate second
    kill -HUP "$SERVER"
    wait_for 10 "the certificate is renewed" has_subject second
    rm "$home/got"
    get --limit-rate 10M -o "$home/got" "$HOST/backend/docker_backend-v2.tar" &
    local download=$!
    wait_for 10 "the download runs" test -s "$home/got"
    kill "$SERVER"
    wait "$download" || die "the download did not finish"
    same v2 "$home/got"
    wait "$SERVER" || die "the depot did not end cleanly"
    echo "passed: TLS, a renewed certificate, a stop that waits for downloads"
}

longer_than() {
    [[ $(offset_of "$1") -gt $2 ]]
}

offset_of() {
    curl -sfI -H "Authorization: Bearer $TOKEN" "$HOST/api/v1/backend/blobs/$1" | tr -d '\r' | sed -n 's/^upload-offset: //p'
}

# The disk fills up in the middle of an upload that had room when it began.
full_disk() {
    local digest offset code=0
    unset CASQUE_DEPOT_TLS_CERTIFICATE CASQUE_DEPOT_TLS_KEY
    HOST=http://127.0.0.1:$PORT
    export CASQUE_DEPOT_DATA=$home/small CASQUE_DEPOT_KEEP_FREE=0
    mkdir "$home/small"
    as_root mount -t tmpfs -o size=16m,mode=777 none "$home/small"
    at_exit "as_root umount '$home/small'"
    rm "$home"/vendor.*
    set_up
    serve
    image v1 8000000
    digest=$(sha256sum "$home/docker_backend-v1.tar" | cut -d ' ' -f 1)
    upload "$home/docker_backend-v1.tar" --limit-rate 3M &
    local uploading=$!
    wait_for 10 "the upload has begun" longer_than "$digest" 1000000
    # Nothing but what others have written is in the way.
    dd if=/dev/zero of="$home/small/others" bs=64k 2>/dev/null || true
    wait "$uploading" || code=$?
    [[ $code -eq 22 ]] || die "curl was to say that the upload was refused, and ended with $code"
    grep -q 'PATCH /api/v1/backend/blobs/[0-9a-f]*: 507' "$home/log" || die "the depot does not say that its disk is full"
    curl -sf -o /dev/null "$HOST/healthz" || die "the depot does not answer on a full disk"
    [[ "$(find "$home/small/blobs" -type f | wc -l)" == 0 ]] || die "half a file is among the whole ones"
    rm "$home/small/others"
    offset=$(offset_of "$digest")
    [[ $offset -gt 0 && $offset -lt 8000000 ]] || die "the upload is not where it was: $offset"
    release v1 1 stable
    get -o "$home/got" "$HOST/backend/docker_backend-latest.tar"
    same v1 "$home/got"
    "$DEPOT" verify >/dev/null
    echo "passed: a full disk leaves nothing half, and the upload goes on when there is room"
}

main() {
    set_up --run 'docker run -d -p 80:80 vendor/backend'
    serve
    downloads
    resumes
    killed
    installs
    operates
    secure
    full_disk
}

main "$@"
