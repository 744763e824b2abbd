#!/usr/bin/env bash
# The installed image verifies the archive of the next release; engines load an archive that is signed inside.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh

# The agent's code for an archive that is not to be loaded.
REFUSED=65

usage() {
    cat <<'TEXT'
usage: tests/verify.sh [--archive FILE]

Signs the example backend's archive inside, loads it with docker and podman and looks at it with skopeo where these are, and has the
image verify archives: the good one, changed ones and a replayed one. The archive is dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    local archive=dist/docker_backend-latest.tar
    while [[ $# -gt 0 ]]; do
        case "$1" in
            --archive) archive=$(cd "$OLDPWD" && realpath "${2:?}") && shift 2 ;;
            -h | --help) usage && exit 0 ;;
            *) usage >&2 && exit 2 ;;
        esac
    done
    [[ -f $archive ]] || die "there is no archive \`$archive\`: make package-docker builds it"
    engine_start docker
    # Images are large, and /tmp may be memory.
    work=$(mktemp -d "$PWD/dist/verify.XXXXXX")
    at_exit "rm -rf '$work'"
    CASQUE_PASSPHRASE=$(openssl rand -hex 16)
    export CASQUE_PASSPHRASE
    "$CASQUE" keygen "$work/vendor" >/dev/null
    signed=$work/signed.tar
    "$CASQUE" sign --archive "$archive" --output "$signed" --key "$work/vendor.key" --counter 7 >/dev/null
    engines_load_it
    install_image
    good_archives
    bad_archives
    say "passed: the installed image verifies the next archive"
}

# What engines see is the image, whether the archive is signed or not.
engines_load_it() {
    local id
    id=$("$CASQUE" inspect --json "$signed" | jq -r .image_id)
    loaded=$(docker load --quiet --input "$signed" | sed -n 's/^Loaded image: //p' | grep -v ':latest$' | head -n 1)
    same "docker loads the image" "$id" "$(docker image inspect --format '{{.Id}}' "$loaded")"
    engine_start podman
    podman load --quiet --input "$signed" >/dev/null
    same "podman loads the image" "${id#sha256:}" "$(podman image inspect --format '{{.Id}}' "$loaded")"
    if [[ -n "$(type -P skopeo)" ]]; then
        same "skopeo sees the image" "$id" \
            "$(skopeo inspect --raw --config "docker-archive:$signed" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/')"
    fi
    say "passed: engines load an archive that is signed inside"
}

# The installed release: the same image with the key and a counter in its plan. It is made where it lies, for a build leaves the
# same, and takes minutes for it.
install_image() {
    image=casque-test-verify:$$
    at_exit "docker image rm --force '$image' >/dev/null 2>&1"
    at_exit "docker rm --force 'casque-test-verify-$$' >/dev/null 2>&1"
    docker run --interactive --name "casque-test-verify-$$" --entrypoint /usr/bin/python3 "$loaded" - \
        "$(sed -n 2p "$work/vendor.pub")" <<'PYTHON'
import json, pathlib, sys

plan = pathlib.Path("/usr/lib/casque/plan.json")
content = json.loads(plan.read_text())
content["product"]["counter"] = 7
content["verify_keys"] = [sys.argv[1]]
plan.write_text(json.dumps(content))
PYTHON
    docker commit --change 'ENTRYPOINT ["/usr/lib/casque/init"]' --change 'CMD []' "casque-test-verify-$$" "$image" >/dev/null
}

verify() {
    docker run --rm --interactive --network none "$image" verify
}

good_archives() {
    verify <"$signed" >"$work/said"
    grep -q "^the release that is installed: counter 7$" "$work/said" || die "$(<"$work/said")"
    # An ordinary user's container, read-only, does it as well.
    docker run --rm --interactive --network none --read-only --user 1234 "$image" verify <"$signed" >/dev/null
    # A stream of 400 MB goes through 32 MB.
    docker run --rm --interactive --network none --memory 32m --memory-swap 32m "$image" verify --json <"$signed" |
        jq -e '.compared == "counter"' >/dev/null
    say "passed: a good archive is verified, in little memory"
}

# Ends with this code and says this in one line: refused WORDS FILE.
refused() {
    local code=0
    verify <"$2" >"$work/out" 2>"$work/said" || code=$?
    [[ $code -eq $REFUSED ]] || die "$1: ended with $code instead of $REFUSED: $(<"$work/said")"
    grep -qF -- "$1" "$work/said" || die "it does not say \`$1\`: $(<"$work/said")"
    same "one line is said" 1 "$(wc -l <"$work/said")"
    same "nothing is claimed" "" "$(<"$work/out")"
}

# Changes one byte of a copy: flipped PLACE.
flipped() {
    cp --reflink=auto "$signed" "$work/changed.tar"
    local byte
    byte=$(dd if="$signed" bs=1 skip="$1" count=1 status=none | od -An -tu1)
    printf '%b' "\\x$(printf %x $((byte ^ 1)))" | dd of="$work/changed.tar" bs=1 seek="$1" conv=notrunc status=none
}

bad_archives() {
    local size
    size=$(stat -c %s "$signed")
    flipped $((size / 2))
    refused 'is not what was signed: its SHA-256 differs' "$work/changed.tar"
    flipped 600
    refused 'does not hold' "$work/changed.tar"
    rm "$work/changed.tar"
    head -c $((size / 2)) "$signed" >"$work/cut.tar"
    refused "the archive is cut off after $((size / 2)) bytes" "$work/cut.tar"
    rm "$work/cut.tar"
    "$CASQUE" sign --archive "$signed" --key "$work/vendor.key" --counter 6 >/dev/null
    refused 'has counter 6, and what is installed has 7: it was released before' "$signed"
    say "passed: what is cut off, changed or replayed is refused"
}

main "$@"
