# One running instance of the example backend for a test, gone at the end. Source it after wait.sh, engine.sh and
# backend.sh. After instance_arguments there is `archive`, after instance_prepare: work (a directory), name (the
# container), volume, image, address.
# shellcheck shell=bash

REPOSITORY=vendor/backend
VERSION=$(<examples/backend/VERSION)
TAG=v$VERSION
# shellcheck disable=SC2034 # For those who source this.
DATA_SET=examples/backend/data/orders.csv

# Reads the arguments of a test, which has a function `usage`: instance_arguments [--with-engine] "$@". Sets archive, and
# engine for a test that runs on several.
# shellcheck disable=SC2034 # For those who source this.
instance_arguments() {
    local with_engine=
    [[ ${1:-} != --with-engine ]] || { with_engine=1 && shift; }
    archive=dist/docker_backend-latest.tar engine=docker
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --archive) archive=$(cd "$OLDPWD" && realpath "${2:?}") && shift 2 ;;
            -h | --help) usage && exit 0 ;;
            --engine)
                [[ -n $with_engine ]] || { usage >&2 && exit 2; }
                engine=${2:?} && shift 2
                ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    [[ -f $archive ]] || die "there is no archive \`$archive\`: make package-docker builds it"
}

# Starts an engine if it must and chooses names: instance_prepare docker|podman|none.
instance_prepare() {
    work=$(mktemp -d /var/tmp/casque-test.XXXXXX)
    at_exit "rm -rf '$work'"
    # What casque notes about running containers; what it has unpacked stays in its cache.
    export CASQUE_STATE=$work/casque
    engine_start "$1"
    name=casque-test-$$
    volume=$(engine_volume "$name" "$work")
    image=$REPOSITORY:$TAG
    port=$(free_port)
    address=http://127.0.0.1:$port
    # Each later line runs before those above it: first the logs, then the container, its volume, its image.
    # shellcheck disable=SC2153 # The one that engine_start has started.
    [[ $ENGINE == none ]] || engine_has_image "$REPOSITORY" "$TAG" || at_exit "'$ENGINE' image rm '$image' >/dev/null 2>&1"
    at_exit "engine_remove_volume '$volume'"
    at_exit "engine_remove '$name'"
    # shellcheck disable=SC2016 # The status is known only when this runs.
    at_exit '[[ $EXIT_STATUS -eq 0 ]] || instance_last_words'
}

instance_last_words() {
    echo "--- the end of what $name wrote:" >&2
    engine_logs "$name" 2>/dev/null | tail -n 60 >&2
}

# Hands an archive to the engine; without one the archive itself is what runs.
instance_load() {
    if [[ $ENGINE == none ]]; then image=$1; else "$ENGINE" load <"$1"; fi
}

# Runs the image and waits until it is ready, telling how long a customer waits: instance_start [ENGINE-ARGUMENT...].
instance_start() {
    local began answered
    began=$(now_ms)
    engine_run "$name" "$port" "$volume" "$image" "$@"
    wait_for 60 "$address/status answers" status_answers "$address"
    answered=$(now_ms)
    [[ "$(status_code "$address")" == 200 ]] || retry_is_promised
    wait_for 180 "$address/status says ready" status_is_ready "$address"
    say "time: first answer of /status after $((answered - began)) ms, ready after $(($(now_ms) - began)) ms"
}

# Asks for the header of a 503; by the time it is read the backend may have become ready.
retry_is_promised() {
    local head
    head=$(curl -s -o /dev/null -D - "$address/status" | tr -d '\r')
    grep -q '^HTTP/[0-9.]* 200' <<<"$head" || grep -qi '^retry-after: [0-9]' <<<"$head" ||
        die "a 503 of /status has no Retry-After: $head"
}

# The product's own command.
backend() {
    engine_exec "$name" backend "$@"
}

# Prints the process of each service; what was not started anew keeps its.
pids() {
    backend status --json | jq --compact-output '.details.services | map({(.name): .pid}) | add'
}
