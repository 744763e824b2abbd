#!/usr/bin/env bash
# The bare form of the example, a base and one step, was locked and built with a network: without one, in another cache, the
# same bytes come out. A step that asks for more than it did is refused by name.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
BUILT=dist/docker_backend-latest.tar
# Exit codes; see docs/cli.md.
STEP=6

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/offline.sh"
            say
            say "Builds a copy of examples/backend by the lock of demo/image.sh, in a network namespace without a route, with"
            say "nothing but the downloads, and compares the archive with that one's."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-offline.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    cp -a examples/backend "$work/backend"
    cp "$(example_lock)" "$work/backend/casque.lock"
    same "the lock has what the step downloads" 1 "$(grep -c '^\[\[step\]\]' "$work/backend/casque.lock")"
    borrow_downloads "$work/cache"
    offline "$work/cache" --output "$work/second.tar" "$work/backend" >&2
    cmp "$BUILT" "$work/second.tar" || die "what was replayed is not what was recorded"
    say "ok: built without a network, the archive is the same $(stat -c %s "$BUILT") bytes"
    rm "$work/second.tar"
    refused "$work"
    outside_of_the_proxy "$work"
    as_this_host "$work"
}

# A step that asks for another file than it was locked with is told so.
refused() {
    local work=$1 code=0
    manifest "$work" "true"
    "$CASQUE" --cache "$work/cache" lock "$work" >&2
    offline "$work/cache" --output "$work/image.tar" "$work" 2>"$work/said" >&2 || die "the build does not work: $(cat "$work/said")"
    same "a step that was recorded does not run again" 1 "$(grep -c '^layer deploy: unchanged$' "$work/said")"
    # shellcheck disable=SC2016 # The step's own parameters.
    manifest "$work" 'apt-get update -qq || true; apt-get download hello'
    offline "$work/cache" --output "$work/image.tar" "$work" 2>"$work/said" >&2 || code=$?
    same "a step that asks for more has its exit code" "$STEP" "$code"
    same "what it asked for is named" 1 \
        "$(grep -c '^    GET http.*/dists/bookworm/InRelease$' "$work/said")"
    same "what to do is said" "hint: run \`casque lock\`: it runs the step again and adds what is new" \
        "$(tail -n 1 "$work/said")"
}

# A program that does not ask the proxy finds no host, and the vendor reads which one it looked for.
outside_of_the_proxy() {
    local work=$1
    manifest "$work" "getent hosts nowhere.example.org || echo not found"
    "$CASQUE" --cache "$work/cache" lock "$work" 2>"$work/said" || die "locking does not work: $(cat "$work/said")"
    same "a host looked for without the proxy is named" \
        "warning: the step of layer \`deploy\` looked for \`nowhere.example.org\` itself; only what asks the proxy (\`http_proxy\`, \`https_proxy\`) gets there" \
        "$(grep '^warning: ' "$work/said")"
}

# A step with the host's network is warned of, and the lock says so.
as_this_host() {
    local work=$1
    manifest "$work" "true" '"host"'
    "$CASQUE" --cache "$work/cache" build --output "$work/image.tar" "$work" 2>"$work/said" >&2 ||
        die "the build does not work: $(cat "$work/said")"
    same "a step with the host's network is warned of" 1 \
        "$(grep -c "^warning: the step of layer .deploy. sees this host's network: " "$work/said")"
    same "the lock says that it has the host's network" 1 "$(grep -c '^host = true$' "$work/casque.lock")"
}

# Builds where there is not even a loopback.
offline() {
    as_root unshare --net "$CASQUE" --cache "$1" build --locked "${@:2}"
}

# Writes a manifest whose only layer runs this with a network, or with another one.
manifest() {
    cat >"$1/casque.toml" <<END
[image]
name = "vendor/offline"
version = "1.0.0"
command = "offline"

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "deploy"
run = "$2"
network = ${3:-true}
END
}

main "$@"
