# The depot's program with a product, a key, a token and a customer, and releases as builds upload them. Source it after wait.sh.
# shellcheck shell=bash
# Of the tests, unless whoever sources this has others.
BIN=${BIN:-$(realpath "${CARGO_TARGET_DIR:-target}/debug")}
DEPOT=$BIN/casque-depot
home=$(mktemp -d)
at_exit "rm -rf $home"
export CASQUE_DEPOT_DATA=$home/data CASQUE_PASSPHRASE=secret
PORT=$(free_port)
export CASQUE_DEPOT_LISTEN=127.0.0.1:$PORT
HOST=http://127.0.0.1:$PORT

# set_up [option of product add]...
set_up() {
    (cd "$home" && "$BIN/casque" keygen vendor >/dev/null)
    "$DEPOT" product add backend "$@"
    "$DEPOT" key add backend "$home/vendor.pub" >/dev/null
    TOKEN=$("$DEPOT" token add ci backend 2>/dev/null)
    # shellcheck disable=SC2034 # for whoever sources this
    LOGIN=$("$DEPOT" customer add acme 2>/dev/null)
    "$DEPOT" customer grant acme backend >/dev/null
}

serve() {
    "$DEPOT" serve 2>>"$home/log" &
    SERVER=$!
    at_exit "end_process $SERVER"
    wait_for 20 "the depot serves" curl -sfk -o /dev/null "$HOST/healthz"
}

# Goes on with a file where the depot has got to: upload FILE [curl option]...
upload() {
    local file=$1 digest size offset
    shift
    digest=$(sha256sum "$file" | cut -d ' ' -f 1)
    size=$(stat -c %s "$file")
    local url=$HOST/api/v1/backend/blobs/$digest
    offset=$(curl -sfI -H "Authorization: Bearer $TOKEN" "$url" | tr -d '\r' | sed -n 's/^upload-offset: //p')
    tail -c "+$((offset + 1))" "$file" >"$home/rest"
    curl -sf -o /dev/null -X PATCH -H "Authorization: Bearer $TOKEN" -H "Upload-Offset: $offset" \
        -H "Upload-Length: $size" -H 'Expect:' -T "$home/rest" "$@" "$url"
}

artefact() {
    local file=$1 kind=$2
    jq -nc --arg name "$(basename "$file")" --arg kind "$kind" --argjson size "$(stat -c %s "$file")" \
        --arg sha256 "$(sha256sum "$file" | cut -d ' ' -f 1)" '{$name, $kind, $size, $sha256}'
}

# Publishes docker_backend-VERSION.tar, which is there, in a channel: release VERSION COUNTER CHANNEL [NOTES [FILE KIND]...].
release() {
    local version=$1 counter=$2 channel=$3 notes=${4:-} image=$home/docker_backend-$1.tar record=$home/release-$1.json
    shift "$(($# < 4 ? $# : 4))"
    "$BIN/casque" sign "$image" --key "$home/vendor.key" >/dev/null
    set -- "$image" image "$image.minisig" signature "$@"
    while [[ $# -gt 0 ]]; do
        upload "$1"
        artefact "$1" "$2"
        shift 2
    done | jq -sc --arg channel "$channel" --arg release "$version" --argjson counter "$counter" \
        --argjson created "$(date +%s)" --arg notes "$notes" \
        '{version: 1, product: "backend", $channel, $release, $counter, $created, artefacts: ., $notes}' >"$record"
    "$BIN/casque" sign "$record" --key "$home/vendor.key" >/dev/null
    jq -n --rawfile record "$record" --rawfile signature "$record.minisig" '{$record, $signature}' |
        curl -sf -o /dev/null -H "Authorization: Bearer $TOKEN" --data-binary @- "$HOST/api/v1/backend/releases"
}

# Makes the image of a version of so many random bytes: image VERSION SIZE.
image() {
    head -c "$2" /dev/urandom >"$home/docker_backend-$1.tar"
}
