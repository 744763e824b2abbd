#!/usr/bin/env bash
# The exposed port answers whatever happens to the front: start, kill -9, a broken nginx.conf, restarts.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

BIN=${BIN:-$PWD/dist/bin}

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/port-80.sh"
            say
            say "Runs PID 1 and the agent of \$BIN (dist/bin) with the host's nginx and asks a hundred times a second."
            exit 0
            ;;
    esac
    local nginx
    nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || die "there is no nginx: \`apt install nginx-light\`"
    as_root python3 tests/port_80.py "$BIN/casque-init" "$BIN/casque-agent" "$nginx"
}

main "$@"
