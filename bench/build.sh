#!/usr/bin/env bash
# casque build beside docker build, buildah and mmdebstrap on the same recipe, alternated in one run.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh

usage() {
    cat <<'TEXT'
usage: bench/build.sh [--rounds N] [--recipe plain|layered]... [--peer docker|buildah|mmdebstrap]...

Builds examples/backend with casque, docker build (BuildKit), buildah and mmdebstrap, N times each in turn (3 unless
given), with what they download kept from an earlier build. Prints medians and ratios: from scratch, with nothing
changed, after one change of each kind that a vendor makes, what a customer loads anew of it, and the archive's size. The
figures are also left in dist/bench/build.json. Run it on a quiet machine. Needs a network.
TEXT
}

main() {
    case "${1:-}" in -h | --help) usage && exit 0 ;; esac
    group
    # Not the machine's own engine: what that does for others would be counted. Its bridge and packet filter are left
    # alone; builds use the machine's network.
    as_root ip link add "$GROUP" type bridge
    at_exit "as_root ip link delete '$GROUP'"
    as_root ip address add 192.0.2.1/24 dev "$GROUP"
    start_dockerd --bridge "$GROUP" --iptables=false --cgroup-parent "/$GROUP/containers"
    python3 bench/build.py --casque "$PWD/dist/bin/casque" --docker "$(docker_with_buildkit)" --group "$GROUP" "$@"
}

# Puts this script and all that it starts into a control group, whose processor time is what is measured: the machine
# may have other work.
group() {
    # Also the name of a network interface, which has 15 characters at most.
    GROUP=cqbench-$$
    local root own
    for root in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
        [[ ! -e $root/cgroup.procs ]] || break
    done
    own=$root/$GROUP/own
    as_root mkdir -p "$own"
    # The engine makes one of the same name for every controller.
    at_exit "as_root find /sys/fs/cgroup -depth -type d -path '*/$GROUP*' -exec rmdir {} +"
    echo $$ | as_root tee "$own/cgroup.procs" >/dev/null
    at_exit "echo $$ | as_root tee '$root/cgroup.procs' >/dev/null"
}

# Prints a client that builds with BuildKit: one with buildx, or one from before it was a plug-in.
docker_with_buildkit() {
    local client major
    while read -r client; do
        major=$("$client" version --format '{{.Client.Version}}' | cut -d. -f1)
        if "$client" buildx version >/dev/null 2>&1 || [[ $major -lt 23 ]]; then
            echo "$client"
            return
        fi
    done < <(type -ap docker)
    die "no docker client here can use BuildKit: install docker-buildx"
}

main "$@"
