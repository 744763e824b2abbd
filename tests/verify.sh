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
usage: tests/verify.sh

Builds a small image with the vendor's key in it, and its next version, whose archive is signed inside. Engines load that, and the installed
image verifies archives: the good one, changed ones and a replayed one.
TEXT
}

main() {
    case "${1:-}" in -h | --help) usage && exit 0 ;; esac
    engine_start docker
    # Images are large, and /tmp may be memory.
    mkdir -p dist
    work=$(mktemp -d "$PWD/dist/verify.XXXXXX")
    at_exit "rm -rf '$work'"
    CASQUE_PASSPHRASE=$(openssl rand -hex 16)
    export CASQUE_PASSPHRASE
    mkdir "$work/project"
    "$CASQUE" keygen "$work/project/vendor" >/dev/null
    key=$work/project/vendor.key signed=$work/signed.tar image=casque-test/verify:v1.10
    build 1.10 --counter 7 --output "$work/installed.tar"
    build 1.11 --counter 8 --output "$work/next.tar"
    "$CASQUE" sign --archive "$work/next.tar" --output "$signed" --key "$key" --counter 8 >/dev/null
    at_exit "docker image rm --force '$image' '${image%:*}:latest' >/dev/null 2>&1"
    docker load --quiet --input "$work/installed.tar" >/dev/null
    good_archives
    engines_load_it
    bad_archives
    say "passed: the installed image verifies the next archive"
}

# Builds a version: build VERSION [option]...
build() {
    cat >"$work/project/casque.toml" <<TOML
[image]
name = "casque-test/verify"
version = "$1"
command = "product"
verify-key = "vendor.pub"

[base]
distribution = "debian"
suite = "bookworm"

[service.idle]
command = ["/bin/sleep", "inf"]
TOML
    shift
    "$CASQUE" build --no-sbom "$@" "$work/project" 2>"$work/said" || die "the build failed: $(tail -n 20 "$work/said")"
}

# What engines see is the image, whether the archive is signed or not.
engines_load_it() {
    local id next=${image%:*}:v1.11
    id=$("$CASQUE" inspect --json "$signed" | jq -r .image_id)
    at_exit "docker image rm --force '$next' >/dev/null 2>&1"
    docker load --quiet --input "$signed" >/dev/null
    same "docker loads the image" "$id" "$(docker image inspect --format '{{.Id}}' "$next")"
    engine_start podman
    at_exit "podman image rm --force '$next' >/dev/null 2>&1"
    podman load --quiet --input "$signed" >/dev/null
    same "podman loads the image" "${id#sha256:}" "$(podman image inspect --format '{{.Id}}' "$next")"
    if [[ -n "$(type -P skopeo)" ]]; then
        same "skopeo sees the image" "$id" \
            "$(skopeo inspect --raw --config "docker-archive:$signed" | sha256sum | sed 's/^\([0-9a-f]*\).*/sha256:\1/')"
    fi
    say "passed: engines load an archive that is signed inside"
}

verify() {
    docker run --rm --interactive --network none "$image" verify
}

good_archives() {
    verify <"$signed" >"$work/said"
    grep -qx "released after \`$image\`: counter 8 after 7" "$work/said" || die "$(<"$work/said")"
    # An ordinary user's container, read-only, does it as well.
    docker run --rm --interactive --network none --read-only --user 1234 "$image" verify <"$signed" >/dev/null
    # It is larger than the memory that it goes through.
    [[ $(stat -c %s "$signed") -gt $((48 << 20)) ]] || die "the archive is too small to say anything of memory"
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
    "$CASQUE" sign --archive "$signed" --key "$key" --counter 6 >/dev/null
    refused 'has counter 6, and what is installed has 7: it was released before' "$signed"
    say "passed: what is cut off, changed or replayed is refused"
}

main "$@"
