#!/usr/bin/env bash
# Builds that do not end well, on the real archive: a step that fails, a build that is killed, a full disk. Each says what
# happened or leaves nothing behind, and the next build works.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
# Exit codes; see docs/cli.md.
STEP=6
DISK=7

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/failing-step.sh"
            say
            say "Builds a small image whose step fails, is killed with its build, and succeeds on a full and on a free disk."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-failing.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    borrow_downloads "$work/cache"
    manifest "$work" "true"
    "$CASQUE" --cache "$work/cache" lock "$work" >&2
    failing_step "$work"
    killed_build "$work"
    free_disk "$work"
    full_disk "$work"
}

# A step that exits with another code than 0 is named with its layer and its last lines.
failing_step() {
    local work=$1 code=0
    manifest "$work" "echo one; echo two >&2; exit 3"
    build "$work" 2>"$work/said" || code=$?
    same "a failed step has its exit code" "$STEP" "$code"
    same "the failed step is named with its last lines" "$(expected_of_failing_step)" "$(sed -n '/^error: /,$p' "$work/said")"
    nothing_half_written "$work"
}

expected_of_failing_step() {
    cat <<'END'
error: cannot build `vendor/failing` 1.0.0
  caused by: layer `deploy`: its step exited with 3
  | one
  | two
END
}

# A build killed in the middle of its step ends its step too, and the next build removes what it left.
killed_build() {
    local work=$1 pid
    manifest "$work" "echo the step runs; exec sleep 86399"
    "$CASQUE" --cache "$work/cache" build --output "$work/image.tar" "$work" >/dev/null 2>"$work/said" &
    pid=$!
    at_exit "kill -KILL $pid 2>/dev/null"
    wait_for 300 "the step runs" grep -q '| the step runs' "$work/said"
    same "the step is a process of this machine" 1 "$(steps)"
    kill -KILL "$pid"
    # Without the shell's own word about it.
    wait "$pid" 2>/dev/null || true
    wait_for 20 "the killed build's step ends" no_steps
    say "ok: a killed build's step ends with it"
    [[ ! -e "$work/image.tar" ]] || die "a killed build left an image"
    [[ -n "$(ls "$work/cache/work")" ]] || die "the build was not killed in the middle: it has removed its work"
}

steps() {
    pgrep --count --full '^sleep 86399$' || true
}

no_steps() {
    [[ "$(steps)" == 0 ]]
}

free_disk() {
    manifest "$1" "true"
    build "$1" 2>"$1/said" || die "the build after a killed one does not work: $(cat "$1/said")"
    rm "$1/image.tar"
    nothing_half_written "$1"
}

# The image is larger than the disk it should be on; the cache is elsewhere.
full_disk() {
    local work=$1 code=0
    mkdir "$work/full"
    # The small disk ends with the shell.
    # shellcheck disable=SC2016 # The inner shell's own parameters.
    as_root unshare --mount sh -c '
        mount -t tmpfs -o size=1m none "$1/full"
        code=0
        "$2" --cache "$1/cache" build --output "$1/full/image.tar" "$1" >/dev/null || code=$?
        ls -A "$1/full" >"$1/left"
        exit $code
    ' sh "$work" "$CASQUE" 2>"$work/said" || code=$?
    same "a full disk has its exit code" "$DISK" "$code"
    same "a full disk is told" 1 "$(grep -c 'No space left on device' "$work/said")"
    same "nothing half-written is on the full disk" "" "$(cat "$work/left")"
    nothing_half_written "$work"
}

nothing_half_written() {
    same "no image and no work is left" "" \
        "$(find "$1" -maxdepth 1 \( -name '*.tar' -o -name '.tmp*' \); find "$1/cache/work" "$1/cache/store/tmp" -mindepth 1)"
}

build() {
    "$CASQUE" --cache "$1/cache" build --output "$1/image.tar" "$1" >/dev/null
}

# Writes a manifest whose only layer runs this.
manifest() {
    cat >"$1/casque.toml" <<END
[image]
name = "vendor/failing"
version = "1.0.0"
command = "failing"

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "deploy"
run = "$2"
END
}

main "$@"
