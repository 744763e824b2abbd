#!/usr/bin/env bash
# Every form an image is written in, loaded and run by every engine that is to take it; and what reads images besides.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/engines-start.sh
. tests/engines-start.sh

CASQUE=$PWD/dist/bin/casque
NAME=casque-test/engines

usage() {
    cat <<'TEXT'
usage: tests/engines.sh [--all] [ENGINE]...

Builds a small image in two versions, plain, thin, gzip and zstd; loads and runs each on docker-20 (this machine's own),
docker-26 (Debian trixie's, in a root made by mmdebstrap below dist/engines), docker-26-containerd (the same with the
containerd image store), containerd (1.6) and podman; and reads them with skopeo and umoci. Without a name: docker-20,
docker-26-containerd, containerd and podman; with --all every one. Each engine has its own data, and is gone at the end.
Needs root and a network.
TEXT
}

main() {
    local -a engines=()
    while [[ $# -gt 0 ]]; do
        case "$1" in
            -h | --help) usage && exit 0 ;;
            --all) engines=(docker-20 docker-26 docker-26-containerd containerd podman) ;;
            docker-20 | docker-26 | docker-26-containerd | containerd | podman) engines+=("$1") ;;
            *) die "there is no engine \`$1\`" ;;
        esac
        shift
    done
    [[ ${#engines[@]} -gt 0 ]] || engines=(docker-20 docker-26-containerd containerd podman)
    [[ $EUID -eq 0 ]] || exec sudo CASQUE_CACHE="${CASQUE_CACHE:-$HOME/.cache/casque}" "$0" "${engines[@]}"
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

    WORK=$(mktemp -d /var/tmp/casque-engines.XXXXXX)
    at_exit "rm -rf '$WORK'"
    images
    readers
    local engine
    for engine in "${engines[@]}"; do
        (matrix "$engine")
    done
}

# Makes one.tar, and of the next version two.tar, its thin form, its compressed forms, and a directory.
images() {
    mkdir -p "$WORK/project/files"
    cat >"$WORK/project/casque.toml" <<TEXT
[image]
name = "$NAME"
version = "1"
command = "tiny"
labels = { licenses = "MIT", description = "Two words" }
healthcheck = { interval = "1s", start-period = "60s" }
[base]
distribution = "debian"
suite = "bookworm"
[[layer]]
name = "files"
copy = [{ from = "files", to = "/opt/tiny" }]
[service.tiny]
command = ["/bin/sleep", "infinity"]
TEXT
    build one --version 1 --output "$WORK/one.tar"
    build one --version 1 --compress gzip --output "$WORK/one-gzip.tar"
    build two --version 2 --output "$WORK/two.tar" --output "oci:$WORK/two"
    build two --version 2 --output "$WORK/thin.tar" --thin-against "$WORK/one.tar"
    build two --version 2 --output "$WORK/gzip.tar" --compress gzip
    build two --version 2 --output "$WORK/zstd.tar" --compress zstd
    build two --version 2 --output "$WORK/thin-gzip.tar" --compress gzip --thin-against "$WORK/one-gzip.tar"
    grep -q 'Docker before 23 cannot load' "$WORK/log" || die "nobody is told whom zstd shuts out"
    grep -q 'thin: .* left out; it loads where' "$WORK/log" || die "nobody is told what a thin archive saves"
    say "ok: built; whole $(stat -c %s "$WORK/two.tar") bytes, thin $(stat -c %s "$WORK/thin.tar")," \
        "gzip $(stat -c %s "$WORK/gzip.tar"), zstd $(stat -c %s "$WORK/zstd.tar")"
}

# Builds with this content of the file that differs: build CONTENT ARGUMENT...
build() {
    echo "$1" >"$WORK/project/files/version"
    shift
    if ! "$CASQUE" build "$@" "$WORK/project" >>"$WORK/log" 2>&1; then
        cat "$WORK/log" >&2
        die "cannot build with $*"
    fi
}

# What reads images without running them.
readers() {
    local form digest
    for form in docker-archive:"$WORK/two.tar" docker-archive:"$WORK/gzip.tar" docker-archive:"$WORK/zstd.tar" \
        oci-archive:"$WORK/two.tar":v2 oci-archive:"$WORK/gzip.tar":v2 oci-archive:"$WORK/zstd.tar":v2 \
        oci:"$WORK/two":v2; do
        same "skopeo reads the labels of ${form//"$WORK/"/}" "2 MIT Two words" "$(skopeo inspect "$form" |
            jq -r '.Labels | [.["org.opencontainers.image." + ("version", "licenses", "description")]] | join(" ")')"
    done
    skopeo copy --quiet docker-archive:"$WORK/two.tar" dir:"$WORK/copy"
    skopeo copy --quiet oci-archive:"$WORK/zstd.tar":v2 dir:"$WORK/copy-zstd"
    digest=$(jq -r .config.digest "$WORK/copy-zstd/manifest.json")
    same "skopeo copies both, and the image is the same" "$digest" \
        "$(jq -r '.manifests[0].digest | split(":")[1]' "$WORK/two/index.json" |
            xargs -I{} jq -r .config.digest "$WORK/two/blobs/sha256/{}")"
    umoci unpack --image "$WORK/two:v2" "$WORK/bundle" >/dev/null
    same "umoci unpacks the directory" two "$(cat "$WORK/bundle/rootfs/opt/tiny/version")"
    mkdir "$WORK/from-gzip"
    tar -xf "$WORK/gzip.tar" -C "$WORK/from-gzip"
    umoci unpack --image "$WORK/from-gzip:v2" "$WORK/bundle-gzip" >/dev/null
    same "umoci unpacks gzip" two "$(cat "$WORK/bundle-gzip/rootfs/opt/tiny/version")"
    rm -rf "$WORK/bundle" "$WORK/bundle-gzip" "$WORK/from-gzip" "$WORK/copy" "$WORK/copy-zstd"
}

# Every form on one engine, in a shell of its own, so that the engine ends with it.
matrix() {
    local engine=$1
    AT_EXIT=()
    trap run_at_exit EXIT
    start_engine "$engine"
    refused "$engine" thin.tar "without the version it is thin against"
    load one.tar
    same "$engine runs a whole archive" one "$(run_in "$NAME:v1")"
    [[ $engine != docker-20 ]] || healthy
    load thin.tar
    same "$engine runs a thin archive" two "$(run_in "$NAME:v2")"
    forget
    load one-gzip.tar
    if [[ $engine == podman ]]; then
        refused "$engine" thin-gzip.tar "since it keeps no compressed blobs"
    else
        load thin-gzip.tar
        same "$engine runs thin and gzip" two "$(run_in "$NAME:v2")"
    fi
    forget
    load gzip.tar
    same "$engine runs gzip" two "$(run_in "$NAME:v2")"
    forget
    if [[ $engine == docker-20 ]]; then
        refused "$engine" zstd.tar "as casque said"
    else
        load zstd.tar
        same "$engine runs zstd" two "$(run_in "$NAME:v2")"
    fi
}

# An archive that the engine must not take, and of which it must not run anything: refused ENGINE FILE WHY. A containerd
# store keeps the name of what it could not unpack.
refused() {
    local status=0
    load_quietly "$WORK/$2" >"$WORK/refused" 2>&1 || status=$?
    [[ $status -ne 0 ]] || die "$1 took $2 $3"
    ! has "$NAME:v2" || ! run_in "$NAME:v2" >/dev/null 2>&1 || die "$1 refused $2 and runs it all the same"
    say "ok: $1 refuses $2 $3: $(grep -v '^$' "$WORK/refused" | tail -n 1 | cut -c 1-160)"
}

load() {
    if ! load_quietly "$WORK/$1" >"$WORK/loading" 2>&1; then
        cat "$WORK/loading" >&2
        die "cannot load $1"
    fi
}

# Docker asks the agent in the image, and shows what it says.
healthy() {
    docker run --detach --network none --name casque-engines "$NAME:v1" >/dev/null
    wait_for 60 "docker says healthy" is_healthy
    docker rm --force casque-engines >/dev/null
    say "ok: docker-20 asks the image, which says that it is well"
}

is_healthy() {
    [[ "$(docker inspect --format '{{.State.Health.Status}}' casque-engines)" == healthy ]]
}

main "$@"
