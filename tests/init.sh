#!/usr/bin/env bash
# A project without a manifest: `casque init` proposes one that builds as it stands into an image that serves, `casque lock
# --suggest` proposes the layers of the example's faster form, and dpkg and apt keep their promises in that image.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
EXAMPLE=examples/backend
# Not the example's own, which other tests run.
VERSION=0.0.2
IMAGE=vendor/backend:v$VERSION
NAME=casque-init-$$

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/init.sh"
            say
            say "Proposes a manifest for a copy of $EXAMPLE without its own, builds it, runs it on docker until its status"
            say "is ready, and asks dpkg and apt in it, the latter with a network."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-init.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    cp -a "$EXAMPLE" "$work/backend"
    find "$work/backend" -name 'casque*' -delete
    "$CASQUE" init "$work/backend" >/dev/null 2>"$work/said"
    "$CASQUE" check "$work/backend"
    stays "$work/backend"
    # The proposal asks for the same as the example's own manifest, so that its lock fits and its stages are there.
    cp "$(example_lock)" "$work/backend/casque.lock"
    # A lock that names what the archives have no more is made anew.
    "$CASQUE" fetch "$work/backend" >/dev/null 2>&1 || rm "$work/backend/casque.lock"
    "$CASQUE" lock --suggest "$work/backend" >"$work/suggested" 2>"$work/log" || die "$(tail -n 30 "$work/log")"
    suggestion "$work/suggested"
    "$CASQUE" build --no-sbom --version "$VERSION" --output "$work/image.tar" "$work/backend" 2>"$work/log" || die "$(tail -n 30 "$work/log")"
    engine_start docker
    at_exit "docker image rm --force $IMAGE ${IMAGE%:*}:latest >/dev/null 2>&1"
    docker load --quiet <"$work/image.tar"
    serves
    promises
    installs_one_more
}

# A manifest that is there is never written over.
stays() {
    local code=0
    echo "# mine" >>"$1/casque.toml"
    "$CASQUE" init "$1" 2>/dev/null || code=$?
    same "a manifest that is there is refused" "2 # mine" "$code $(tail -n 1 "$1/casque.toml")"
    "$CASQUE" init --force "$1" >/dev/null 2>&1
    same "and replaced when that is asked for" 0 "$(grep --count "# mine" "$1/casque.toml" || true)"
}

# What the example's own faster form has, in other words.
suggestion() {
    same "the packages are those of casque.layered.toml" "$(grep '^packages = ' $EXAMPLE/casque.layered.toml)" \
        "$(grep '^packages = ' "$1")"
    same "and so are the Python layers" "$(grep '^python = ' $EXAMPLE/casque.layered.toml | sort)" "$(grep '^python = ' "$1" | sort)"
}

serves() {
    local port
    port=$(free_port)
    engine_run "$NAME" "$port" "$NAME" "$IMAGE"
    at_exit "docker volume rm --force $NAME >/dev/null 2>&1"
    at_exit "docker rm --force --volumes $NAME >/dev/null 2>&1"
    wait_for 120 "the proposed image is ready" status_is_ready "http://127.0.0.1:$port"
    say "ok: the proposed image is ready"
    docker rm --force --volumes "$NAME" >/dev/null
}

# At most ten lines differ from what packages brought, each with its reason in that file.
promises() {
    local expected
    expected=$(grep --invert-match '^#' tests/init.changed)
    [[ $(wc -l <<<"$expected") -le 10 ]] || die "tests/init.changed has more than ten lines"
    same "dpkg finds every file as its package brought it, but for what is known" "$expected" \
        "$(in_image "dpkg --verify" | tr -s ' ' | sort)"
    same "dpkg finds every package whole" "" "$(in_image "dpkg --audit 2>&1")"
    same "apt finds nothing broken" "" "$(in_image "apt-get --quiet=2 check 2>&1")"
}

in_image() {
    docker run --rm --network none --entrypoint sh "$IMAGE" -c "$1"
}

# As a customer would who debugs: from the archives that the image names, as this machine reaches them.
installs_one_more() {
    local settings=() variable
    for variable in http_proxy https_proxy no_proxy; do
        [[ -z "${!variable:-}" ]] || settings+=(--env "$variable=${!variable}")
    done
    same "apt installs one more package where there is a network" "Hello, world!" "$(docker run --rm --network host \
        "${settings[@]}" --env DEBIAN_FRONTEND=noninteractive --entrypoint sh "$IMAGE" -e -c \
        'apt-get --quiet=2 update >/dev/null; apt-get --quiet=2 --yes install hello >/dev/null 2>&1; hello; dpkg --audit')"
}

main "$@"
