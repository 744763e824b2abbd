#!/usr/bin/env bash
# A setting of the wrong type ends a container's start with one line, before any service runs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
IMAGE=$PWD/dist/docker_backend-latest.tar
# PID 1's code for settings.
SETTINGS=100

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/wrong-setting.sh"
            say
            say "Starts the example's image with a wrong setting and reads what it says and how it ends."
            exit 0
            ;;
    esac
    [[ -f "$IMAGE" ]] || die "there is no \`$IMAGE\`: demo/image.sh makes it"
    local home code=0
    home=$(mktemp -d /var/tmp/casque-setting.XXXXXX)
    at_exit "as_root rm -rf '$home'"
    as_root env CASQUE_STATE="$home/state" "$CASQUE" run --name "wrong-setting-$$" --data "$home/data" \
        --env WEB_WORKERS=many --env SMTP_URL=nowhere "$IMAGE" >"$home/said" 2>&1 || code=$?
    same "the container ends with the code for settings" "$SETTINGS" "$code"
    # shellcheck disable=SC2016 # The message's own backticks.
    grep -o 'setting `[^`]*`.*' "$home/said" >"$home/lines" || die "nothing is said of settings: $(cat "$home/said")"
    # What stands before the line, a time or a label, is the log's own affair.
    same "one line names the number, what is expected and where it came from" \
        "setting \`web-workers\`: given \`many\`, expected a whole number from 1 to 64 (from environment variable \`WEB_WORKERS\`)" \
        "$(grep web-workers "$home/lines")"
    # This one is secret: its value is not shown.
    same "the second mistake is named in the same start" 1 "$(grep -c smtp-url "$home/lines")"
    same "no secret is shown" 0 "$(grep -c nowhere "$home/said" || true)"
    same "nothing is in the volume" "" "$(as_root find "$home/data" -mindepth 1)"
}

main "$@"
