#!/usr/bin/env bash
# Stops the demo and removes its container and its data. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=demo/names.sh
. demo/names.sh

# An engine may have come or gone since the demo was started: whatever runs under its name is stopped.
if [[ "$(demo_engine)" == docker ]]; then
    engine_start docker
    docker stop "$NAME" >/dev/null 2>&1 || true
    engine_remove "$NAME"
    engine_remove_volume "$NAME"
    say "the image stays: docker image rm vendor/backend:v$(<examples/backend/VERSION)"
fi
if [[ -x $CASQUE ]]; then
    engine_start none
    engine_remove "$NAME"
    engine_remove_volume "$DATA"
fi
say "stopped $NAME and removed its data"
