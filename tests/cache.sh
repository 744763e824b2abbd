#!/usr/bin/env bash
# The cache is never wrong: builds killed at any point, two builds at once, and pruning all lead to the same bytes; and a
# build says why it makes a layer again.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
# The same points each time; another number draws others.
SEED=${SEED:-20261123}
KILLS=${KILLS:-8}

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: [KILLS=N] [SEED=N] tests/cache.sh"
            say
            say "Builds a small image on caches that are killed, shared and pruned, N times each, and compares the archives."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-cache.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    mkdir "$work/project"
    project "$work/project" one
    borrow_downloads "$work/first"
    "$CASQUE" --cache "$work/first" lock "$work/project" >&2
    build "$work" first >"$work/events"
    killed_builds "$work"
    two_at_once "$work"
    one_killed_of_two "$work"
    kept_of_packages "$work"
    full_disk "$work"
    explained "$work"
    pruned "$work"
}

# Writes a project with a package, a file and a step.
project() {
    echo "$2" >"$1/file"
    cat >"$1/casque.toml" <<'END'
[image]
name = "vendor/cached"
version = "1.0.0"
command = "cached"

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "tools"
packages = ["less"]

[[layer]]
name = "files"
copy = [{ from = "file", to = "/srv/file" }]

[[layer]]
name = "deploy"
run = "useradd --system --user-group web; echo deployed >/srv/deployed"

[service.web]
command = ["/bin/sleep", "inf"]
END
}

# Builds with a cache of this name, and prints the events.
build() {
    "$CASQUE" --cache "$1/$2" build --locked --json --output "$1/$2.tar" "$1/project" 2>"$1/$2.err"
}

# Makes a cache that has the downloads of the first and nothing it made.
fresh() {
    mkdir "$1/$2"
    cp --archive --link "$1/first/store" "$1/$2/"
}

# A build killed after any of its events leaves a cache with which the next one makes the same bytes.
killed_builds() {
    local work=$1 events point pid round
    fresh "$work" killed
    events=$(wc -l <"$work/events")
    RANDOM=$SEED
    for ((round = 1; round <= KILLS; round++)); do
        # From the early to the late: what is whole stays, so each build begins further on.
        point=$((RANDOM % events + 1))
        rm -f "$work/pipe"
        mkfifo "$work/pipe"
        "$CASQUE" --cache "$work/killed" build --locked --json --output "$work/killed.tar" "$work/project" \
            >"$work/pipe" 2>/dev/null &
        pid=$!
        # The reader returns after so many events, or at the end of a build that has fewer.
        head -n "$point" "$work/pipe" >/dev/null
        # Not only where something has just been said: in the middle of what comes next.
        sleep "0.$((RANDOM % 10))"
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        rm -f "$work/killed.tar"
    done
    build "$work" killed >/dev/null || die "no build after killed ones: $(cat "$work/killed.err")"
    cmp "$work/first.tar" "$work/killed.tar" || die "killed builds (SEED=$SEED) led to another image"
    say "ok: $KILLS builds killed at drawn points lead to the same image"
    same "nothing of the killed builds is left" "" "$(find "$work/killed/work" -mindepth 1; find "$work/killed/layers" -name '.tmp*')"
}

# Two builds that begin together on a cache without a layer.
two_at_once() {
    local work=$1 pid
    fresh "$work" shared
    "$CASQUE" --cache "$work/shared" build --locked --output "$work/other.tar" "$work/project" >/dev/null 2>"$work/other.err" &
    pid=$!
    build "$work" shared >/dev/null || die "one of two builds at once: $(cat "$work/shared.err")"
    wait "$pid" || die "the other of two builds at once: $(cat "$work/other.err")"
    local image
    for image in shared other; do
        cmp "$work/first.tar" "$work/$image.tar" || die "two builds at once made another image"
    done
    say "ok: two builds at once on one cache make the same image"
}

# Of two builds on a cache without a layer one is killed: the other makes the same image.
one_killed_of_two() {
    local work=$1 events point victim
    fresh "$work" beside
    events=$(wc -l <"$work/events")
    RANDOM=$((SEED + 1))
    point=$((RANDOM % events + 1))
    mkfifo "$work/victim"
    "$CASQUE" --cache "$work/beside" build --locked --json --output "$work/victim.tar" "$work/project" \
        >"$work/victim" 2>/dev/null &
    victim=$!
    # Dies with it, or once it has said so much.
    (head -n "$point" "$work/victim" >/dev/null; kill -KILL "$victim" 2>/dev/null) &
    build "$work" beside >/dev/null || die "a build beside a killed one: $(cat "$work/beside.err")"
    wait "$victim" 2>/dev/null || true
    wait
    cmp "$work/first.tar" "$work/beside.tar" || die "a build beside a killed one (SEED=$SEED) made another image"
    build "$work" beside >/dev/null || die "a build after one of two was killed: $(cat "$work/beside.err")"
    cmp "$work/first.tar" "$work/beside.tar" || die "one of two killed (SEED=$SEED) led to another image"
    same "nothing of the killed one is left" "" "$(find "$work/beside/work" -mindepth 1)"
}

# What `[image] keep` names is in the image, and is not without it.
kept_of_packages() {
    local work=$1
    mkdir "$work/kept"
    cp "$work/project/casque.lock" "$work/project/file" "$work/kept/"
    sed 's|^command = "cached"|&\nkeep = ["man", "/usr/share/doc/less"]|' "$work/project/casque.toml" >"$work/kept/casque.toml"
    "$CASQUE" --cache "$work/first" build --locked --output "$work/kept.tar" "$work/kept" >/dev/null 2>"$work/said" ||
        die "no build that keeps something: $(cat "$work/said")"
    same "manual pages and a package's documents are left out" "/usr/share/doc/less/copyright" "$(files_of_less "$work/first.tar")"
    same "what is kept is there, of the one package alone" \
        "/usr/share/doc/less/changelog.Debian.gz /usr/share/doc/less/copyright /usr/share/man/man1/less.1.gz" \
        "$(files_of_less "$work/kept.tar")"
}

# Prints documents and a manual page of the package less in an image, and other packages' documents.
files_of_less() {
    local layer
    for layer in $(tar -xOf "$1" manifest.json | jq --raw-output '.[0].Layers[]'); do
        tar -xOf "$1" "$layer" | tar -tf -
    done | sed 's|^\./||; s|^|/|' | grep -x '/usr/share/man/man1/less\.1\.gz\|/usr/share/doc/less/\(copyright\|changelog\.Debian\.gz\)\|/usr/share/doc/bash/changelog.*' | LC_ALL=C sort -u | xargs
}

# A disk that is full in the middle of a build leaves a cache with which the next one makes the same bytes.
full_disk() {
    local work=$1 code=0
    mkdir "$work/small"
    # The small disk ends with the shell.
    # shellcheck disable=SC2016 # The inner shell's own parameters.
    as_root unshare --mount sh -c '
        set -e
        room=$(($(du -sm "$1/first/store" | cut -f 1) + 120))
        mount -t tmpfs -o size="${room}m" none "$1/small"
        cp --archive "$1/first/store" "$1/small/"
        code=0
        "$2" --cache "$1/small" build --locked --output "$1/small.tar" "$1/project" >/dev/null 2>"$1/said" || code=$?
        find "$1/small/work" -mindepth 1
        find "$1/small/layers" "$1/small/unpacked" -name ".tmp*"
        mount -o remount,size=2g "$1/small"
        "$2" --cache "$1/small" build --locked --output "$1/small.tar" "$1/project" >/dev/null 2>&1
        exit $code
    ' sh "$work" "$CASQUE" >"$work/left" || code=$?
    same "a full disk below the cache has its exit code" 7 "$code"
    same "nothing half-written is on the full disk" "" "$(cat "$work/left")"
    cmp "$work/first.tar" "$work/small.tar" || die "a full disk led to another image"
    say "ok: with more room the same image is made"
}

explained() {
    local work=$1
    "$CASQUE" --cache "$work/first" build --locked --explain --output "$work/again.tar" "$work/project" >/dev/null 2>"$work/said" ||
        die "the build failed: $(tail -n 5 "$work/said")"
    same "a build without a change says so" "why: layer base is unchanged" "$(grep -m 1 '^why: ' "$work/said")"
    same "nothing is made again" "" "$(grep 'is made again' "$work/said" || true)"
    echo two >"$work/project/file"
    "$CASQUE" --cache "$work/first" build --locked --explain --output "$work/again.tar" "$work/project" >/dev/null 2>"$work/said" ||
        die "the build failed: $(tail -n 5 "$work/said")"
    same "a changed file is named, and what lies above" "$(expected_reasons)" "$(grep -A 1 'is made again' "$work/said" | grep -v '^--')"
    project "$work/project" one
    "$CASQUE" --cache "$work/first" build --locked --explain --json --output "$work/again.tar" "$work/project" >"$work/said" 2>&1
    # shellcheck disable=SC2016 # Backticks are part of the text.
    same "a change taken back is found in the cache" 1 "$(grep -c '"event":"why","name":"files/copy","rebuilt":false,"reasons":\[{"what":"file `/srv/file`"' "$work/said")"
    cmp "$work/first.tar" "$work/again.tar" || die "the change taken back made another image"
}

expected_reasons() {
    cat <<'END'
why: layer files/copy is made again:
  - file `/srv/file` has changed
why: layer deploy is made again:
  - layer `files/copy` below has changed
why: layer plan is made again:
  - layer `deploy` below has changed
END
}

pruned() {
    local work=$1
    "$CASQUE" --cache "$work/first" cache >"$work/said"
    same "the cache tells its kinds" "downloads unpacked wheels bytecode stages layers compressed" "$(tail -n +2 "$work/said" | awk '{ printf "%s%s", s, $1; s = " " }')"
    "$CASQUE" --cache "$work/first" cache prune >/dev/null
    build "$work" first >"$work/events"
    same "pruning what is old leaves what is used" 0 "$(grep -c '"event":"layer"' "$work/events" || true)"
    "$CASQUE" --cache "$work/first" cache prune --all >/dev/null
    same "an emptied cache holds nothing" '"bytes":0' "$("$CASQUE" --cache "$work/first" cache --json | grep -o '"bytes":0' | head -n 1)"
}

main "$@"
