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
    mkdir -p dist/bench
    engine_start docker
    base
    python3 bench/build.py --casque "$PWD/dist/bin/casque" --docker "$(docker_with_buildkit)" --base dist/bench/base.tar "$@"
}

# The base image of the Dockerfiles: a minimal Debian of the same suite, made on this machine like casque's own.
base() {
    local began took
    began=$(now_ms)
    mmdebstrap --quiet --variant=minbase bookworm dist/bench/base.tar
    took=$(($(now_ms) - began))
    docker import dist/bench/base.tar casque-bench-base >/dev/null
    at_exit "docker image rm --force casque-bench-base >/dev/null"
    say "the base image took mmdebstrap $took ms; Dockerfiles start from it, casque makes its own within its times"
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
