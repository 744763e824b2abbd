# Engines of several ages for engines.sh, each with its own data and without a network. Source it after engine.sh, call
# start_engine, then the functions at the end.
# shellcheck shell=bash

TRIXIE=$PWD/dist/engines/trixie
# Where the engine keeps everything, and its client: docker, ctr or podman.
HOME_OF_ENGINE=
CLIENT=

start_engine() {
    HOME_OF_ENGINE=$(mktemp -d /var/tmp/casque-engine.XXXXXX)
    at_exit "rm -rf '$HOME_OF_ENGINE'"
    at_exit "unmount_below '$HOME_OF_ENGINE'"
    case "$1" in
        docker-20) start_docker '{}' dockerd ;;
        docker-26) start_docker_of_trixie '{}' ;;
        docker-26-containerd) start_docker_of_trixie '{"features": {"containerd-snapshotter": true}}' ;;
        containerd) start_containerd ;;
        podman)
            CLIENT=podman
            private_podman
            ;;
    esac
}

# Starts a daemon that touches neither bridges nor the packet filter: start_docker CONFIGURATION COMMAND...
start_docker() {
    CLIENT=docker
    local home=$HOME_OF_ENGINE job
    echo "$1" >"$home/daemon.json"
    shift
    "$@" --config-file "$home/daemon.json" --data-root "$home/data" --exec-root "$home/exec" \
        --pidfile "$home/pid" --host "unix://$home/docker.sock" \
        --bridge none --iptables=false --ip-forward=false >"$home/log" 2>&1 &
    job=$!
    at_exit "end_engine $job '$home/pid'"
    export DOCKER_HOST=unix://$home/docker.sock
    wait_for 60 "dockerd answers" dockerd_answers "$job" "$home"
}

end_engine() {
    kill "$(cat "$2")" 2>/dev/null || kill "$1" 2>/dev/null || true
    wait_for 60 "the engine ends" process_is_gone "$1"
}

# Debian trixie's daemon, in its own root and mount namespace. The engine's home has the same path there.
start_docker_of_trixie() {
    trixie
    mkdir -p "$TRIXIE$HOME_OF_ENGINE"
    at_exit "rmdir '$TRIXIE$HOME_OF_ENGINE'"
    # shellcheck disable=SC2016 # its own variables.
    start_docker "$1" unshare --mount --propagation private sh -c '
        root=$1 home=$2
        shift 2
        mount --bind "$root" "$root"
        for name in proc sys dev; do mount --rbind "/$name" "$root/$name"; done
        mount -t tmpfs tmpfs "$root/run"
        mount --bind "$home" "$root$home"
        exec chroot "$root" /usr/sbin/dockerd "$@"' sh "$TRIXIE" "$HOME_OF_ENGINE"
}

# Makes that root once.
trixie() {
    [[ ! -e $TRIXIE/usr/sbin/dockerd ]] || return 0
    mkdir -p "$(dirname "$TRIXIE")"
    rm -rf "$TRIXIE.new"
    mmdebstrap --quiet --variant=minbase --include=docker.io,ca-certificates trixie "$TRIXIE.new" >&2
    mv "$TRIXIE.new" "$TRIXIE"
}

start_containerd() {
    CLIENT=ctr
    local home=$HOME_OF_ENGINE job
    cat >"$home/config.toml" <<TEXT
version = 2
root = "$home/data"
state = "$home/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$home/containerd.sock"
TEXT
    containerd --config "$home/config.toml" >"$home/log" 2>&1 &
    job=$!
    echo "$job" >"$home/pid"
    at_exit "end_engine $job '$home/pid'"
    export CONTAINERD_ADDRESS=$home/containerd.sock
    wait_for 60 "containerd answers" containerd_answers "$job"
}

containerd_answers() {
    ! process_is_gone "$1" || die "cannot start containerd: $(tail -n 5 "$HOME_OF_ENGINE/log")"
    ctr version >/dev/null 2>&1
}

# Loads an archive.
load_quietly() {
    case "$CLIENT" in
        ctr) ctr images import "$1" ;;
        *) "$CLIENT" load --quiet --input "$1" ;;
    esac
}

# Prints the file that tells the versions apart, from a container of the image.
run_in() {
    case "$CLIENT" in
        ctr) ctr run --rm "docker.io/$1" casque-engines /bin/cat /opt/tiny/version ;;
        # Podman complains about health checks where there is no systemd.
        *) "$CLIENT" run --rm --pull never --network none "$1" /bin/cat /opt/tiny/version 2>"$HOME_OF_ENGINE/said" ;;
    esac
}

# Says whether the engine has an image of this name.
has() {
    case "$CLIENT" in
        ctr) ctr images list --quiet | grep --quiet --line-regexp "docker.io/$1" ;;
        *) "$CLIENT" image inspect "$1" >/dev/null 2>&1 ;;
    esac
}

# Removes every image.
forget() {
    case "$CLIENT" in
        ctr) ctr images list --quiet | xargs ctr images remove --sync ;;
        *) "$CLIENT" image ls --quiet | sort -u | xargs "$CLIENT" image rm --force ;;
    esac >/dev/null
}
