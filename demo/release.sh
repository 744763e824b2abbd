#!/usr/bin/env bash
# A vendor's tag becomes a release, and a customer runs it: everything in between is what a vendor and a customer have.
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
usage: demo/release.sh

Puts the example into a git repository of its own, has `casque release watch` look at that, and pushes a tag. Its `make
package` and `make package-docker` run in a clean checkout, and the results go to a depot on this machine. Then it is the
customer: from `curl -u` to `curl /status`. DEMO_PORT is the backend's port, 8080 unless set, DEPOT_PORT the depot's, 8081.
Nothing is left running.
TEXT
}

BACKEND=http://127.0.0.1:${DEMO_PORT:-8080}
DEPOT=http://127.0.0.1:${DEPOT_PORT:-8081}
CASQUE=$PWD/dist/bin/casque
TAG=v$(<examples/backend/VERSION)
# The archive's answer to a locked file that is there no more; see docs/cli.md.
NETWORK=4

main() {
    case "${1:-}" in -h | --help) usage && exit 0 ;; esac
    port_is_free "${DEMO_PORT:-8080}" DEMO_PORT
    port_is_free "${DEPOT_PORT:-8081}" DEPOT_PORT
    # Images are large, and /tmp may be memory.
    home=$(mktemp -d "$PWD/dist/demo-release.XXXXXX")
    # Without an engine the data belongs to users of a namespace.
    at_exit "rm -rf '$home' 2>/dev/null || as_root rm -rf '$home'"
    export CASQUE_STATE=$home/state CASQUE_DEPOT_DATA=$home/depot CASQUE_DEPOT_LISTEN=${DEPOT#http://}
    CASQUE_PASSPHRASE=$(openssl rand -hex 16)
    export CASQUE_PASSPHRASE
    engine_start "$(demo_engine)"
    the_depot
    the_repository
    the_release
    the_customer
}

port_is_free() {
    [[ -z "$(ss -Hltn "sport = :$1")" ]] || die "port $1 is taken; choose another with $2"
}

the_depot() {
    say "-- the vendor's download host"
    (cd "$home" && "$CASQUE" keygen vendor)
    dist/bin/casque-depot product add backend --title 'The example backend' --run "docker run -d -p 80:80 vendor/backend:$TAG"
    dist/bin/casque-depot key add backend "$home/vendor.pub"
    CASQUE_RELEASE_TOKEN=$(dist/bin/casque-depot token add watch backend 2>/dev/null)
    export CASQUE_RELEASE_TOKEN
    login=$(dist/bin/casque-depot customer add acme 2>/dev/null)
    dist/bin/casque-depot customer grant acme backend
    dist/bin/casque-depot serve 2>"$home/depot.log" &
    at_exit "end_process $!"
    wait_for 20 "the depot answers" curl -sf -o /dev/null "$DEPOT/healthz"
}

the_repository() {
    say "-- the vendor's repository"
    cp -r examples/backend "$home/clone"
    # What only a checkout has is no part of the image, so a build of the example serves this one as well.
    printf '%s\n' .git /dist/ .casqueignore >"$home/clone/.casqueignore"
    usable_lock
    git init --quiet --bare "$home/backend.git"
    git_at_work init --quiet
    git_at_work add --all
    git_at_work commit --quiet --message "The example backend"
    cat >"$home/release.toml" <<TOML
[depot]
address = "$DEPOT"

[sign]
key = "vendor.key"

[watch]
every = "1s"
retries = 0

[[project]]
name = "backend"
git = "backend.git"
commands = ["make package DIST=dist", "make package-docker DIST=dist"]

[[project.file]]
path = "dist/backend-{version}.tar"
name = "backend-{version}.tar"
kind = "package"

[[project.file]]
path = "dist/docker_backend-latest.tar"
name = "docker_backend-{tag}.tar"
kind = "image"

[[project.file]]
path = "dist/docker_backend-latest.spdx.json"
name = "docker_backend-{tag}.spdx.json"
kind = "sbom"
TOML
}

# A stable archive deletes files when newer ones supersede them; then the project has a lock of its own here, that of `make
# demo` where it made one.
usable_lock() {
    fetches && return
    [[ ! -e dist/casque.lock ]] || cp dist/casque.lock "$home/clone/casque.lock"
    fetches || "$CASQUE" lock --update "$home/clone"
}

# Says whether everything that the lock names can be had; what else goes wrong ends the demo.
fetches() {
    local code=0
    "$CASQUE" fetch "$home/clone" || code=$?
    [[ $code -eq 0 || $code -eq $NETWORK ]] || exit "$code"
    return "$code"
}

git_at_work() {
    git -c user.name=vendor -c user.email=vendor@example.com -C "$home/clone" "$@"
}

the_release() {
    say "-- casque release watch, and a tag"
    "$CASQUE" release watch --config "$home/release.toml" 2> >(tee "$home/watch.log" >&2) &
    watch=$!
    at_exit "end_process $watch"
    wait_for 30 "the repository is watched" grep -q 'watching for tags' "$home/watch.log"
    git_at_work tag --annotate --message "The release that this demo makes." "$TAG"
    git_at_work push --quiet "$home/backend.git" "$TAG"
    wait_for 1800 "$TAG is released" is_released
    end_process "$watch"
}

is_released() {
    ! grep -q "^backend $TAG: error:" "$home/watch.log" || die "the release failed"
    grep -q "^backend $TAG: published" "$home/watch.log"
}

# Says what a customer types, and does it.
typed() {
    printf '$ %s\n' "$1"
    eval "$1"
}

the_customer() {
    say "-- the customer"
    cd "$home"
    at_exit "engine_remove $NAME; engine_remove_volume \"\$(engine_volume $NAME '$home')\""
    engine_remove "$NAME"
    typed "curl -sS -u $login $DEPOT/backend/docker_backend-latest.tar -o backend.tar"
    curl -sSf -u "$login" "$DEPOT/backend/docker_backend-latest.tar.minisig" -o backend.tar.minisig
    typed "$CASQUE verify backend.tar --key vendor.pub"
    local image=backend.tar
    if [[ $ENGINE != none ]]; then
        image=vendor/backend:$TAG
        typed "$ENGINE load <backend.tar"
        typed "$ENGINE image list $image"
        engine_has_image vendor/backend "$TAG" || die "$ENGINE does not list $image"
    fi
    say "$ $ENGINE run, on ${BACKEND#http://}"
    engine_run "$NAME" "${BACKEND##*:}" "$(engine_volume "$NAME" "$home")" "$image"
    wait_for 180 "the backend is ready" status_is_ready "$BACKEND"
    token=$(engine_exec "$NAME" backend settings get status-token)
    typed "curl -sS -A 'monitor $token' $BACKEND/status" | tee status.json
    same "the backend that runs is that of the tag" "ready ${TAG#v}" "$(tail -n 1 status.json | jq -r '"\(.state) \(.details.product_version)"')"
}

main "$@"
