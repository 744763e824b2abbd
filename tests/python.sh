#!/usr/bin/env bash
# Environments made by casque are what pip makes of the same files, entry by entry: wheels, extras, sources in Python and C, a
# wheel and a source tree of the project, a file by its address. pip itself, in a step of the same build, says so.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/python.sh"
            say
            say "Builds tests/python, whose step makes the environments again with pip and compares."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-python.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    mkdir "$work/project"
    cp tests/python/casque.toml tests/python/oracle.sh tests/python/compare.py "$work/project"
    more "$work" >"$work/more.lock"
    python3 tests/python/project.py "$work/project" examples/backend/requirements.lock "$work/more.lock"
    built "$work"
    same "both environments were compared" "2" "$(grep --count 'entries, 0 of them different' "$work/said")"
    same "the bill of materials names sources by their address" "docopt-0.6.2.tar.gz" \
        "$(of_package "$work" docopt .packageFileName)"
    same "the bill of materials says what is the vendor's own" "the vendor's own: /lib" "$(of_package "$work" lib .comment)"
    same "what distributions are built with does not ship" "" \
        "$(of_package "$work" gcc .SPDXID)$(of_package "$work" wheel .SPDXID)"
    say "ok: pip makes the same of every file"
}

# Prints further requirements: what an extra needs, and a file by the address that the index gives it.
more() {
    cat tests/python/more.txt
    python3 -m venv "$1/venv"
    "$1/venv/bin/pip" install --quiet --dry-run --no-deps --report - async-timeout==4.0.3 | jq --raw-output \
        '.install[] | "\(.metadata.name) @ \(.download_info.url) --hash=sha256:\(.download_info.archive_info.hashes.sha256)"'
}

# Prints what the bill of materials says of a distribution: of_package WORK NAME FILTER
of_package() {
    jq --raw-output --arg name "$2" ".packages[] | select(.name == \$name and (.SPDXID | test(\"-(pypi|deb)-\"))) | $3" "$1/image.spdx.json"
}

built() {
    "$CASQUE" build --json --output "$1/image.tar" "$1/project" >"$1/said" 2>&1 ||
        die "the build failed: $(tail -n 60 "$1/said")"
}

main "$@"
