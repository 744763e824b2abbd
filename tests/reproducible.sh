#!/usr/bin/env bash
# `casque build --check-reproducible` names every file that a step makes of the machine, the time or chance, with what it is
# made of, and has nothing to say of a step that does not.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
# The exit code; see docs/cli.md.
DIFFERS=8

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/reproducible.sh [PROJECT...]"
            say
            say "Checks two small projects, one of which is not reproducible; or each PROJECT, which has to be."
            exit 0
            ;;
    esac
    local project
    for project in "$@"; do
        "$CASQUE" build --check-reproducible --output "$(mktemp -d /var/tmp/casque-output.XXXXXX)/image.tar" "$project" ||
            die "\`$project\` is not reproducible"
        say "ok: \`$project\` is the same when it is made again"
    done
    [[ $# -gt 0 ]] || small_projects
}

small_projects() {
    local work
    work=$(mktemp -d /var/tmp/casque-reproducible.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    borrow_downloads "$work/cache"
    clean "$work"
    unclean "$work"
}

# Writes the manifest of a project whose one step is the shell script on stdin.
project() {
    mkdir --parents "$1"
    cat >"$1/step.sh"
    cat >"$1/casque.toml" <<'END'
[image]
name = "vendor/repeated"
version = "1.0.0"
command = "repeated"

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "tools"
packages = ["less"]

[[layer]]
name = "deploy"
mount = [{ from = "step.sh", to = "/src/step.sh" }]
run = "bash -eu /src/step.sh"

[service.web]
command = ["/bin/sleep", "inf"]
END
}

build() {
    local work=$1
    shift
    "$CASQUE" --cache "$work/cache" build --output "$work/image.tar" "$@" "$work/project"
}

clean() {
    local work=$1
    project "$work/project" <<'END'
useradd --system --user-group web
echo "workers = 4" >/srv/app.conf
date --date="@$SOURCE_DATE_EPOCH" >/srv/date
END
    build "$work" --check-reproducible >/dev/null 2>"$work/said" || die "a clean step differs: $(cat "$work/said")"
    same "a clean step and its packages are said to be the same" "$(expected_of_clean)" "$(grep 'made again' "$work/said")"
    same "nothing of the repetition is left" "" "$(find "$work/cache/work" -mindepth 1)"
}

expected_of_clean() {
    cat <<'END'
layer tools/packages: made again as on another machine, and the same
layer deploy: made again as on another machine, and the same
END
}

unclean() {
    local work=$1 code=0
    project "$work/project" <<'END'
cd /srv
date >date
date +%s >seconds
date +%F >day
echo "workers = $(nproc)" >nproc
echo "workers = $(($(grep -c ^processor /proc/cpuinfo) * 2 + 1))" >cpuinfo
hostname >hostname
echo "id-r$RANDOM$RANDOM" >random
awk '/^MemTotal:/ { print "cache = " int($2 / 4) }' /proc/meminfo >memory
awk '$5 == "/run" { print $4 }' /proc/self/mountinfo >directory
head -c 64 /dev/urandom >bytes
touch "name-$(date +%s%N)"
echo "clean" >clean
END
    build "$work" --check-reproducible >/dev/null 2>"$work/said" || code=$?
    same "files that differ have their exit code" "$DIFFERS" "$code"
    local name reason
    while read -r name reason; do
        grep -q "^  - \`/srv/${name}[^\`]*\`: .*$reason" "$work/said" || die "\`/srv/$name\` is not said to be \"$reason\": $(grep "/srv/$name" "$work/said")"
        say "ok: $name: $reason"
    done < <(expected_reasons)
    local count
    count=$(expected_reasons | wc -l)
    same "nothing else is named" "$count" "$(grep -c '^  - ' "$work/said")"
    same "a clean file is not named" "" "$(grep '/srv/clean' "$work/said" || true)"
    same "the error names the layer" 1 "$(grep -c "caused by: layer \`deploy\` made again as on another machine: $count files differ" "$work/said")"
    [[ -e "$work/image.tar" ]] || die "there is no image"
    code=0
    build "$work" --check-reproducible --json >"$work/events" 2>/dev/null || code=$?
    same "as JSON each layer is an event" "tools/packages 0 deploy $count" \
        "$(jq --raw-output 'select(.event == "repeated") | "\(.name) \(.findings | length)"' "$work/events" | xargs)"
}

expected_reasons() {
    local processors
    processors=$(nproc)
    cat <<END
date looks like the time
seconds looks like the time
day it holds the day of this build
hostname it is the host name of the build's machine
random random, a process number
memory looks like a share of the machine's memory
directory random, a process number
bytes from byte [0-9]* on
name- is there the first time only
name- is there the second time only
cpuinfo looks like 2 × the number of processors + 1
END
    # One processor cannot become fewer.
    [[ $processors -eq 1 ]] || echo "nproc looks like the number of processors"
}

main "$@"
