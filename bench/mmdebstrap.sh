#!/usr/bin/env bash
# The recipe of examples/backend with mmdebstrap, pip and the playbook: bench/mmdebstrap.sh RECIPE SOURCE DOWNLOADS ARCHIVE
set -euo pipefail

main() {
    local recipe=$1
    export SOURCE=$2 DOWNLOADS=$3
    local packages=ansible-core,make,python3-apt
    [[ $recipe == plain ]] || packages+=,ca-certificates,libcurl4,nginx-light,python3-venv,redis-server,supervisor
    # shellcheck disable=SC2016 # mmdebstrap gives the root to a hook as its first parameter.
    mmdebstrap --quiet --variant=minbase --include="$packages" --skip=essential/unlink --skip=cleanup/apt \
        --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
        --setup-hook="sync-in $DOWNLOADS/archives /var/cache/apt/archives" \
        --customize-hook="$0 --deploy $recipe \"\$1\"" \
        --customize-hook="sync-out /var/cache/apt/archives $DOWNLOADS/archives" \
        --customize-hook='rm -rf "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"' \
        bookworm "$4"
}

# Runs pip and the playbook in the root, with the machine's network.
deploy() {
    local recipe=$1 root=$2
    mkdir -p "$root/src" "$root/root/.cache/pip"
    mount --bind "$SOURCE" "$root/src"
    mount --bind "$DOWNLOADS/pip" "$root/root/.cache/pip"
    cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
    [[ -z "${SSL_CERT_FILE:-}" ]] || cp "$SSL_CERT_FILE" "$root/tmp/ca.pem"
    # shellcheck disable=SC2016 # The chroot's own variables.
    chroot "$root" sh -e -c '
        export DEBIAN_FRONTEND=noninteractive
        if [ -e /tmp/ca.pem ]; then export SSL_CERT_FILE=/tmp/ca.pem PIP_CERT=/tmp/ca.pem; fi
        if [ "$1" = layered ]; then
            for name in backend:requirements mongodb:requirements-mongodb; do
                python3 -m venv "/opt/${name%%:*}/venv"
                "/opt/${name%%:*}/venv/bin/pip" install --quiet --require-hashes --requirement "/src/${name#*:}.lock"
            done
        fi
        make -C /src fulldeploy stage=docker
        apt-get purge --quiet=2 --yes --auto-remove ansible-core make python3-apt
        rm -rf /root/.ansible /tmp/*' sh "$recipe"
    umount "$root/src" "$root/root/.cache/pip"
    mkdir -p "$root/opt/extra"
    cp "$SOURCE/extra/"* "$root/opt/extra/"
}

if [[ $1 == --deploy ]]; then deploy "$2" "$3"; else main "$@"; fi
