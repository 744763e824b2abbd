#!/usr/bin/env bash
# Starting from images that others made: one of Debian, as docker-archive and as a directory in OCI layout, and one of busybox
# that has no packages. What is put on top works, and the layers beneath are theirs, byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
NAME=casque-test-base-$$

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/base.sh"
            say
            say "Makes two images with Docker, builds on them, and runs the results in Docker."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-base.XXXXXX)
    at_exit "as_root rm -rf --one-file-system '$work'"
    engine_start docker
    debian "$work/debian"
    busybox "$work/busybox"
    say "ok: products stand on images that others made"
}

# Hands the tree in a tar to Docker, builds a Dockerfile on it, and saves what comes out: image TAR ARCHIVE <DOCKERFILE
image() {
    local tag
    tag=$NAME:$(basename "$(dirname "$2")")
    at_exit "docker image rm --force '$tag' '$tag-root' >/dev/null 2>&1"
    docker import "$1" "$tag-root" >/dev/null
    { echo "FROM $tag-root" && cat; } | DOCKER_BUILDKIT=0 docker build --quiet --tag "$tag" - >/dev/null
    docker save --output "$2" "$tag"
}

debian() {
    local work=$1 product=$NAME/debian
    mkdir "$work"
    # A leaf that nobody asked for, one that is held, and documentation.
    # shellcheck disable=SC2016 # mmdebstrap's own variable.
    mmdebstrap --quiet --variant=apt --include=ed,tzdata \
        --customize-hook='chroot "$1" apt-mark auto tzdata' --customize-hook='chroot "$1" apt-mark hold ed' \
        bookworm "$work/root.tar" >&2
    image "$work/root.tar" "$work/base.tar" <<'END'
RUN rm -r /usr/share/doc/ed && touch /opt/base && ln /opt/base /opt/other
ENV GREETING=hello PATH=/opt/bin:/usr/bin:/bin
LABEL com.vendor.base=yes
ENTRYPOINT ["/opt/old"]
VOLUME /var/lib/old
END
    skopeo copy --quiet "docker-archive:$work/base.tar" "oci:$work/base:latest" >&2
    cat >"$work/casque.toml" <<END
[image]
name = "$product"
version = "1"
command = "product"

[base]
from = "docker-archive:base.tar"

[[layer]]
name = "app"
packages = ["netcat-openbsd"]
with-packages = ["make"]
run = "make --version >/opt/made; apt-get update; apt-get install --yes --no-install-recommends hello; echo \$GREETING >/opt/greeting"
network = true

[service.product]
command = ["sh", "-c", "echo \$GREETING >/run/said; exec sleep 86399"]
END
    "$CASQUE" build --output "$work/image.tar" "$work" 2>"$work/said" || die "cannot build: $(cat "$work/said")"
    # shellcheck disable=SC2016 # Quotes of a message.
    same "what does not carry over is said in one line" 1 \
        "$(grep --count 'Entrypoint `/opt/old`, Volumes `/var/lib/old` does not carry over' "$work/said")"
    theirs_are_unchanged "$work/base.tar" "$work/image.tar"

    sed -i 's/^from = .*/from = "oci:base"/' "$work/casque.toml"
    "$CASQUE" build --output "$work/oci.tar" "$work" 2>"$work/said" || die "cannot build: $(cat "$work/said")"
    theirs_are_unchanged "$work/base.tar" "$work/oci.tar"
    "$CASQUE" build --thin-against "$work/base.tar" --no-sbom --output "$work/thin.tar" "$work" 2>"$work/said" ||
        die "cannot build: $(cat "$work/said")"
    same "a customer who has the base does not load it again" 1 "$(grep --count 'thin: 2 layers, ' "$work/said")"

    at_exit "docker image rm --force '$product:v1' '$product:latest' >/dev/null 2>&1"
    docker load --quiet --input "$work/thin.tar"
    # shellcheck disable=SC2016 # dpkg-query's own variables.
    same "packages of the base, of a layer and of a step are there, and what was there for the step is not" \
        "$(printf '%s\n' ed=hold hello=install netcat-openbsd=install tzdata=install)" \
        "$(in_image "$product:v1" dpkg-query --show --showformat '${Package}=${db:Status-Want}\n' \
            ed hello make netcat-openbsd tzdata 2>/dev/null | grep --invert-match '=unknown$')"
    same "marks of the base are as they were" tzdata "$(in_image "$product:v1" apt-mark showauto tzdata)"
    same "dpkg finds nothing to complain of" "" "$(in_image "$product:v1" dpkg --audit 2>&1)"
    same "nor does apt" "" "$(in_image "$product:v1" apt-get --quiet=2 check 2>&1)"
    same "documentation of the base is there, and of packages on top it is not" /usr/share/doc/tzdata/changelog.Debian.gz \
        "$(in_image "$product:v1" sh -c 'ls /usr/share/doc/tzdata/changelog.Debian.gz /usr/share/doc/hello/NEWS.gz /usr/share/doc/ed 2>/dev/null')"
    same "a step has the base's variables" hello "$(in_image "$product:v1" cat /opt/greeting)"
    same "the image has the base's labels" yes \
        "$(docker image inspect --format '{{index .Config.Labels "com.vendor.base"}}' "$product:v1")"
    same "the bill of materials tells packages of the base from others" "the base \`oci:base\` has it" \
        "$("$CASQUE" sbom "$work/oci.tar" | jq --raw-output '.packages[] | select(.SPDXID == "SPDXRef-deb-ed-amd64") | .sourceInfo')"
    same "casque says what the image stands on" 1 "$("$CASQUE" inspect "$work/oci.tar" | grep --count '^base: oci:base  sha256:')"

    at_exit "docker rm --force --volumes '$NAME-debian' >/dev/null 2>&1"
    docker run --detach --name "$NAME-debian" "$product:v1" >/dev/null
    wait_for 60 "the product is ready" docker exec "$NAME-debian" product health
    same "a service has the base's variables" hello "$(docker exec "$NAME-debian" cat /run/said)"
}

busybox() {
    local work=$1 product=$NAME/busybox
    mkdir -p "$work/root/bin" "$work/root/etc" "$work/root/opt/gone" "$work/site"
    (cd "$work" && apt-get download --quiet=2 busybox-static && dpkg-deb --extract busybox-static_*.deb deb) >&2
    cp "$work/deb/bin/busybox" "$work/root/bin/"
    ln -s busybox "$work/root/bin/sh"
    echo 'ID=vendoros' >"$work/root/etc/os-release"
    tar --create --file "$work/root.tar" --owner 0 --group 0 --directory "$work/root" .
    image "$work/root.tar" "$work/base.tar" <<'END'
RUN busybox rmdir /opt/gone && busybox mkfifo /opt/pipe && busybox mknod /opt/null c 1 3
END
    # shellcheck disable=SC2016 # A mark.
    echo 'the greeting is @casque{greeting}' >"$work/site/index.html"
    cat >"$work/casque.toml" <<END
[image]
name = "$product"
version = "1"
command = "product"

[base]
from = "docker-archive:base.tar"

[users.web]
uid = 500

[[layer]]
name = "app"
copy = [{ from = "site", to = "/srv/site" }]
run = "busybox id >/opt/made; test ! -e /opt/gone"

[settings.greeting]
type = "string"
default = "hello"
description = "What is said to everybody."

[service.web]
command = ["/bin/busybox", "httpd", "-f", "-p", "8000", "-h", "/srv/site"]
user = "web"
ready = { http = "http://127.0.0.1:8000/" }
END
    "$CASQUE" build --output "$work/image.tar" "$work" 2>"$work/said" || die "cannot build: $(cat "$work/said")"
    theirs_are_unchanged "$work/base.tar" "$work/image.tar"
    same "the step added nothing but its file" opt/made "$(layer_of "$work/image.tar" 'busybox id' | grep --invert-match '/$')"
    same "the bill of materials says what it does not know" \
        "it has no packages of Debian, and what is in it is not listed" \
        "$("$CASQUE" sbom "$work/image.tar" | jq --raw-output '.packages[] | select(.SPDXID == "SPDXRef-base") | .comment' | sed 's/.*; //')"
    at_exit "docker image rm --force '$product:v1' '$product:latest' >/dev/null 2>&1"
    docker load --quiet --input "$work/image.tar"
    at_exit "docker rm --force --volumes '$NAME-busybox' >/dev/null 2>&1"
    docker run --detach --name "$NAME-busybox" --env GREETING=ahoy "$product:v1" >/dev/null
    wait_for 60 "the product is ready" docker exec "$NAME-busybox" product health
    same "a service, a setting and a copied file work without a distribution" "the greeting is ahoy" \
        "$(docker exec "$NAME-busybox" busybox wget -q -O - http://127.0.0.1:8000/index.html)"
    same "a service runs as a user of the manifest" web \
        "$(docker exec "$NAME-busybox" busybox ps -o user,args | awk '$3 == "httpd" { print $1 }')"
    no_shell "$work"
}

# A step on a base that has nothing but files.
no_shell() {
    local work=$1 code=0
    tar --create --file "$work/bare.tar" --owner 0 --group 0 --directory "$work/root" ./etc
    docker import "$work/bare.tar" "$NAME:bare" >/dev/null
    at_exit "docker image rm --force '$NAME:bare' >/dev/null 2>&1"
    docker save --output "$work/base.tar" "$NAME:bare"
    "$CASQUE" lock "$work" >/dev/null 2>&1
    "$CASQUE" build --output "$work/bare-image.tar" "$work" >/dev/null 2>"$work/said" || code=$?
    # shellcheck disable=SC2016 # Quotes of a message.
    same "a step on a base without a shell is told so" \
        '2   caused by: layer `app`: `run` needs a shell, and there is no `sh` in the base `docker-archive:base.tar`' \
        "$code $(grep 'caused by' "$work/said")"
}

in_image() {
    local image=$1 program=$2
    shift 2
    docker run --rm --network none --entrypoint "$program" "$image" "$@" || true
}

# Compares the layers that an image begins with, byte for byte, with those of its base: theirs_are_unchanged BASE IMAGE
theirs_are_unchanged() {
    local base=$1 image=$2 index=0 theirs ours
    local -a layers
    mapfile -t layers < <(tar -xOf "$base" manifest.json | jq --raw-output '.[0].Layers[]')
    [[ ${#layers[@]} -gt 1 ]] || die "the base has one layer only"
    for theirs in "${layers[@]}"; do
        ours=$(tar -xOf "$image" manifest.json | jq --raw-output ".[0].Layers[$index]")
        # Docker writes a layer once, and links to it.
        cmp <(tar -xOf "$base" "$theirs") <(tar -xOf "$image" "$ours") || die "layer $index of the base was changed"
        index=$((index + 1))
    done
    say "ok: the $index layers of the base are as they were"
}

# Lists the entries of the layer that was made by something: layer_of IMAGE WHAT
layer_of() {
    local layer
    layer=$("$CASQUE" inspect --json "$1" |
        jq --raw-output --arg what "$2" '.layers[] | select(.created_by | contains($what)) | .diff_id')
    tar -xOf "$1" "blobs/sha256/${layer#sha256:}" | tar -t
}

main "$@"
