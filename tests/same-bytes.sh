#!/usr/bin/env bash
# Two builds of the same lock are the same file, though the second has nothing of the first but its downloads and differs in
# all that a build may differ in: paths, host name, processors, habits of the caller, and the date. The user is the subject of
# tests/ordinary-user.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

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
    mkdir "$home/downloads"
    lock=$(usable_lock "$home")
    build "$home" first "$CASQUE" build --lockfile "$lock" "$MANIFEST"
    move_away "$home" "$lock"
    build "$home" second elsewhere "$home" build --locked "project/${MANIFEST##*/}"
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

# Copies the project with its lock, and casque itself, to other paths.
move_away() {
    mkdir --parents "$1/another/place"
    cp --recursive "$PROJECT" "$1/another/place/project"
    cp "$2" "$1/another/place/project/$(basename "$MANIFEST" .toml).lock"
    cp --recursive dist/bin "$1/another/programs"
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

# Prints the lock that the archive can still serve: the project's own, or one made here.
usable_lock() {
    local lock=${MANIFEST%.toml}.lock
    if [[ ! -f $lock ]] || ! "$CASQUE" --cache "$1/downloads" fetch "$MANIFEST" >&2; then
        say "locking anew for this test alone" >&2
        lock=$1/casque.lock
        "$CASQUE" --cache "$1/downloads" lock --update --lockfile "$lock" "$MANIFEST" >&2
    fi
    echo "$lock"
}

# Has a command build with a cache of its own, which starts with the downloads there are and gives back those it made.
build() {
    local home=$1 which=$2 cache=$1/cache-$2
    shift 2
    mkdir "$cache"
    copy_downloads "$home/downloads" "$cache"
    "$@" --cache "$cache" --output "$home/$which.tar" >&2
    copy_downloads "$cache" "$home/downloads"
}

# Both have the files; the cache's other directories hold what building made.
copy_downloads() {
    [[ ! -d $1/store ]] || cp --archive --link --no-clobber "$1/store" "$2/"
}

# Prints the blobs that only one of the two has.
differing_layers() {
    comm -3 <(tar -tf "$1/first.tar" | sort) <(tar -tf "$1/second.tar" | sort) | xargs
}

main "$@"
