#!/usr/bin/env bash
# The root filesystem made from a lock is, entry by entry, what mmdebstrap makes of the same package files; dpkg and apt
# find nothing wrong with it and install one more package.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh

CASQUE=$PWD/dist/bin/casque
# Packages that make users, divert, override owners and modes, ask, set capabilities and set-id bits, have
# configuration files, alternatives, triggers, hard links and keys.
PACKAGES=(python3 nginx-light redis-server supervisor ca-certificates dbus sudo iputils-ping tzdata cron ssl-cert
    openssh-client vim-tiny ucf)
# In the base as well, but asked for by the second root alone: what apt has yet to install.
FURTHER=hello

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/root.sh"
            say
            say "Builds a base of ${#PACKAGES[@]} packages and what they need, feeds the same files to mmdebstrap, and"
            say "compares. Differences that are meant to be are in tests/root.exceptions, each with its reason."
            exit 0
            ;;
    esac
    [[ $EUID -eq 0 ]] || die "this test makes files of many owners, so it needs root"
    local work
    work=$(mktemp -d /var/tmp/casque-root.XXXXXX)
    at_exit "rm -rf --one-file-system '$work'"
    manifest "$work"
    "$CASQUE" build --output "$work/image.tar" "$work" >&2
    unpack_image "$work/image.tar" "$work/casque"
    archive "$work"
    mmdebstrap_root "$work"
    python3 tests/root.py "$work/casque" "$work/mmdebstrap" tests/root.exceptions ||
        die "the root differs from what mmdebstrap makes of the same packages"
    say "ok: the root of $(wc -l <"$work/packages") packages is what mmdebstrap makes of them"
    answered "$work/casque"
    whole "$work/casque"
    installs_one_more "$work"
}

manifest() {
    cat >"$1/casque.toml" <<TEXT
[image]
name = "casque-test/root"
version = "1"
command = "root"

[base]
distribution = "debian"
suite = "bookworm"
packages = [$(printf '"%s", ' "${PACKAGES[@]}")]
preseed = "preseed"

[[layer]]
name = "further"
run = "true"
with-packages = ["$FURTHER"]
TEXT
    cat >"$1/preseed" <<'TEXT'
# The default is Etc, UTC.
tzdata tzdata/Areas select Europe
tzdata tzdata/Zones/Europe select Madrid
TEXT
}

# Unpacks the layers of an archive over each other; the image is made here, so nothing in it is removed again.
unpack_image() {
    local image=$1 root=$2 layer
    mkdir "$root"
    while read -r layer; do
        tar -xOf "$image" "$layer" |
            tar -x --numeric-owner --same-owner --preserve-permissions --xattrs --xattrs-include='*' -C "$root"
    done < <(tar -xOf "$image" manifest.json | python3 -c 'import json, sys; print(*json.load(sys.stdin)[0]["Layers"], sep="\n")')
}

# Makes an archive of the packages that the lock pins, each as casque downloaded it.
archive() {
    local work=$1 file name sha256
    mkdir "$work/archive" "$work/more"
    while read -r name sha256; do
        file=$(store)/$sha256
        [[ -f $file ]] || file=$(find "$(store)" -type f -name "$sha256" -print -quit)
        [[ -f $file ]] || die "the store lacks the file of $name"
        if [[ $name == "$FURTHER" ]]; then
            ln -s "$file" "$work/more/$name.deb"
        else
            ln -s "$file" "$work/archive/$name.deb"
            echo "$name" >>"$work/packages"
        fi
    done < <(awk -F '"' '/^\[\[package/ { package = 1 } package && /^name/ { name = $2 }
        package && /^sha256/ { print name, $2 }' "$work/casque.lock")
    index "$work/archive"
    index "$work/more"
}

store() {
    echo "${CASQUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/casque}/store"
}

# Writes `Packages` for the package files in a directory.
index() {
    local file
    for file in "$1"/*.deb; do
        dpkg-deb --field "$file"
        echo "Filename: ./$(basename "$file")"
        echo "Size: $(stat --dereference --format %s "$file")"
        echo "SHA256: $(sha256sum "$file" | cut -d ' ' -f 1)"
        echo
    done >"$1/Packages"
    # mmdebstrap looks for what is essential in the suite of that name.
    printf 'Suite: bookworm\nCodename: bookworm\nSHA256:\n %s %s Packages\n' \
        "$(sha256sum "$1/Packages" | cut -d ' ' -f 1)" "$(stat --format %s "$1/Packages")" >"$1/Release"
}

# Both get the same answers, the same rules of what to leave out, and the same numbers of users. mmdebstrap has its own
# way of merging /usr; that `usrmerge` is not in the archive makes it take `usr-is-merged`.
mmdebstrap_root() {
    local work=$1 further
    further=$(paste -s -d , "$work/packages")
    grep -v '^#' "$work/casque/etc/dpkg/dpkg.cfg.d/casque" >"$work/dpkg.cfg"
    awk -F : '$3 >= 300 && $3 < 800 { print $1 ":" $3 }' "$work/casque/etc/passwd" "$work/casque/etc/group" |
        sort --unique >"$work/ids"
    cat >"$work/before" <<TEXT
set -e
cp '$work/ids' "\$1/ids"
cp '$work/preseed' "\$1/preseed"
cp '$work/casque/etc/adduser.conf' "\$1/etc/adduser.conf"
printf '\nUID_POOL=/ids\nGID_POOL=/ids\n' >>"\$1/etc/adduser.conf"
chroot "\$1" debconf-set-selections /preseed
rm "\$1/preseed"
TEXT
    cat >"$work/after" <<TEXT
set -e
rm "\$1/ids"
mv "\$1/etc/adduser.conf.dpkg-dist" "\$1/etc/adduser.conf"
TEXT
    chmod 755 "$work/before" "$work/after"
    SOURCE_DATE_EPOCH=$(awk '/^date/ { if ($3 > newest) newest = $3 } END { print newest }' "$work/casque.lock") \
        mmdebstrap --quiet --mode=root --variant=minbase --format=directory --skip=output/dev \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --dpkgopt="$work/dpkg.cfg" --dpkgopt=force-confold --include="$further" \
        --essential-hook="$work/before" --customize-hook="$work/after" \
        bookworm "$work/mmdebstrap" "deb [trusted=yes] copy:$work/archive ./" >&2
}

# Compares: equal WHAT EXPECTED SEEN.
equal() {
    [[ $2 == "$3" ]] || die "$1: expected \`$2\`, got \`$3\`"
    say "ok: $1"
}

answered() {
    equal "the answer of the preseed counts" "Europe/Madrid" "$(cat "$1/etc/timezone")"
    [[ ! -e $1/etc/ssl/private/ssl-cert-snakeoil.key ]] || die "the key of ssl-cert is in the image"
    say "ok: no private key of a package is in the image"
}

whole() {
    equal "dpkg finds every package whole" "" "$(chroot "$1" dpkg --audit 2>&1)"
    equal "apt finds nothing broken" "" "$(chroot "$1" apt-get --quiet=2 check 2>&1)"
    equal "dpkg finds every file as it came, and misses none" "" "$(chroot "$1" dpkg --verify 2>&1)"
}

# From an archive beside it, so that no network is needed.
installs_one_more() {
    local root=$1/casque
    cp --recursive --dereference "$1/more" "$root/tmp/more"
    echo "deb [trusted=yes] copy:/tmp/more ./" >"$root/tmp/sources.list"
    local options=(--quiet=2 --option=Dir::Etc::SourceList=/tmp/sources.list --option=APT::Sandbox::User=root)
    chroot "$root" apt-get "${options[@]}" update >&2
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get "${options[@]}" --yes install "$FURTHER" >&2
    equal "apt installs one more package" "Hello, world!" "$(chroot "$root" hello)"
    equal "and leaves its manual out" "" "$(find "$root/usr/share/man" -name "$FURTHER*")"
    [[ -f $root/usr/share/doc/$FURTHER/copyright ]] || die "the copyright file of $FURTHER is not there"
}

main "$@"
