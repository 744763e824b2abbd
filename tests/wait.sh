# Waiting, giving up and cleaning up, for the scripts beside this one. Source it.
# shellcheck shell=bash

# Commands to run at the end, the newest first.
AT_EXIT=()

# Has a command, given as one word to be evaluated, run when the script ends, however it ends.
at_exit() {
    AT_EXIT=("$1" "${AT_EXIT[@]}")
}

run_at_exit() {
    local status=$? command
    trap - EXIT INT TERM
    set +e
    for command in "${AT_EXIT[@]}"; do
        # In a subshell, so that one that gives up leaves the others their turn. The status tells failure from success.
        (EXIT_STATUS=$status eval "$command")
    done
    exit "$status"
}

trap run_at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
    printf '%s\n' "$*"
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the milliseconds since an unnamed moment.
now_ms() {
    local now=${EPOCHREALTIME/[.,]/}
    echo $((now / 1000))
}

# Asks until the command says yes: wait_for SECONDS WHAT COMMAND...
wait_for() {
    local seconds=$1 what=$2 deadline
    shift 2
    deadline=$(($(now_ms) + seconds * 1000))
    until "$@"; do
        [[ $(now_ms) -lt $deadline ]] || die "waited $seconds s in vain: $what"
        sleep 0.1
    done
}

# Stops a process of ours by its id and waits until it is gone.
end_process() {
    local pid=$1
    kill "$pid" 2>/dev/null || return 0
    wait_for 20 "process $pid ends" process_is_gone "$pid"
}

# A zombie has ended, whether or not its parent has asked for it yet.
process_is_gone() {
    [[ ! -e /proc/$1/stat || "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" == [ZX]* ]]
}

# Prints a TCP port of the loopback that nobody listens on, below those the kernel gives to outgoing connections.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        if [[ -z "$(ss -Hltn "sport = :$port")" ]]; then
            echo "$port"
            return
        fi
    done
}

# Says `ok`, or dies when two texts differ: same WHAT EXPECTED ACTUAL.
same() {
    [[ "$2" == "$3" ]] || die "$1: expected \`$2\`, got \`$3\`"
    say "ok: $1"
}

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}
