#!/usr/bin/env bash
# From a tag to the depot: the real programs, a real repository, and a project whose commands take no time.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/wait.sh

BIN=$(realpath "${CARGO_TARGET_DIR:-target}/debug")
DEPOT=$BIN/casque-depot
home=$(mktemp -d)
at_exit "rm -rf $home"
export HOME=$home CASQUE_STATE=$home/state CASQUE_PASSPHRASE=secret-passphrase
export CASQUE_DEPOT_DATA=$home/data
PORT=$(free_port)
export CASQUE_DEPOT_LISTEN=127.0.0.1:$PORT
HOST=http://127.0.0.1:$PORT
STATE=$home/state/releases/backend

git_as_vendor() {
    git -c user.name=vendor -c user.email=vendor@example.com -c init.defaultBranch=main "$@"
}

set_up() {
    (cd "$home" && "$BIN/casque" keygen vendor >/dev/null)
    "$DEPOT" product add backend
    "$DEPOT" key add backend "$home/vendor.pub" >/dev/null
    CASQUE_RELEASE_TOKEN=$("$DEPOT" token add ci backend 2>/dev/null)
    export CASQUE_RELEASE_TOKEN
    LOGIN=$("$DEPOT" customer add acme 2>/dev/null)
    "$DEPOT" customer grant acme backend >/dev/null
    "$DEPOT" serve 2>>"$home/log" &
    at_exit "end_process $!"
    wait_for 20 "the depot serves" curl -sf -o /dev/null "$HOST/healthz"
    git_as_vendor init --quiet --bare "$home/backend.git"
    git_as_vendor init --quiet "$home/clone"
    mkdir "$home/clone/product"
    project >"$home/clone/product/build.sh"
    image >"$home/clone/product/image.py"
    git -C "$home/clone" remote add origin "$home/backend.git"
    configuration >"$home/release.toml"
}

configuration() {
    cat <<TOML
[depot]
address = "$HOST"

[sign]
key = "vendor.key"

[watch]
every = "1s"
retry-after = "1s"
retries = 1

[[project]]
name = "backend"
git = "backend.git"
directory = "product"
commands = ["sh build.sh package", "sh build.sh image"]
timeout = "${1:-60}s"
expires-after = "400d"

[[project.channel]]
name = "beta"
tags = "v*-beta*"

[[project.channel]]
name = "stable"
tags = "v*"

[[project.file]]
path = "dist/backend-{version}.txt"
name = "backend-{version}.txt"
kind = "package"

[[project.file]]
path = "dist/docker_backend-latest.tar"
name = "docker_backend-{tag}.tar"
kind = "image"
TOML
}

# The project's commands; what they see of the environment goes into the package.
project() {
    cat <<'SH'
set -eu
mkdir -p dist
case $1 in
    package)
        if [ -e broken ]; then echo "this cannot be built" >&2; exit 3; fi
        if [ -e endless ]; then sleep 1000 & echo "$!" >"$HOME/sleeper"; wait; fi
        # The first build of this tag waits until it is told to go on.
        if [ "$CASQUE_TAG" = v8 ] && [ -p "$HOME/gate" ]; then : >"$HOME/reached" && read -r _ <"$HOME/gate"; fi
        echo "$CASQUE_TAG $CASQUE_COUNTER" >>"$HOME/builds"
        command -v casque
        { env; cat notes.txt; git describe --tags; } >"dist/backend-$CASQUE_VERSION.txt"
        ;;
    image) python3 image.py "$CASQUE_TAG" notes.txt dist/docker_backend-latest.tar ;;
esac
SH
}

# An image of one file, the way that docker save writes it.
image() {
    cat <<'PY'
import hashlib, io, json, sys, tarfile

tag, content, target = sys.argv[1:]

def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))

layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    add(tar, "notes.txt", open(content, "rb").read())
layer = layer.getvalue()
digest = hashlib.sha256(layer).hexdigest()
config = json.dumps({
    "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
}).encode()
blob = "blobs/sha256/" + digest
name = "blobs/sha256/" + hashlib.sha256(config).hexdigest()
with tarfile.open(target, "w") as tar:
    add(tar, name, config)
    add(tar, blob, layer)
    manifest = [{"Config": name, "RepoTags": ["vendor/backend:" + tag], "Layers": [blob]}]
    add(tar, "manifest.json", json.dumps(manifest).encode())
PY
}

# Commits what is in the work tree and pushes it as a tag: push TAG [MESSAGE].
push() {
    echo "notes of $1" >"$home/clone/product/notes.txt"
    git -C "$home/clone" add --all
    git_as_vendor -C "$home/clone" commit --quiet --message "$1"
    if [[ $# -gt 1 ]]; then
        git_as_vendor -C "$home/clone" tag --annotate --force --message "$2" "$1" >/dev/null
    else
        git_as_vendor -C "$home/clone" tag --force "$1" >/dev/null
    fi
    git -C "$home/clone" push --quiet --force origin "$1"
}

release() {
    "$BIN/casque" release run --config "$home/release.toml" "$@"
}

get() {
    curl -sf -u "$LOGIN" "$HOST/backend/$1"
}

code_of() {
    curl -s -o /dev/null -w '%{http_code}' -u "$LOGIN" "$HOST/backend/$1"
}

# Ends with this exit code and says this: fails CODE WORDS COMMAND...
fails() {
    local expected=$1 words=$2 code=0
    shift 2
    "$@" >"$home/said" 2>&1 || code=$?
    [[ $code -eq $expected ]] || die "$* ended with $code instead of $expected: $(<"$home/said")"
    grep -qF -- "$words" "$home/said" || die "$* does not say \`$words\`: $(<"$home/said")"
}

one_release() {
    push v1 "First of all"
    release --tag v1 --dry-run 2>"$home/said"
    grep -q 'would publish it in stable with counter 1$' "$home/said"
    [[ "$(code_of release-v1.json)" == 404 && ! -e $STATE/source ]] || die "a dry run did something"
    release --tag v1 2>"$home/said"
    get docker_backend-latest.tar >"$home/docker_backend-v1.tar"
    get docker_backend-v1.tar.minisig >"$home/docker_backend-v1.tar.minisig"
    minisign -VQ -p "$home/vendor.pub" -m "$home/docker_backend-v1.tar" >/dev/null
    get release-latest.json >"$home/release.json"
    get release-latest.json.minisig >"$home/release.json.minisig"
    minisign -VQ -p "$home/vendor.pub" -m "$home/release.json" >/dev/null
    same "the record says all there is to say" \
        "$(jq -nc --arg commit "$(git -C "$home/clone" rev-parse v1^0)" '["v1", "stable", 1, "First of all", $commit, 4, 34560000, 2]')" \
        "$(jq -c '[.release, .channel, .counter, .notes, .commit, (.artefacts | length), .expires - .created,
            (.artefacts[] | select(.kind == "image") | .blobs | length)]' "$home/release.json")"
    get backend-1.txt >"$home/package"
    grep -qx 'CASQUE_TAG=v1' "$home/package" || die "the commands do not know their tag"
    grep -qx 'CASQUE_COUNTER=1' "$home/package" || die "the commands do not know their counter"
    "$BIN/casque" verify --archive "$home/docker_backend-v1.tar" --key "$home/vendor.pub" --json >"$home/inside.json"
    same "the archive says the same of itself" \
        "$(jq -c '[.release, .channel, .counter, .created, .expires]' "$home/release.json")" \
        "$(jq -c '.archive | [.tag, .channel, .counter, .created, .expires]' "$home/inside.json")"
    tar -tf "$home/docker_backend-v1.tar" >"$home/members"
    same "its record comes first" "release.json release.json.minisig" "$(head -n 2 "$home/members" | paste -sd ' ')"
    ! grep -qF -e "$CASQUE_RELEASE_TOKEN" -e "$CASQUE_PASSPHRASE" "$home/package" || die "the commands see secrets"
    grep -qF "| $BIN/casque" "$home/said" || die "the commands find another casque, or none"
    ! grep -rqF -e "$CASQUE_RELEASE_TOKEN" -e "$CASQUE_PASSPHRASE" "$home/state" || die "a secret is in the state"
    grep -q '^published, counter 1$' "$STATE"/tags/v1/logs/*.log
    [[ "$(release --tag v1 2>&1 | grep -cx 'backend v1: was published before, counter 1')" == 1 ]]
    [[ ! -e $STATE/source ]] || die "the checkout is left"
    say "passed: a release is made, signed, uploaded and published, once"
}

# What a customer sees of a release is the whole of it or nothing.
whole_or_nothing() {
    case "$(code_of "docker_backend-$1.tar") $(code_of "release-$1.json")" in
        "404 404") ;;
        "200 200")
            get "release-$1.json" | jq -r '.artefacts[].name' >"$home/names"
            local name
            while read -r name; do
                [[ "$(get "$name" | sha256sum | cut -c 1-64)" == "$(get "$name.sha256" | cut -c 1-64)" ]] || die "$name is not whole"
            done <"$home/names"
            ;;
        *) die "half of $1 is visible" ;;
    esac
}

# Runs a release and kills it after so many events; says whether it had ended before: killed_after NUMBER TAG.
killed_after() {
    local run count=0 killed=1
    "$BIN/casque" release run --config "$home/release.toml" --tag "$2" --json >"$home/events" 2>"$home/said" &
    run=$!
    while read -r _; do
        count=$((count + 1))
        if [[ $count -eq $1 ]]; then
            kill -KILL "$run" && killed=0
        fi
    done <"$home/events"
    wait "$run" 2>/dev/null || [[ $killed -eq 0 ]] || die "the release failed: $(<"$home/said")"
    return $killed
}

# Killed after its first event, the next after its third, and so on, until one ends before.
killed_anywhere() {
    mkfifo "$home/events"
    local number=1 counter=1
    while push "v2.$number" "Faster" && killed_after $number "v2.$number"; do
        whole_or_nothing "v2.$number"
        release --tag "v2.$number" 2>"$home/said" || die "it does not go on: $(<"$home/said")"
        counter=$((counter + 1))
        whole_or_nothing "v2.$number"
        [[ "$(get "release-v2.$number.json" | jq .counter)" == "$counter" ]] || die "the counter is not $counter"
        number=$((number + 3))
    done
    [[ $number -gt 8 ]] || die "it was killed only $((number / 3)) times"
    get release-v2.4.json | jq -r .notes >"$home/notes"
    grep -qx Faster "$home/notes"
    grep -q '/notes.txt' "$home/notes" || die "the notes lack the difference: $(<"$home/notes")"
    say "passed: killed after each of $number events, a release ends as if it had not been"
}

process_of() {
    [[ -s $home/sleeper ]]
}

# Whatever the commands started ends with them: when time is up, and when the release is killed.
groups_end() {
    touch "$home/clone/product/endless"
    push v3
    rm -f "$home/sleeper"
    configuration 1 >"$home/release.toml"
    fails 6 "\`sh build.sh package\` took longer than 1 seconds" release --tag v3
    process_is_gone "$(<"$home/sleeper")" || die "the command's child outlives it"
    configuration >"$home/release.toml"
    rm "$home/sleeper"
    "$BIN/casque" release run --config "$home/release.toml" --tag v3 2>/dev/null &
    local run=$!
    wait_for 20 "the command runs" process_of
    kill -KILL "$run"
    wait "$run" 2>/dev/null || true
    wait_for 15 "the command ends with the release that was killed" process_is_gone "$(<"$home/sleeper")"
    rm "$home/clone/product/endless"
    say "passed: the whole process group ends"
}

mistakes() {
    touch "$home/clone/product/broken"
    push v4
    fails 6 '  | this cannot be built' release --tag v4
    rm "$home/clone/product/broken"
    fails 2 "has no tag \`v99\` that goes into a channel" release --tag v99
    push other
    fails 2 "whose patterns are \`v*-beta*\`, \`v*\`" release --tag other
    CASQUE_RELEASE_TOKEN=wrong fails 4 'the token is wrong or missing' release --tag v4
    (unset CASQUE_RELEASE_TOKEN && fails 2 "no token for \`$HOST\`" release --tag v4)
    sed -i 's/image.py "[^"]*"/image.py v0/' "$home/clone/product/build.sh"
    push v5
    fails 2 "holds the image vendor/backend:v0, and the tag is \`v5\`" release --tag v5
    project >"$home/clone/product/build.sh"
    push v1
    fails 3 'a release stays what it is: make a new tag' release --tag v1
    sed "s,$HOST,http://127.0.0.1:9," "$home/release.toml" >"$home/nowhere.toml"
    fails 4 'hint: run it again: it goes on where it was' "$BIN/casque" release run --config "$home/nowhere.toml" --tag v5
    say "passed: mistakes are named"
}

told() {
    jq -se --arg tag "$1" --arg event "$2" 'any(.[]; .tag == $tag and .event == $event)' "$home/watched" >/dev/null 2>&1
}

is_watching() {
    grep -q '"event":"watching"' "$home/watched"
}

watches() {
    "$BIN/casque" release watch --config "$home/release.toml" --json >"$home/watched" 2>"$home/said" &
    local watch=$!
    at_exit "end_process $watch"
    wait_for 20 "it watches" is_watching
    push v6-beta1 "Please try"
    wait_for 30 "the new tag is released" told v6-beta1 published
    [[ "$(get beta/release-latest.json | jq -r .release)" == v6-beta1 ]] || die "it is not in its channel"
    touch "$home/clone/product/broken"
    push v6
    wait_for 30 "the failure is told" told v6 failed
    rm "$home/clone/product/broken"
    push v6
    wait_for 30 "the moved tag is released" told v6 published
    same "old tags are left alone" "" "$(jq -r 'select(.tag == "v5" or .tag == "v4") | .tag' "$home/watched")"
    kill "$watch"
    wait "$watch" 2>/dev/null || true
    push v7
    "$BIN/casque" release watch --config "$home/release.toml" --once 2>"$home/said"
    grep -q '^backend v7: published, counter [0-9]*$' "$home/said" || die "$(<"$home/said")"
    say "passed: new tags are released, failures told and tried again"
}

is_at_the_gate() {
    [[ -e $home/reached ]]
}

# Another machine releases while this one builds, and takes the counter that the images built here have in them.
overtaken() {
    local run counter
    push v8
    push v9
    mkfifo "$home/gate"
    rm -f "$home/builds"
    release --tag v8 2>"$home/said" &
    run=$!
    wait_for 20 "the first is being built" is_at_the_gate
    CASQUE_STATE=$home/elsewhere release --tag v9 2>/dev/null
    counter=$(get release-v9.json | jq .counter)
    mv "$home/gate" "$home/open"
    echo >"$home/open"
    wait "$run" || die "it does not begin anew: $(<"$home/said")"
    grep -qx 'backend v8: another release took the counter in between' "$home/said" || die "$(<"$home/said")"
    same "the commands ran again, with the next counter" "v9 $counter,v8 $counter,v8 $((counter + 1))" "$(paste -sd , "$home/builds")"
    same "the record has it" "$((counter + 1))" "$(get release-v8.json | jq .counter)"
    get docker_backend-v8.tar >"$home/docker_backend-v8.tar"
    same "so has the image" "$((counter + 1))" \
        "$("$BIN/casque" verify --archive "$home/docker_backend-v8.tar" --key "$home/vendor.pub" --json | jq .archive.counter)"
    same "latest is what was published last" v8 "$(get release-latest.json | jq -r .release)"
    say "passed: a counter that another release took is not used twice"
}

main() {
    set_up
    one_release
    killed_anywhere
    groups_end
    mistakes
    watches
    overtaken
}

main "$@"
