#!/usr/bin/env bash
# A package that a role no longer installs is no longer in the image: nothing of an earlier build lingers.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh

CASQUE=$PWD/dist/bin/casque
# What only this task of the playbook brings, and what building does not miss.
TASK="Install the library that mongod loads"
PACKAGE=libcurl4
# Not the product's version: the engine may hold that image already.
VERSION=0.0.1

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/removed-package.sh"
            say
            say "Builds the example, takes the task \`$TASK\` out of a copy of its playbook, builds that with the same cache,"
            say "and asks the dpkg of both images for $PACKAGE."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-removed.XXXXXX)
    at_exit "rm -rf '$work'"
    engine_start docker
    at_exit "docker image rm --force vendor/backend:v$VERSION >/dev/null 2>&1"
    cp -a examples/backend "$work/backend"
    [[ ! -f dist/casque.lock ]] || cp dist/casque.lock "$work/backend/"
    build "$work"
    same "the image has $PACKAGE" "install ok installed" "$(state_in_image)"
    remove_task "$work/backend/shipping/roles/mongodb/tasks/main.yml"
    build "$work"
    same "the image without the task has no $PACKAGE" "" "$(state_in_image)"
}

build() {
    "$CASQUE" build --version "$VERSION" --output "$1/image.tar" "$1/backend"
    docker load --quiet <"$1/image.tar"
}

# Prints the package's state, nothing when dpkg does not know it.
state_in_image() {
    # shellcheck disable=SC2016 # dpkg-query's own variables.
    docker run --rm --network none --entrypoint dpkg-query "vendor/backend:v$VERSION" \
        --show --showformat '${Status}' "$PACKAGE" 2>/dev/null || true
}

# Takes one task out of a file of tasks.
remove_task() {
    awk -v name="- name: $TASK" '/^- / { gone = $0 == name } !gone' "$1" >"$1.new"
    ! cmp --silent "$1" "$1.new" || die "there is no task \`$TASK\` in $1"
    mv "$1.new" "$1"
}

main "$@"
