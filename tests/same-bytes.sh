#!/usr/bin/env bash
# Two builds of the same lock are the same file, though the second has nothing of the first but its downloads and differs in
# all that a build may differ in: paths, host name, processors, habits of the caller, and the date. The user is the subject of
# tests/ordinary-user.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=$PWD/dist/bin/casque
PROJECT=examples/backend
MANIFEST=examples/backend/casque.layered.toml

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/same-bytes.sh [--bare]"
            say
            say "Builds $PROJECT twice, with an empty cache but for the downloads, and compares the archives: the layered form,"
            say "or with --bare the one of a base and one step. Needs root, for another host name."
            exit 0
            ;;
        --bare) MANIFEST=$PROJECT/casque.toml ;;
    esac
    [[ $EUID -eq 0 ]] || exec sudo --preserve-env "$0" "$@"
    local home lock
    home=$(mktemp -d /var/tmp/casque-same.XXXXXX)
    at_exit "rm -rf '$home'"
    borrow_downloads "$home/cache"
    lock=$(usable_lock "$home")
    "$CASQUE" --cache "$home/cache" build --lockfile "$lock" --output "$home/first.tar" "$MANIFEST" >&2
    move_away "$home" "$lock"
    elsewhere "$home" --cache "$home/another/cache" build --locked --output "$home/second.tar" "project/${MANIFEST##*/}" >&2
    same_file "$home"
}

# Compares the two archives; where they differ, the files that do are named.
same_file() {
    if ! cmp "$1/first.tar" "$1/second.tar"; then
        "$CASQUE" diff --files "$1/first.tar" "$1/second.tar" >&2 || true
        die "two builds of the same lock differ: $(differing_layers "$1")"
    fi
    local layers
    layers=$(tar -xOf "$1/first.tar" manifest.json | jq '.[0].Layers | length')
    [[ $layers -le 40 ]] || die "the image has $layers layers, and 40 are the most"
    say "ok: two builds of $MANIFEST are the same $(stat -c %s "$1/first.tar") bytes"
}

# Copies the project with its lock, casque itself and what was downloaded to other paths.
move_away() {
    mkdir --parents "$1/another/place"
    cp --recursive "$PROJECT" "$1/another/place/project"
    cp "$2" "$1/another/place/project/$(basename "$MANIFEST" .toml).lock"
    cp --recursive dist/bin "$1/another/programs"
    mkdir "$1/another/cache"
    cp --archive --link "$1/cache/store" "$1/another/cache/"
}

# Runs casque as on another machine, forty days later. Monotonic clocks and the times of files stay as they are: they are not
# the date. What runs in the sandbox still sees the machine's own date, for no library of the host gets there.
elsewhere() {
    local home=$1
    shift
    # shellcheck disable=SC2016 # The inner shell's own parameters.
    unshare --uts sh -c '
        hostname elsewhere
        cd "$1/another/place"
        umask 077
        ulimit -S -n 700
        shift
        exec taskset -c 0 "$@"
    ' sh "$home" env HOME="$home/another" LANG=de_DE.UTF-8 TZ=Pacific/Chatham FAKETIME_DONT_FAKE_MONOTONIC=1 \
        NO_FAKE_STAT=1 faketime -f +40d "$home/another/programs/casque" "$@"
}

# Prints the lock that the archive can still serve: the project's own, or one made here. What locking made is used by the first build.
usable_lock() {
    local lock=${MANIFEST%.toml}.lock
    if [[ ! -f $lock ]] || ! "$CASQUE" --cache "$1/cache" fetch "$MANIFEST" >&2; then
        say "locking anew for this test alone" >&2
        lock=$1/casque.lock
        "$CASQUE" --cache "$1/cache" lock --update --lockfile "$lock" "$MANIFEST" >&2
    fi
    echo "$lock"
}

# Prints the blobs that only one of the two has.
differing_layers() {
    comm -3 <(tar -tf "$1/first.tar" | sort) <(tar -tf "$1/second.tar" | sort) | xargs
}

main "$@"
