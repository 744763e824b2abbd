#!/usr/bin/env bash
# What takes too long for every change: `make soak`. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

make --no-print-directory build
# The example without casque, on a bare Debian.
make --no-print-directory -C examples/backend test-production
tests/ordinary-user.sh --full
tests/same-bytes.sh --bare
tests/engines.sh --all
demo/image.sh
for engine in docker podman none; do tests/anywhere.sh --engine "$engine" --all; done
tests/stop-and-kill.sh --rounds 50 --least 200
# After the builds above its first half is in the cache.
tests/reproducible.sh examples/backend/casque.layered.toml
KILLS=40 tests/cache.sh
# The resolver beside apt, on ten times the sets.
CASQUE_RESOLVER_SETS=2000 cargo test --locked --package casque-debian --test it same_as_apt
# Parsers of what comes from the network, on ten times the inputs.
CASQUE_FUZZ_CASES=20000 cargo test --locked --workspace -- fuzz whatever
printf '\npassed: the long tests\n'
