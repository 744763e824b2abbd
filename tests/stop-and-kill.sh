#!/usr/bin/env bash
# `docker stop` and `docker kill` in the middle of the work: engines end cleanly, and nothing that was acknowledged is lost.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/instance.sh
. tests/instance.sh

# A round goes on until so many writes were acknowledged.
WRITES=500
PYTHON=/opt/backend/venv/bin/python

usage() {
    cat <<'TEXT'
usage: tests/stop-and-kill.sh [--rounds N] [--stop | --kill] [--least RATE] [--archive FILE]

Runs the example on docker and keeps it busy: writes at `w: majority, j: true` into MongoDB and tasks for celery, the ids
of what was acknowledged being kept outside. In the middle of it comes `docker stop` (10 s, as by default) N times, then
`docker kill` N times; --stop and --kill are for one of them. Each time the container is started again and asked for
every id. After a stop the engines' own logs must say that they ended cleanly; PID 1 may have had to kill a service beside
the databases, as on a busy machine, in one of ten rounds. N is 2; with --least fewer writes a second (the median of the
rounds) are an error. FILE is dist/docker_backend-latest.tar.
TEXT
}

main() {
    local archive=dist/docker_backend-latest.tar rounds=2 least=0 round how
    local -a ways=(stop kill)
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --archive) archive=$(cd "$OLDPWD" && realpath "${2:?}") && shift 2 ;;
            --rounds) rounds=${2:?} && shift 2 ;;
            --least) least=${2:?} && shift 2 ;;
            --stop) ways=(stop) && shift ;;
            --kill) ways=(kill) && shift ;;
            -h | --help) usage && exit 0 ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    [[ -f $archive ]] || die "there is no archive \`$archive\`: make package-docker builds it"

    instance_prepare docker
    instance_load "$archive"
    # Nobody asks it through a port.
    docker run --detach --name "$name" --network none --volume "$volume:/data" "$image" >/dev/null
    wait_for 180 "the backend is ready" is_ready
    program=$(<tests/stop_and_kill.py)
    : >"$work/all"
    local -i hurried=0
    for how in "${ways[@]}"; do
        : >"$work/figures"
        for ((round = 1; round <= rounds; round++)); do
            one "$how" "$round" "$rounds"
        done
        figures "$how" "$least"
    done
    [[ $hurried -le $((rounds / 10)) ]] || die "PID 1 had to kill a service in $hurried of $rounds stops"
    everything
    say "passed: stop and kill under load"
}

# One interruption and what is there afterwards: one stop|kill ROUND ROUNDS.
one() {
    local how=$1 round=$2 rounds=$3 load rate began moment took ready
    : >"$work/said"
    inside load >"$work/said" 2>"$work/load" &
    load=$!
    wait_for 60 "the load begins" acknowledged 1
    began=$(now_ms)
    local -i first
    first=$(grep --count write "$work/said")
    wait_for 60 "$WRITES writes are acknowledged" acknowledged "$WRITES"
    rate=$((($(grep --count write "$work/said") - first) * 1000 / ($(now_ms) - began)))

    moment=$EPOCHREALTIME
    began=$(now_ms)
    if [[ $how == stop ]]; then docker stop "$name" >/dev/null; else docker kill "$name" >/dev/null; fi
    took=$(($(now_ms) - began))
    # It ends by itself, since nobody answers it any more; how it ends says nothing.
    wait "$load" || true
    # Half a line is no acknowledgement.
    grep --extended-regexp '^(write|task) [0-9a-f]{24}$' "$work/said" | tee -a "$work/all" >"$work/ids"
    [[ $how != stop ]] || ended_cleanly "$took"

    began=$(now_ms)
    docker start "$name" >/dev/null
    wait_for 120 "the backend is ready again, unattended" is_ready
    ready=$(($(now_ms) - began))
    [[ $how != kill ]] || recovered
    inside check "$moment" <"$work/ids" >"$work/found"
    nothing_lost "$work/found"
    say "ok: $how $round of $rounds after $rate writes a second: gone in $took ms, ready again in $ready ms;" \
        "$(jq -r '"\(.writes.acknowledged) writes acknowledged, all there; \(.tasks | "\(.sent) tasks sent = \(.done) done + " +
            "\(.done_since + .waiting + .taken) re-queued (\(.done_since) of them done since, \(.taken) in hand, \(.forgotten) found again)")"' "$work/found")"
    echo "$rate $took $ready" >>"$work/figures"
}

# Runs the program in the container, as the application does.
inside() {
    docker exec --interactive "$name" backend exec-as web "$PYTHON" -c "$program" "$@"
}

is_ready() {
    docker exec "$name" backend health >/dev/null 2>&1
}

acknowledged() {
    [[ "$(grep --count write "$work/said" || true)" -ge $1 ]]
}

# What each engine writes itself when it ends as it should, and PID 1 when it had to kill nobody.
ended_cleanly() {
    local code line
    code=$(docker inspect --format '{{.State.ExitCode}}' "$name")
    [[ $code == 0 ]] || die "the stop ended with $code"
    [[ $1 -lt 10000 ]] || die "the stop took $1 ms, 10 s and more"
    since_start >"$work/log"
    while read -r line; do
        grep --quiet --extended-regexp "$line" "$work/log" || {
            grep "${line%% *} |" "$work/log" | tail -n 8 >&2
            die "nobody wrote \`$line\` during the stop"
        }
    done <<'TEXT'
^mongodb \| .*"msg":"Shutting down","attr":\{"exitCode":0\}
^redis \| .*Redis is now ready to exit, bye bye
^worker \| .*(Initiating Soft Shutdown|Cold shutdown)
^casque \| stopped$
TEXT
    ! grep --extended-regexp '^casque \| (.(mongodb|redis). has not stopped|.*(even die|do not die))' "$work/log" ||
        die "PID 1 had to kill a database"
    if grep --extended-regexp '^casque \| .*killing it' "$work/log"; then
        hurried+=1
    else
        in_order '^web \| .*Shutting down: Master' '^redis \| .*User requested shutdown'
        in_order '^web \| .*Shutting down: Master' '^mongodb \| .*"msg":"Received signal"'
    fi
}

# What serves goes before what it uses.
in_order() {
    awk -v first="$1" -v second="$2" '$0 ~ first { seen = 1 } $0 ~ second && !seen { exit 1 }' "$work/log" ||
        die "\`$2\` comes before \`$1\`"
}

# A database that was killed says so when it starts again; otherwise nothing was tested.
recovered() {
    since_start >"$work/log"
    grep --quiet '^mongodb | .*Detected unclean shutdown' "$work/log" || die "mongodb did not notice that it was killed"
}

since_start() {
    docker logs --since "$(docker inspect --format '{{.State.StartedAt}}' "$name")" "$name" 2>&1
}

nothing_lost() {
    jq --exit-status '.writes.lost == [] and .tasks.nowhere == []' "$1" >/dev/null ||
        die "lost: $(jq --compact-output '{writes: .writes.lost, tasks: .tasks.nowhere}' "$1")"
}

# Says what the rounds were like: figures stop|kill LEAST.
figures() {
    local how=$1 least=$2 rate
    rate=$(middle 1)
    say "figures: $how, $(wc -l <"$work/figures") rounds; medians: $rate writes a second, gone in $(middle 2) ms (at most" \
        "$(cut -d ' ' -f 2 "$work/figures" | sort -n | tail -n 1) ms), ready again in $(middle 3) ms"
    [[ $rate -ge $least ]] || die "only $rate writes a second, less than $least"
}

# Prints the median of a column.
middle() {
    cut -d ' ' -f "$1" "$work/figures" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

# What survived its own round survived all that came after it.
everything() {
    inside check "$EPOCHREALTIME" <"$work/all" >"$work/found"
    nothing_lost "$work/found"
    say "ok: in the end $(jq -r '"\(.writes.acknowledged) acknowledged writes and \(.tasks.sent) tasks"' "$work/found")" \
        "are accounted for by id"
}

main "$@"
