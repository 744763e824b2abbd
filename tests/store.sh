# What builds before a test have left: downloads for a cache of its own, and the example's lock. Source it after wait.sh.
# shellcheck shell=bash

# Starts a cache with the downloads of the user's own, where there are any: borrow_downloads DIR. Both have the same files: what
# changes one in place copies it first.
borrow_downloads() {
    local own=${CASQUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/casque}/store how=--reflink=auto
    mkdir -p "$1"
    [[ -d "$own" ]] || return 0
    [[ "$(stat -c %d "$own")" != "$(stat -c %d "$1")" ]] || how=--link
    cp --archive "$how" "$own" "$1/"
}

# Prints the lock that demo/image.sh built by.
example_lock() {
    local own=examples/backend/casque.lock
    if [[ dist/casque.lock -nt $own ]]; then echo dist/casque.lock; else echo $own; fi
}
