#!/usr/bin/env bash
# The bill of materials of a built image: judged by SPDX's own validator, compared with what is in the image, the same in
# the image and beside the archive, and made in no time.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
# Installed once for each version; Python's packages are the judges of the test alone.
JUDGES=${XDG_CACHE_HOME:-$HOME/.cache}/casque-tests/spdx-tools-0.8.3

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/sbom.sh"
            say
            say "Builds a small image of Debian packages, a Python distribution, copied files and a step, and judges its"
            say "bill of materials."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-sbom.XXXXXX)
    at_exit "as_root rm -rf --one-file-system '$work'"
    judges
    project "$work"
    "$CASQUE" build --output "$work/image.tar" "$work" >&2
    same "what casque prints is what lies beside the archive" \
        "$(sha256sum <"$work/image.spdx.json")" "$("$CASQUE" sbom "$work/image.tar" | head -c -1 | sha256sum)"
    unpacked "$work"
    same "the bill of materials is whole, and true of the image" "$(expected "$work/root/var/lib/dpkg/status")" \
        "$(as_root "$JUDGES/bin/python" tests/sbom.py "$work/image.spdx.json" "$work/root")"
    "$CASQUE" inspect --json "$work/image.tar" >"$work/contents.json"
    same "a licence names what is under it" six \
        "$(jq --raw-output '.licences[] | select(.licence == "MIT") | .packages[] | select(. == "six")' "$work/contents.json")"
    same "a step without a network says so" 1 "$(grep --count 'it had no network' "$work/image.spdx.json")"
    "$CASQUE" build --no-sbom --output "$work/without.tar" "$work" >&2
    [[ ! -e "$work/without.spdx.json" ]] || die "a bill of materials lies beside the archive that was not asked for"
    cmp "$work/image.tar" "$work/without.tar" || die "the option that keeps the file away changed the image"
    say "ok: the bill of materials is what SPDX's validator and the image say"
}

# SPDX's validator and the reference reader of package URLs.
judges() {
    [[ ! -x $JUDGES/bin/python || ! -e $JUDGES/whole ]] || return 0
    rm -rf "$JUDGES"
    mkdir -p "${JUDGES%/*}"
    python3 -m venv "$JUDGES"
    "$JUDGES/bin/pip" install --quiet --disable-pip-version-check spdx-tools==0.8.3 packageurl-python==0.17.6 >&2
    touch "$JUDGES/whole"
}

project() {
    local work=$1
    mkdir "$work/app"
    echo "print('hello')" >"$work/app/main.py"
    echo 'six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274' \
        >"$work/requirements.lock"
    cat >"$work/casque.toml" <<'TEXT'
[image]
name = "casque-test/sbom"
version = "1"
command = "product"

[base]
distribution = "debian"
suite = "bookworm"
packages = ["python3"]

[[layer]]
name = "app"
python = { requirements = "requirements.lock", venv = "/opt/app" }
copy = [{ from = "app", to = "/srv/app" }]
run = "echo made >/srv/made; echo changed >>/etc/bash.bashrc; echo state >/var/cache/state"
TEXT
}

unpacked() {
    local work=$1 layer
    mkdir "$work/root"
    while read -r layer; do
        tar -xOf "$work/image.tar" "$layer" | as_root tar -x --numeric-owner --preserve-permissions -C "$work/root"
    done < <(tar -xOf "$work/image.tar" manifest.json | jq --raw-output '.[0].Layers[]')
}

expected() {
    local packages
    packages=$(grep --count '^Status: install ok installed' "$1")
    cat <<TEXT
$packages packages of Debian, 1 of Python: six==1.17.0
5 files: ./etc/bash.bashrc ./srv/app/main.py ./srv/made ./usr/lib/casque/agent ./usr/lib/casque/init
TEXT
}

main "$@"
