#!/usr/bin/env bash
# The bare form of the example, a base and one step: locked with a network, built without one, in another cache, to the
# same bytes. A step that asks for more than it did is refused by name.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
# Exit codes; see docs/cli.md.
STEP=6

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/offline.sh"
            say
            say "Locks a copy of examples/backend, builds it where it was locked, and again in a network namespace without a"
            say "route, with nothing but the downloads, and compares the archives."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-offline.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    cp -a examples/backend "$work/backend"
    rm -f "$work/backend/casque.lock"
    borrow_downloads "$work/cache"
    "$CASQUE" --cache "$work/cache" lock "$work/backend" >&2
    same "the lock has what the step downloads" 1 "$(grep -c '^\[\[step\]\]' "$work/backend/casque.lock")"
    "$CASQUE" --cache "$work/cache" build --locked --output "$work/first.tar" "$work/backend" 2>"$work/said" >&2 ||
        die "the build does not work: $(cat "$work/said")"
    same "the step that was recorded does not run again" 1 "$(grep -c '^layer deploy: unchanged$' "$work/said")"
    mkdir "$work/elsewhere"
    cp --archive --link "$work/cache/store" "$work/elsewhere/"
    offline "$work/elsewhere" --output "$work/second.tar" "$work/backend" >&2
    cmp "$work/first.tar" "$work/second.tar" || die "what was replayed is not what was recorded"
    say "ok: built without a network, the archive is the same $(stat -c %s "$work/first.tar") bytes"
    refused "$work"
    outside_of_the_proxy "$work"
    as_this_host "$work"
}

# A step that asks for another file than it was locked with is told so.
refused() {
    local work=$1 code=0
    manifest "$work" "true"
    "$CASQUE" --cache "$work/cache" lock "$work" >&2
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
