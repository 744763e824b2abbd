#!/bin/sh
# Makes each environment again with pip, at the same place, and compares it with casque's.
set -eu

again() {
    mv "/opt/$1/venv" "/opt/$1/casque"
    python3 -m venv "/opt/$1/venv"
    "/opt/$1/venv/bin/pip" install --quiet --no-deps --require-hashes --no-compile --no-cache-dir --use-pep517 --requirement "$1.lock"
}

again example
again other
/opt/other/venv/bin/pip install --quiet --no-deps --no-compile --no-cache-dir ./lib
for name in example other; do
    python3 compare.py "/opt/$name/casque" "/opt/$name/venv"
    rm -r "/opt/$name/venv"
    mv "/opt/$name/casque" "/opt/$name/venv"
    "/opt/$name/venv/bin/python3" -m pip check
done
/opt/other/venv/bin/python3 -c 'import crcmod._crcfunext, docopt, foo, lib'
test "$(/opt/other/venv/bin/foo-script)" = "foo, by /opt/other/venv/bin/python3"
test "$(/opt/other/venv/bin/foo)" = foo
# The one that is to have no pip has what it is for.
test ! -e /opt/bare/venv/bin/pip
if /opt/bare/venv/bin/python3 -m pip --version; then exit 1; fi
/opt/bare/venv/bin/python3 -c 'import async_timeout'
