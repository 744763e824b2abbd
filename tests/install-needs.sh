#!/usr/bin/env bash
# Installs, on Debian 12, the programs that building, the demo and the tests need: only those that are missing.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: tests/install-needs.sh [build|demo|test|bench]...

  build  what compiling casque and building an image takes (the default)
  demo   that, and what the demo calls
  test   that, and the engines, browser and servers of the tests
  bench  that, and what casque is measured beside

Does nothing when everything is there. Calls sudo when not run by root.
TEXT
}

# One need per line: a group, how to see that it is there, the package that brings it. A program is looked for by its
# name and not by its package, so that Docker's own packages do as well as Debian's.
needs() {
    cat <<'TEXT'
build /usr/bin/cc gcc
build /usr/lib/x86_64-linux-gnu/libc.a libc6-dev
build make make
build newuidmap uidmap
build /etc/ssl/certs/ca-certificates.crt ca-certificates
build /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
demo curl curl
demo git git
demo jq jq
demo openssl openssl
demo ss iproute2
test age age
test chromium chromium
test chromedriver chromium-driver
test dockerd docker.io
test faketime faketime
test ctr containerd
test iptables iptables
test minisign minisign
test mmdebstrap mmdebstrap
test nginx nginx-light
test npm npm
test podman podman
test rsyslogd rsyslog
test /usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_ossl.so rsyslog-openssl
test runc runc
test python3 python3
test /usr/lib/python3.11/ensurepip/__init__.py python3-venv
test /usr/lib/python3/dist-packages/yaml/__init__.py python3-yaml
test /usr/lib/cni/bridge|/usr/lib/podman/netavark containernetworking-plugins
test shellcheck shellcheck
test skopeo skopeo
test slirp4netns slirp4netns
test umoci umoci
bench buildah buildah
bench s6-supervise s6
bench runsv runit
bench supervise daemontools
bench supervisord supervisor
TEXT
}

# Says whether one of the alternatives, programs or absolute paths, is there.
is_there() {
    local alternative
    local -a alternatives
    IFS='|' read -r -a alternatives <<<"$1"
    for alternative in "${alternatives[@]}"; do
        case "$alternative" in
            /*) [[ ! -e "$alternative" ]] || return 0 ;;
            *) [[ -z "$(type -P "$alternative")" ]] || return 0 ;;
        esac
    done
    return 1
}

# Prints the packages that the groups given lack.
missing() {
    local group evidence package
    while read -r group evidence package; do
        if [[ " $* " == *" $group "* ]] && ! is_there "$evidence"; then
            echo "$package"
        fi
    done < <(needs)
}

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif [[ -n "$(type -P sudo)" ]]; then
        sudo "$@"
    else
        echo "error: cannot install packages: neither root nor sudo" >&2
        exit 1
    fi
}

# A package that brings a server would start it: nginx on port 80 of a machine that only runs tests. This script says no
# for as long as apt works, unless the machine has its own answer.
POLICY=/usr/sbin/policy-rc.d

forbid_starting() {
    [[ ! -e $POLICY ]] || return 0
    trap 'as_root rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

main() {
    # An ordinary user's PATH may lack the directories of system programs.
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    local -a groups=() packages=()
    local argument
    [[ $# -gt 0 ]] || set -- build
    for argument; do
        case "$argument" in
            build) groups+=(build) ;;
            demo) groups+=(build demo) ;;
            test) groups+=(build demo test) ;;
            bench) groups+=(build demo test bench) ;;
            -h | --help)
                usage
                exit 0
                ;;
            *)
                echo "error: there is no group \`$argument\`" >&2
                usage >&2
                exit 2
                ;;
        esac
    done
    mapfile -t packages < <(missing "${groups[@]}")
    [[ ${#packages[@]} -gt 0 ]] || return 0
    if [[ -z "$(type -P apt-get)" ]]; then
        echo "error: cannot install ${packages[*]}: this machine has no apt-get" >&2
        exit 1
    fi
    echo "installing ${packages[*]}" >&2
    [[ $EUID -eq 0 ]] || echo "this asks sudo for root's rights" >&2
    forbid_starting
    as_root apt-get update --quiet=2 >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${packages[@]}" >&2
}

main "$@"
