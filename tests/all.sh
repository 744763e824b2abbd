#!/usr/bin/env bash
# Every test there is, from the cheapest to the whole product on real engines. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

scripts() {
    shellcheck tests/*.sh demo/*.sh bench/*.sh .ci/run
}

rust() {
    # Some tests run the programs themselves, which `cargo test` alone does not build.
    cargo build --locked --workspace --bins
    cargo test --locked --workspace
}

# Each says what it did and removes what it made.
main() {
    step scripts
    step rust
    step make --no-print-directory build
    step make --no-print-directory -C examples/backend test
    step make --no-print-directory -C examples/backend test-production
    step demo/image.sh
    step tests/root.sh
    step tests/base.sh
    step tests/depot.sh
    step tests/sbom.sh
    step tests/python.sh
    step tests/same-bytes.sh
    step tests/ordinary-user.sh
    step tests/offline.sh
    step tests/removed-package.sh
    step tests/scripts.sh
    step tests/init.sh
    step tests/failing-step.sh
    step tests/secrets.sh
    step tests/reproducible.sh
    step tests/cache.sh
    step tests/wrong-setting.sh
    step tests/port-80.sh
    step tests/engines.sh
    step tests/five-commands.sh --engine docker
    step tests/five-commands.sh --engine podman
    step tests/five-commands.sh --engine none
    step tests/page.sh --engine docker
    step tests/mail.sh --engine docker
    step tests/demo.sh --engine docker
    step tests/demo.sh --engine none
    printf '\npassed: everything\n'
}

main "$@"
