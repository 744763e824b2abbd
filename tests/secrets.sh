#!/usr/bin/env bash
# What a step is given as a secret is nowhere afterwards: planted values are searched for, in several forms, in the archive,
# the lock, the cache, everything that was printed, and an engine's history. A step that leaves one is refused.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
# Exit codes; see docs/cli.md.
MANIFEST=2
STEP=6

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/secrets.sh"
            say
            say "Locks and builds a small image whose steps use secrets, and looks for these everywhere."
            exit 0
            ;;
    esac
    work=$(mktemp -d /var/tmp/casque-secrets.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    plant
    borrow_downloads "$work/cache"
    start_server
    missing_secret
    used_secrets
    cached_with_another_value
    left_secret
    recorded_secret
    version_control
}

# Three secrets: of one line in a file, of all kinds of characters in a variable, of several lines.
plant() {
    mkdir "$work/given" "$work/said"
    TOKEN=$(random_text)
    VAULT="p/\"$(random_text)+ä?=&%"
    KEY=$(random_text)
    printf '%s\n' "$TOKEN" >"$work/given/token"
    printf -- '-----BEGIN TEST KEY-----\n%s\n%s\n-----END TEST KEY-----\n' "$KEY" "$(random_text)" >"$work/given/key"
    export CASQUE_TEST_VAULT=$VAULT
    # shellcheck disable=SC2054 # The commas are what an argument has.
    SECRETS=(--secret "id=pip-token,src=$work/given/token" --secret "id=key,src=$work/given/key"
        --secret id=vault,env=CASQUE_TEST_VAULT)
}

random_text() {
    head -c 24 /dev/urandom | base64 | tr '+/' 'xy'
}

# A server that gives its file to whoever shows the token.
start_server() {
    cat >"$work/server.py" <<'END'
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers.get("Authorization") == "Bearer " + sys.argv[1] or "token=" in self.path
        body = b"content for who is allowed\n" if allowed else b""
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.2", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
END
    python3 "$work/server.py" "$TOKEN" >"$work/port" &
    at_exit "kill $!"
    wait_for 20 "the server listens" test -s "$work/port"
    PORT=$(cat "$work/port")
}

# Writes a project whose one step is the shell script on stdin: project NAME [LINE-OF-THE-LAYER...]
project() {
    mkdir "$work/$1"
    cat >"$work/$1/step.sh"
    cat >"$work/$1/casque.toml" <<END
[image]
name = "vendor/secrets-$1"
version = "1.0.0"
command = "secrets"

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "deploy"
mount = [{ from = "step.sh", to = "/src/step.sh" }]
run = "bash -eu /src/step.sh $PORT"
$(printf '%s\n' "${@:2}")

[service.web]
command = ["/bin/sleep", "inf"]
END
}

# Runs casque, all that it prints kept: casque NAME-OF-A-LOG WORD...
casque() {
    local log=$1
    shift
    "$CASQUE" --cache "$work/cache" "$@" >"$work/said/$log.out" 2>"$work/said/$log.err"
}

missing_secret() {
    project used 'network = true' \
        'secrets = [{ id = "pip-token" }, { id = "key", to = "/root/.ssh/id_test" }, { id = "vault", variable = "VAULT" }]' <<'END'
[ "$(stat -c %a:%u /run/secrets/pip-token /root/.ssh/id_test | xargs)" = "400:0 400:0" ]
[ "$(stat -f -c %T /run/secrets/pip-token)" = tmpfs ]
if (echo x >/run/secrets/pip-token) 2>/dev/null; then exit 7; fi
cat >/etc/systemd/system/spy.service <<'UNIT'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'env >/srv/environment'
UNIT
systemctl start spy
rm /etc/systemd/system/spy.service
[ -s /srv/environment ]
if grep VAULT /srv/environment; then exit 9; fi
token=$(cat /run/secrets/pip-token)
echo "the token is $token"
echo "the key is"; cat /root/.ssh/id_test
printf %s "$VAULT" | base64 -w 0; echo
echo "it is $VAULT" >&2
exec 3<>/dev/tcp/127.0.0.1/61080
printf 'GET http://user:%s@127.0.0.2:%s/file HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n' \
    "$token" "$1" "$token" >&3
tail -n 1 <&3 >/srv/fetched
END
    local code=0
    casque missing lock "$work/used" || code=$?
    same "a missing secret has its exit code" "$MANIFEST" "$code"
    same "a missing secret is said with the remedy, before anything runs" "$(expected_of_missing_secret)" \
        "$(sed -n '/^error: /,$p' "$work/said/missing.err")"
    [[ ! -e "$work/used/casque.lock" ]] || die "there is a lock without the secret"
    code=0
    casque missing build "$work/used" || code=$?
    same "a build without it ends before it locks" "$MANIFEST " "$code $(grep -v '^error: \|^  caused\|^hint: ' "$work/said/missing.err" || true)"
}

expected_of_missing_secret() {
    cat <<END
error: cannot lock \`$work/used\`
  caused by: layer \`deploy\` needs the secret \`pip-token\`, which was not given
hint: give it with \`--secret id=pip-token,src=FILE\` or \`--secret id=pip-token,env=VARIABLE\`
END
}

used_secrets() {
    casque lock lock "${SECRETS[@]}" "$work/used" || die "cannot lock: $(cat "$work/said/lock.err")"
    same "the download is locked by its plain address" 1 "$(grep -c "^url = \"http://127.0.0.2:$PORT/file\"" "$work/used/casque.lock")"
    # As on another machine: what locking made is not used.
    rm -r "$work/cache/stages" "$work/cache/layers"
    casque build build "${SECRETS[@]}" --locked --output "$work/used.tar" "$work/used" ||
        die "cannot build: $(cat "$work/said/build.err")"
    casque json build "${SECRETS[@]}" --locked --json --explain --output "$work/used.tar" "$work/used"
    same "the printed secrets are masked" "the token is ***" "$(sed -n 's/^  | \(the token is\)/\1/p' "$work/said/build.err")"
    same "the step had what it fetched" "content for who is allowed" "$(file_of_image srv/fetched)"
    same "nothing of the mounts is in the image" "" "$(names_of_image | grep 'secrets/\|root/.ssh' || true)"
    history_of_image
    nowhere "after a build"
}

# Prints a file of the image.
file_of_image() {
    local layer
    for layer in $(layers_of_image); do
        tar -xOf "$work/used.tar" "$layer" | tar -xOf - "$1" 2>/dev/null && return
    done
}

layers_of_image() {
    tar -xOf "$work/used.tar" manifest.json | jq --raw-output '.[0].Layers | reverse[]'
}

names_of_image() {
    local layer
    for layer in $(layers_of_image); do
        tar -xOf "$work/used.tar" "$layer" | tar -tf -
    done
}

# What Docker says of the image, where there is one.
history_of_image() {
    docker version >/dev/null 2>&1 || { say "skipped: no Docker for its history"; return; }
    at_exit "docker image rm vendor/secrets-used:v1.0.0 vendor/secrets-used:latest >/dev/null 2>&1"
    docker load --quiet --input "$work/used.tar" >/dev/null
    docker history --no-trunc vendor/secrets-used:v1.0.0 >"$work/said/history"
    docker inspect vendor/secrets-used:v1.0.0 >"$work/said/inspect"
    same "the history has the step" 1 "$(grep -c 'bash -eu /src/step.sh' "$work/said/history")"
}

# Checks that no secret in any form is in the archive, the lock, the cache or anything that was printed.
nowhere() {
    local secret form found
    for secret in "$TOKEN" "$VAULT" "$KEY"; do
        while read -r form; do
            found=$(as_root grep -rlaF -e "$form" "$work/cache" "$work/said" "$work"/*/casque.lock "$work"/*.tar "$work"/*.spdx.json || true)
            same "no secret is anywhere $1" "" "$found"
        done < <(forms "$secret")
    done >"$work/checks"
    say "ok: no secret is anywhere $1 ($(wc -l <"$work/checks") searches)"
}

# Prints a text as it is, URL-encoded, and in base64 at each of three places, without the digits that depend on what is around.
forms() {
    python3 - "$1" <<'END'
import base64, sys, urllib.parse
text = sys.argv[1]
print(text)
print(urllib.parse.quote(text, safe=""))
for before, mixed in ((0, 0), (1, 2), (2, 3)):
    data = b"x" * before + text.encode()
    print(base64.b64encode(data).decode()[mixed : len(data) * 8 // 6])
END
}

# The value decides nothing: another one builds nothing again.
cached_with_another_value() {
    printf 'another-%s\n' "$(random_text)" >"$work/given/other"
    casque other build --secret "id=pip-token,src=$work/given/other" "${SECRETS[@]:2}" --locked --json --output "$work/used.tar" "$work/used"
    same "another value makes no layer again" 0 "$(grep -c '"event":"layer"' "$work/said/other.out" || true)"
}

# A step that leaves one is refused with the file's name, and nothing of it is kept.
left_secret() {
    local code=0
    project left 'secrets = [{ id = "pip-token" }, { id = "vault", variable = "VAULT" }]' <<'END'
mkdir /opt/app
printf 'machine h login u password %s\n' "$(cat /run/secrets/pip-token)" >/root/.netrc
printf 'user:%s' "$VAULT" | base64 >/opt/app/config
ln -s "/x?$(cat /run/secrets/pip-token)" /opt/app/link
END
    casque left build "${SECRETS[@]}" --output "$work/left.tar" "$work/left" || code=$?
    same "a secret that is left has its exit code" "$STEP" "$code"
    same "every place of it is named" "$(expected_of_left_secret)" "$(sed -n '/^error: /,$p' "$work/said/left.err")"
    [[ ! -e "$work/left.tar" ]] || die "there is an image with a secret"
    nowhere "after a step left one"
}

expected_of_left_secret() {
    cat <<'END'
error: cannot build `vendor/secrets-left` 1.0.0
  caused by: layer `deploy` leaves a secret in the image:
    `vault` in `/opt/app/config` (base64)
    `pip-token` in `/opt/app/link`
    `pip-token` in `/root/.netrc`
hint: have the step remove it before it ends; nothing of this layer was kept
END
}

# An address with one is not locked.
recorded_secret() {
    local code=0
    project recorded 'network = true' 'secrets = [{ id = "pip-token" }]' <<'END'
exec 3<>/dev/tcp/127.0.0.1/61080
printf 'GET http://127.0.0.2:%s/file?token=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' \
    "$1" "$(cat /run/secrets/pip-token)" >&3
tail -n 1 <&3 >/srv/fetched
END
    casque recorded lock "${SECRETS[@]}" "$work/recorded" || code=$?
    same "a secret in an address has its exit code" "$STEP" "$code"
    # shellcheck disable=SC2016 # Backticks are part of the text.
    same "the address is named" 1 "$(grep -c "^    \`pip-token\` in GET http://127.0.0.2:$PORT/file?token=\*\*\*$" "$work/said/recorded.err")"
    [[ ! -e "$work/recorded/casque.lock" ]] || die "an address with a secret was locked"
    nowhere "after an address had one"
}

version_control() {
    project history <<'END'
mkdir -p /opt/app/.git/objects
END
    casque history build --output "$work/history.tar" "$work/history"
    casque history build --output "$work/history.tar" "$work/history"
    # shellcheck disable=SC2016 # Backticks are part of the text.
    same "a history that ships is warned of, from the cache as well" 1 \
        "$(grep -c '^warning: the step of `deploy`: it leaves `/opt/app/.git`, ' "$work/said/history.err")"
}

main "$@"
