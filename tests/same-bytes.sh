#!/usr/bin/env bash
# Two builds of the same lock, the second without anything of the first but its downloads, are the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

CASQUE=$PWD/dist/bin/casque
MANIFEST=examples/backend/casque.layered.toml

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/same-bytes.sh"
            say
            say "Builds $MANIFEST twice, each with an empty cache but for the downloads, and compares the archives."
            exit 0
            ;;
    esac
    local home lock
    home=$(mktemp -d /var/tmp/casque-same.XXXXXX)
    at_exit "rm -rf '$home'"
    mkdir "$home/downloads"
    lock=$(usable_lock "$home")
    build "$home" "$lock" first
    build "$home" "$lock" second
    cmp "$home/first.tar" "$home/second.tar" || die "two builds of the same lock differ: $(differing_layers "$home")"
    say "ok: two builds of $MANIFEST are the same $(stat -c %s "$home/first.tar") bytes"
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

# Builds with a cache of its own, which starts with the downloads there are and gives back those it made.
build() {
    local home=$1 lock=$2 which=$3 cache=$1/cache-$3
    mkdir "$cache"
    copy_downloads "$home/downloads" "$cache"
    "$CASQUE" --cache "$cache" build --lockfile "$lock" --output "$home/$which.tar" "$MANIFEST" >&2
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
