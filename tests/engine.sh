# Container engines for the tests: an engine of the machine's own where one answers, else one that is started here and
# gone at the end. Source it after wait.sh, call engine_start docker, podman or none once, then the functions below it.
# shellcheck shell=bash

ENGINE=
CASQUE=${CASQUE:-dist/bin/casque}

engine_start() {
    ENGINE=$1
    # Daemons and their helpers live where an ordinary user's PATH may not look.
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    case "$ENGINE" in
        docker) docker version >/dev/null 2>&1 || start_dockerd ;;
        podman) if [[ $EUID -eq 0 ]]; then private_podman; fi ;;
        none) [[ -x "$CASQUE" ]] || die "cannot run images without an engine: \`$CASQUE\` is not built" ;;
        *) die "there is no engine \`$ENGINE\`: docker, podman or none" ;;
    esac
}

# A Docker daemon with its own data, socket and log; of the machine it changes the bridge and the packet filter alone.
# start_dockerd [OPTION]... gives it options besides.
start_dockerd() {
    [[ -n "$(type -P dockerd)" ]] || die "cannot start Docker: there is no dockerd; tests/install-needs.sh test"
    local home
    # Not under /tmp, which may be memory: images are unpacked here.
    home=$(mktemp -d /var/tmp/casque-docker.XXXXXX)
    at_exit "as_root rm -rf '$home'"
    forget_network_at_exit docker0 DOCKER
    as_root dockerd --data-root "$home/data" --exec-root "$home/exec" --pidfile "$home/pid" \
        --host "unix://$home/docker.sock" --group "$(id -gn)" "$@" >"$home/log" 2>&1 &
    local job=$!
    at_exit "end_dockerd $job '$home'"
    export DOCKER_HOST=unix://$home/docker.sock
    wait_for 60 "dockerd answers" dockerd_answers "$job" "$home"
    say "started a Docker daemon of our own"
}

dockerd_answers() {
    if process_is_gone "$1"; then
        tail -n 20 "$2/log" >&2
        die "cannot start Docker: dockerd ended; its last lines are above"
    fi
    docker version >/dev/null 2>&1
}

end_dockerd() {
    local job=$1 home=$2
    as_root sh -c "kill \$(cat '$home/pid')" 2>/dev/null || true
    wait_for 60 "dockerd ends" process_is_gone "$job"
    # The daemon binds the namespaces of its containers below exec; one that did not end cleanly leaves them mounted.
    unmount_below "$home"
}

# A store and a configuration of our own for root's Podman.
#
# - Debian's Podman prefers crun, which refuses a mix of cgroup v1 and v2 ("cgroups in hybrid mode not supported"); runc
#   takes every layout. Without systemd as PID 1 only the cgroupfs manager can work.
# - Root's Podman asks for 1048576 open files and processes, and itself runs with 32768 processes at most. Where root
#   may not raise limits (no CAP_SYS_RESOURCE, as in a hardened machine) the runtime then cannot start anything. Asking
#   for what the machine allows works everywhere.
# - Publishing ports needs root here: an ordinary user's Podman needs slirp4netns and a delegated cgroup for it.
private_podman() {
    [[ -n "$(type -P podman)" ]] || die "there is no podman; tests/install-needs.sh test"
    local home
    home=$(mktemp -d /var/tmp/casque-podman.XXXXXX)
    at_exit "rm -rf '$home'"
    at_exit "unmount_below '$home'"
    forget_network_at_exit cni-podman0 CNI-
    # Where the namespaces of containers are kept; Podman makes it a mount of its own and leaves it.
    mountpoint -q /run/netns || at_exit "umount /run/netns 2>/dev/null"
    cat >"$home/containers.conf" <<TEXT
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=$(hard_limit n 1048576)", "nproc=$(hard_limit u 32768)"]
TEXT
    cat >"$home/storage.conf" <<TEXT
[storage]
driver = "overlay"
graphroot = "$home/data"
runroot = "$home/run"
TEXT
    export CONTAINERS_CONF=$home/containers.conf CONTAINERS_STORAGE_CONF=$home/storage.conf
}

# Prints soft and hard limit to ask for: hard_limit LETTER-OF-ULIMIT MOST.
hard_limit() {
    local most
    most=$(ulimit -H "-$1")
    if [[ $most == unlimited || $most -gt $2 ]]; then most=$2; fi
    echo "$most:$most"
}

unmount_below() {
    local target
    while read -r target; do
        as_root umount -l "$target"
    done < <(awk -v home="$1/" 'index($5, home) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
}

# Takes away at the end what an engine adds to the machine's network and leaves there: forget_network_at_exit LINK
# CHAIN-PREFIX. Does nothing when the link was there before: then another engine owns it.
forget_network_at_exit() {
    [[ ! -e /sys/class/net/$1 ]] || return 0
    local policy forward
    policy=$(as_root iptables -S FORWARD 2>/dev/null | awk '$1 == "-P" { print $3 }')
    forward=$(cat /proc/sys/net/ipv4/ip_forward)
    at_exit "forget_network '$1' '$2' '${policy:-ACCEPT}' '$forward'"
}

forget_network() {
    local link=$1 prefix=$2 policy=$3 forward=$4
    as_root iptables-save |
        sed -e "/ $link\b/d; /\b$prefix/d; s/^:FORWARD [A-Z]*/:FORWARD $policy/" |
        as_root iptables-restore
    echo "$forward" | as_root tee /proc/sys/net/ipv4/ip_forward >/dev/null
    as_root ip link delete "$link" 2>/dev/null || true
}

# Says whether the engine lists REPOSITORY with TAG. Podman puts localhost/ before a name without a host, and finds it
# again without.
engine_has_image() {
    "$ENGINE" image list | awk -v repository="$1" -v tag="$2" \
        '{ sub(/^localhost\//, "", $1) } $1 == repository && $2 == tag { found = 1 } END { exit !found }'
}

# Runs the image in the background: engine_run NAME PORT DATA IMAGE [ENGINE-ARGUMENT...]. DATA is a volume's name, or
# without an engine a directory; IMAGE a reference, or without an engine an archive.
engine_run() {
    local name=$1 port=$2 data=$3 image=$4
    shift 4
    if [[ $ENGINE == none ]]; then
        "$CASQUE" run --name "$name" --publish "127.0.0.1:$port:80" --data "$data" --detach "$@" "$image" >/dev/null
    else
        "$ENGINE" run --detach --name "$name" --publish "127.0.0.1:$port:80" --volume "$data:/data" "$@" "$image" >/dev/null
    fi
}

engine_exec() {
    if [[ $ENGINE == none ]]; then "$CASQUE" exec "$@"; else "$ENGINE" exec "$@"; fi
}

engine_logs() {
    if [[ $ENGINE == none ]]; then "$CASQUE" logs "$@"; else "$ENGINE" logs "$@" 2>&1; fi
}

# Stops a container as a customer would, and prints the exit code of its PID 1.
engine_stop() {
    local status=0
    if [[ $ENGINE == none ]]; then
        "$CASQUE" stop "$1" >/dev/null || status=$?
        echo "$status"
    else
        "$ENGINE" stop "$1" >/dev/null
        "$ENGINE" inspect --format '{{.State.ExitCode}}' "$1"
    fi
}

# Removes a container, running or not, or says nothing when there is none.
engine_remove() {
    if [[ $ENGINE == none ]]; then
        "$CASQUE" stop "$1" >/dev/null 2>&1 || true
    else
        "$ENGINE" rm --force "$1" >/dev/null 2>&1 || true
    fi
}

# Prints what holds the data: the volume NAME, or without an engine a directory below DIRECTORY.
engine_volume() {
    if [[ $ENGINE == none ]]; then echo "$2/data"; else echo "$1"; fi
}

engine_remove_volume() {
    if [[ $ENGINE == none ]]; then rm -rf "$1"; else "$ENGINE" volume rm --force "$1" >/dev/null 2>&1 || true; fi
}
