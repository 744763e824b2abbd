#!/usr/bin/env bash
# Python distributions that cannot be built or may not be taken: each is told by its name, with what would help.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
# Exit codes; see docs/cli.md.
MANIFEST=2
TRUST=3
RESOLVE=5
STEP=6

WHEEL=wheels/demo-1.0-py3-none-any.whl

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/python-errors.sh"
            say
            say "Builds images with Python distributions that are wrong in one way each, and compares what is said."
            exit 0
            ;;
    esac
    WORK=$(mktemp -d /var/tmp/casque-python-errors.XXXXXX)
    at_exit "as_root rm -rf '$WORK'"
    wheel
    files_of_the_project
    building
    what_is_asked_for
    yanked
}

files_of_the_project() {
    manifest 'python3'
    requirements "./$WHEEL --hash=sha256:$(printf '0%.0s' {1..64})"
    refused "$TRUST" <<TEXT
error: cannot build \`vendor/errors\` 1.0.0
  caused by: \`$WHEEL\` has the digest sha256:$(digest "$WORK/$WHEEL"), which is none of its hashes
hint: is it another file than when the requirements were made?
TEXT
    cp "$WORK/$WHEEL" "$WORK/wheels/demo-1.0-cp39-cp39-win_amd64.whl"
    requirements "./wheels/demo-1.0-cp39-cp39-win_amd64.whl"
    refused "$MANIFEST" <<'TEXT'
error: cannot build `vendor/errors` 1.0.0
  caused by: `wheels/demo-1.0-cp39-cp39-win_amd64.whl` does not run on CPython 3.11 on Linux x86_64 with glibc 2.36
TEXT
    manifest 'python3' 'pip = true'
    requirements "./$WHEEL --hash=sha256:$(digest "$WORK/$WHEEL")"
    refused "$MANIFEST" <<'TEXT'
error: cannot build `vendor/errors` 1.0.0
  caused by: layer `app` wants pip in an environment, and the image has no `python3-venv`, which brings it
hint: add `python3-venv` to `packages`, or leave out `pip`
TEXT
}

# What a backend can do wrong.
building() {
    requirements ""
    manifest 'python3' 'install = ["tree"]'
    backend '' 'print("looking for a compiler", flush=True); raise SystemExit(3)'
    refused "$STEP" <<'TEXT'
error: cannot build `vendor/errors` 1.0.0
  caused by: cannot build `tree`: its backend exited with 3
  | looking for a compiler
hint: what it misses may be a Debian package: name it in `build-packages`, such as `gcc` and `python3-dev`
TEXT
    backend '"demo-tool>=2"' 'return ""'
    refused "$MANIFEST" <<'TEXT'
error: cannot build `vendor/errors` 1.0.0
  caused by: cannot build `tree`: its backend asks for `demo-tool>=2`, which the lock does not have
hint: add `build-requires = ["demo-tool>=2"]` beside `requirements`
TEXT
    backend '' 'return "demo-1.0-py3-none-any.whl"'
    refused "$STEP" <<'TEXT'
error: cannot build `vendor/errors` 1.0.0
  caused by: cannot build `tree`: its backend left no wheel and answered "demo-1.0-py3-none-any.whl"
TEXT
    manifest 'python3' 'install = ["tree"], build-packages = ["gcc", "libc6-dev", "liblzo2-dev"]'
    backend '' 'import os, subprocess, zipfile
    subprocess.run(["gcc", "-shared", "-Wl,--no-as-needed", "-o", "/tmp/demo.so", "-xc", "/dev/null", "-llzo2"], check=True)
    with zipfile.ZipFile(os.path.join(directory, NAME), "w") as wheel:
        wheel.write("/tmp/demo.so", "demo.so")
        information(wheel)
    return NAME'
    refused "$MANIFEST" <<'TEXT'
error: cannot build `vendor/errors` 1.0.0
  caused by: `tree` was built with `liblzo2.so.2`, which the image does not have
hint: add `liblzo2-2` to `packages` of this layer or one below
TEXT
}

# A build requirement that nothing is.
what_is_asked_for() {
    index
    manifest 'python3' 'install = ["tree"]'
    backend '' 'return ""'
    sed -i 's/^requires = .*/requires = ["demo>=7"]/' "$WORK/tree/pyproject.toml"
    refused "$RESOLVE" <<'TEXT'
error: cannot build `vendor/errors` 1.0.0
  caused by: cannot pin what `tree` is built with: no wheel for CPython 3.11 on Linux x86_64 with glibc 2.36 is `demo>=7` (of `tree`)
hint: name versions that fit in `build-requires`
TEXT
}

# What the index took back is taken where a hash asks for it, and that is said.
yanked() {
    manifest 'python3'
    requirements "demo==1.0 --hash=sha256:$(digest "$WORK/$WHEEL")"
    "$CASQUE" lock "$WORK" >/dev/null 2>"$WORK/said" || die "the lock failed: $(cat "$WORK/said")"
    same "a yanked version is a warning with its reason" \
        "warning: \`demo==1.0\` was yanked from the index: wrong licence" "$(grep '^warning' "$WORK/said")"
}

# An index of our own, with one version, which was yanked.
index() {
    local files=$WORK/index
    mkdir -p "$files/demo"
    cp "$WORK/$WHEEL" "$files/demo"
    printf '<a href="%s#sha256=%s" data-yanked="wrong licence">%s</a>\n' \
        "${WHEEL##*/}" "$(digest "$WORK/$WHEEL")" "${WHEEL##*/}" >"$files/demo/index.html"
    python3 -u -m http.server --bind 127.0.0.1 --directory "$files" 0 >"$WORK/index.log" 2>&1 &
    at_exit "end_process $!"
    wait_for 20 "the index serves" grep -q 'port [0-9]' "$WORK/index.log"
    PIP_INDEX_URL=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$WORK/index.log")
    export PIP_INDEX_URL
}

# Writes the manifest: manifest PACKAGE [KEYS]
manifest() {
    cat >"$WORK/casque.toml" <<TEXT
[image]
name = "vendor/errors"
version = "1.0.0"
command = "errors"

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "app"
packages = ["$1"]
python = { venv = "/opt/app/venv", requirements = "app.lock"${2:+, $2} }
TEXT
}

requirements() {
    printf '%s\n' "$1" >"$WORK/app.lock"
}

# Writes a source tree with a backend of its own: backend ASKED-FOR BODY-OF-BUILD
backend() {
    mkdir -p "$WORK/tree"
    cat >"$WORK/tree/pyproject.toml" <<'TEXT'
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
TEXT
    cat >"$WORK/tree/backend.py" <<TEXT
$(information)

def get_requires_for_build_wheel(settings=None):
    return [$1]


def build_wheel(directory, settings=None, metadata=None):
    $2
TEXT
}

# Prints what a wheel says of itself, as a program in Python.
information() {
    cat <<'TEXT'
NAME = "demo-1.0-py3-none-any.whl"


def information(wheel):
    wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    wheel.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("demo-1.0.dist-info/RECORD", "demo-1.0.dist-info/RECORD,,\n")
TEXT
}

wheel() {
    mkdir "$WORK/wheels"
    python3 - "$WORK/$WHEEL" <<TEXT
import sys, zipfile
$(information)

with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    information(wheel)
TEXT
}

digest() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# Builds, and compares the exit code and everything from the error on: refused CODE, what is expected on stdin.
refused() {
    local code=0 expected
    expected=$(cat)
    "$CASQUE" build --output "$WORK/image.tar" "$WORK" >/dev/null 2>"$WORK/said" || code=$?
    same "$(sed -n 's/^  caused by: //p' <<<"$expected")" "$1
$expected" "$code
$(sed -n '/^error: /,$p' "$WORK/said")"
    [[ ! -e "$WORK/image.tar" ]] || die "a refused build left an image"
}

main "$@"
