#!/usr/bin/env bash
# Whatever a customer's security team allows: the same product, or the one line that says why not. Each cell logs in, uploads a
# data set, reads its report, starts again and reads it back.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh
# shellcheck source=tests/instance.sh
. tests/instance.sh

# The agent's code for what cannot work as it was started.
WRONG=100
ACCOUNT=casque-anywhere
# Numbers that nobody else has, and the most an ordinary user's engine hands out.
NUMBERS=3000000
# What Docker gives where its service says `LimitNOFILE=infinity`; a machine that gives less is asked for that.
MANY_FILES=1073741816

usage() {
    cat <<'TEXT'
usage: tests/anywhere.sh --engine docker|podman|none [--all] [--archive FILE]

Runs the example backend with few rights: as root or as another user, on a root that can be written or not, with the usual
capabilities, none, or without new privileges. Each pair of these is in some cell of some engine; --all runs every cell. Podman is
that of an ordinary user, who is made for it. The archive is dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    local archive=dist/docker_backend-latest.tar engine='' all='' cell
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --engine) engine=${2:?} && shift 2 ;;
            --archive) archive=$(cd "$OLDPWD" && realpath "${2:?}") && shift 2 ;;
            --all) all=1 && shift ;;
            -h | --help) usage && exit 0 ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    [[ $EUID -eq 0 ]] || exec sudo --preserve-env "$0" "$@"
    [[ -f $archive ]] || die "there is no archive \`$archive\`: make package-docker builds it"
    [[ $engine != podman ]] || podman_of_a_user
    instance_prepare "$engine"
    jar=$work/cookies password=$(openssl rand -hex 16)
    instance_load "$archive"
    csv_totals "$DATA_SET" >"$work/expected"
    while read -r cell; do
        # shellcheck disable=SC2086 # A line is a cell, and its words are what is in it.
        run_cell $cell
    done < <(if [[ -n $all ]]; then every_cell; else some_cells "$engine"; fi)
    say "passed: anywhere on $engine"
}

every_cell() {
    printf '%s\n' {root,user}\ {rw,ro}\ {default,drop,no-new}
}

# With those of the other engines every pair of engine, user, root and rights is there. What else a host may have is in some of
# docker's, one each.
some_cells() {
    case "$1" in
        docker) printf '%s\n' "root ro default no-ipv6" "user rw drop few-files" "root rw no-new many-files" "user ro drop no-network" ;;
        podman) printf '%s\n' "user rw default" "root ro drop" "user ro no-new" ;;
        none) printf '%s\n' "user ro default" "root rw drop" "root ro no-new" ;;
    esac
}

# run_cell root|user rw|ro default|drop|no-new [no-ipv6|few-files|many-files|no-network]
run_cell() {
    local said="$ENGINE: $*"
    arguments "$@"
    if [[ "$1 $3" == "root drop" ]]; then
        refused
    else
        start
        use
        same "$said: what is uploaded is reported" "$(<"$work/expected")" "$(report_totals "$work/report")"
        [[ ${4:-} != no-network ]] || nothing_left
        start_again
        same "$said: it is there after another start" "$(<"$work/expected")" "$(read_back && report_totals "$work/report")"
        engine_exec "$name" backend support-bundle >"$work/bundle" 2>/dev/null
        is_for_support "$said: a bundle of what runs"
        # Without an engine there is no other container on the same data.
        if [[ $ENGINE != none ]]; then
            same "$said: it stops in order" 0 "$(engine_stop "$name")"
            "$ENGINE" run --rm --volume "$volume:/data" "${arguments[@]}" "$image" support-bundle >"$work/bundle" 2>/dev/null
            is_for_support "$said: a bundle of what is stopped"
        fi
    fi
    engine_remove "$name"
    engine_remove_volume "$volume"
}

is_for_support() {
    tar -xzOf "$work/bundle" support-bundle/manifest.json >"$work/manifest.json" || die "$1 is none"
    jq --exit-status '.members | length > 5' "$work/manifest.json" >/dev/null || die "$1 has too little: $(<"$work/manifest.json")"
    tar -xzOf "$work/bundle" >"$work/everything"
    same "$1 has all, and no password" 0 "$(grep -c "$first" "$work/everything" || true)"
}

# Sets what the engine is told.
arguments() {
    local uid=1234567
    [[ $ENGINE != podman ]] || uid=54321
    arguments=() network=own
    [[ $1 == root ]] || arguments+=(--user "$uid:0")
    if [[ $2 == ro ]]; then
        arguments+=(--read-only)
        [[ $ENGINE == none ]] || arguments+=(--tmpfs /run --tmpfs /tmp)
    fi
    case "$3" in
        drop) arguments+=(--cap-drop ALL) ;;
        no-new) if [[ $ENGINE == none ]]; then arguments+=(--no-new-privileges); else arguments+=(--security-opt no-new-privileges); fi ;;
    esac
    case "${4:-}" in
        no-ipv6) arguments+=(--sysctl net.ipv6.conf.all.disable_ipv6=1) ;;
        few-files) arguments+=(--ulimit nofile=1024:1024) ;;
        many-files) arguments+=(--ulimit "nofile=$(hard_limit n $MANY_FILES)" --cpus 2 --memory 2g) ;;
        no-network) arguments+=(--network none) && network=none ;;
    esac
    # An ordinary user's engine has no network to publish from here, and the kernel's own idea of who may use port 80.
    [[ $ENGINE != podman ]] || { arguments+=(--network none --sysctl net.ipv4.ip_unprivileged_port_start=0) && network=none; }
}

start() {
    engine_run "$name" "$port" "$volume" "$image" "${arguments[@]}"
    find_it
    wait_for 180 "$name is ready" status_is_ready "$address"
}

start_again() {
    if [[ $ENGINE == none ]]; then
        same "it stops in order" 0 "$(engine_stop "$name")"
        engine_run "$name" "$port" "$volume" "$image" "${arguments[@]}"
    else
        "$ENGINE" restart "$name" >/dev/null
    fi
    find_it
    wait_for 180 "$name is ready again" status_is_ready "$address"
}

# Where there is no port to publish, it is asked from inside its network.
find_it() {
    [[ $network == none ]] || return 0
    address=http://127.0.0.1
    inside=$("$ENGINE" inspect --format '{{.State.Pid}}' "$name")
    leads_nowhere
}

curl() {
    if [[ $network == none ]]; then nsenter --net="/proc/$inside/ns/net" curl "$@"; else command curl "$@"; fi
}

# A way out that nobody is behind, and that counts what goes there.
leads_nowhere() {
    nsenter --net="/proc/$inside/ns/net" sh -ec '
        echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
        ip link add casque-out type veth peer name casque-nobody
        ip link set casque-nobody up
        ip link set casque-out up
        ip addr add 192.0.2.1/24 dev casque-out
        ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev casque-out
        ip route add default via 192.0.2.2'
}

nothing_left() {
    same "nothing tries to leave" 0 \
        "$(nsenter --net="/proc/$inside/ns/net" ip -json -stats link show casque-out | jq '.[0].stats64.tx.packets')"
}

# Leaves the generated password in `first`.
use() {
    first=$(engine_exec "$name" backend settings get admin-password)
    rm -f "$jar"
    [[ "$(log_in "$address" "$jar" "$first")" == 200 ]] || die "the first password does not log in"
    [[ "$(change_password "$address" "$jar" "$first" "$password")" == 200 ]] || die "the password cannot be changed"
    upload "$address" "$jar" "$DATA_SET" >"$work/path"
    wait_for 60 "the report is ready" read_report "$address" "$jar" "$(<"$work/path")" "$work/report"
}

read_back() {
    rm -f "$jar" "$work/report"
    [[ "$(log_in "$address" "$jar" "$password")" == 200 ]] || die "the password is not what it was"
    read_report "$address" "$jar" "$(<"$work/path")" "$work/report"
}

refused() {
    local code=0
    if [[ $ENGINE == none ]]; then
        engine_run "$name" "$port" "$volume" "$image" "${arguments[@]}"
    else
        "$ENGINE" run --name "$name" --volume "$volume:/data" "${arguments[@]}" "$image" >/dev/null 2>&1 || code=$?
        same "root without rights is refused" "$WRONG" "$code"
    fi
    wait_for 20 "the refusal is in the log" says_why
    say "ok: the line says what is missing, and what helps"
}

says_why() {
    engine_logs "$name" | grep -c "error: root of this container lacks the capabilities CHOWN, .* start with \`--user 1234567:0\`" >/dev/null
}

# Podman as somebody who has subordinate numbers and no rights.
podman_of_a_user() {
    [[ -n "$(type -P podman)" ]] || die "there is no podman; tests/install-needs.sh test"
    home=$(mktemp -d /var/tmp/casque-anywhere.XXXXXX)
    at_exit "rm -rf '$home'"
    at_exit "userdel $ACCOUNT 2>/dev/null"
    useradd --no-create-home --home-dir "$home" --shell /bin/sh "$ACCOUNT"
    sed -i "/^$ACCOUNT:/d" /etc/subuid /etc/subgid
    usermod --add-subuids "$NUMBERS-$((NUMBERS + 65535))" --add-subgids "$NUMBERS-$((NUMBERS + 65535))" "$ACCOUNT"
    install -d -m 700 -o "$ACCOUNT" -g "$ACCOUNT" "$home/run"
    chown "$ACCOUNT:$ACCOUNT" "$home"
    # The numbers are the user's alone, so only the user's engine can remove what they own.
    at_exit "podman system reset --force >/dev/null 2>&1"
}

podman() {
    # Debian's own crun takes no mix of both kinds of cgroups, and without systemd there is one manager.
    setpriv --reuid "$ACCOUNT" --regid "$ACCOUNT" --init-groups \
        env --ignore-environment PATH="$PATH" HOME="$home" XDG_RUNTIME_DIR="$home/run" \
        podman --runtime runc --cgroup-manager cgroupfs --log-level error "$@"
}

main "$@"
