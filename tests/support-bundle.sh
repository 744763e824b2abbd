#!/usr/bin/env bash
# Secrets that services write in every form are looked for in all that leaves the container: the engine's log, the log files, a syslog
# receiver, and support bundles, of a product that runs, of one that does not, and of one that cannot start.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh
# shellcheck source=tests/backend.sh
. tests/backend.sh
# shellcheck source=tests/instance.sh
. tests/instance.sh
# shellcheck source=tests/syslog_receiver.sh
. tests/syslog_receiver.sh

# The agent's codes.
FORBIDDEN=77 SETTINGS=100

usage() {
    cat <<'TEXT'
usage: tests/support-bundle.sh [--archive FILE]

Makes support bundles of the example backend on docker and looks for its secrets. The archive is
dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    instance_arguments "$@"
    instance_prepare docker
    instance_load "$archive"
    receiver_start
    plant
    instance_start --env-file "$work/environment" --add-host logs.example:host-gateway \
        --env "SYSLOG_URL=tcp://logs.example:$tcp"
    token=$(engine_exec "$name" backend settings get status-token)
    written_by_a_service
    nowhere_in_what_leaves_by_itself
    previewed
    of_what_runs
    of_what_is_half_down
    engine_stop "$name" >/dev/null
    of_what_does_not_run
    of_what_cannot_start
    refused
    say "passed: no secret in logs, syslog and support bundles"
}

# One in a variable, with all kinds of characters, and one in a URL, encoded as URLs are; the third is generated.
plant() {
    password="p/\"$(openssl rand -hex 8)+ä ?=&%"
    of_url="u/$(openssl rand -hex 8)@:"
    printf 'ADMIN_PASSWORD=%s\nSMTP_URL=smtp://user:%s@127.0.0.1:9\n' "$password" \
        "$(python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1], safe=""))' "$of_url")" >"$work/environment"
}

# Prints every form of secrets, one a line: what a service may `write` of them. To `find` them, base64 is without the digits at both ends, which
# other bytes decide: forms write|find SECRET...
forms() {
    python3 - "$@" <<'PYTHON'
import base64, json, sys, urllib.parse
find = sys.argv[1] == "find"
for text in sys.argv[2:]:
    quoted = urllib.parse.quote(text, safe="")
    lower = "%".join(part[:2].lower() + part[2:] if at else part for at, part in enumerate(quoted.split("%")))
    forms = {text, quoted, lower, urllib.parse.quote(text), urllib.parse.quote_plus(text)}
    for ascii in (True, False):
        once = json.dumps(text, ensure_ascii=ascii)
        forms |= {once[1:-1], json.dumps(once, ensure_ascii=ascii)[3:-3]}
    for before, mixed in ((0, 0), (1, 2), (2, 3)):
        data = b"x" * before + text.encode() + (b"" if find else b"...")
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(data).decode()
            forms.add(encoded[mixed : len(data) * 8 // 6] if find else encoded)
    print("\n".join(sorted(forms)))
PYTHON
}

# Fails when a form of a secret is in a file, with white space or without: nowhere WHAT FILE.
nowhere() {
    local found
    forms find "$password" "$of_url" "$token" >"$work/forms"
    tr -d '[:space:]' <"$2" >"$work/squeezed"
    found=$(grep -oaFf "$work/forms" "$2" "$work/squeezed" | sort -u || true)
    same "no secret is in $1 ($(wc -l <"$work/forms") forms, $(wc -c <"$2") bytes)" "" "$found"
}

written_by_a_service() {
    local pid
    pid=$(engine_exec "$name" backend status --json | jq '.details.services[] | select(.name == "web") | .pid')
    { echo mark-begin; forms write "$password" "$of_url" "$token"; echo mark-end; } |
        docker exec -i "$name" backend exec-as web sh -c "cat >/proc/$pid/fd/1"
    wait_for 60 "the receiver has all lines" grep -q 'mark-end' "$received"
}

nowhere_in_what_leaves_by_itself() {
    engine_logs "$name" >"$work/log" 2>&1
    engine_exec "$name" sh -c 'cat /data/logs/*' >"$work/files"
    engine_exec "$name" sh -c 'cat /data/casque/syslog/*.jsonl' >"$work/buffer"
    local sink
    for sink in log files received buffer; do
        same "the service's lines are in $sink" "mark-begin mark-end" "$(grep -o 'mark-[a-z]*' "$work/$sink" | xargs)"
        nowhere "$sink" "$work/$sink"
    done
}

listing() {
    engine_exec "$name" find /data/casque /data/logs -not -path '*/syslog/*' -type f | sort
}

previewed() {
    # What a version without a mask has left, and a user who encodes by hand.
    { forms write "$password" "$of_url" "$token"; printf 'user:%s' "$password" | base64 --wrap 20; } >"$work/planted.log"
    docker cp --quiet "$work/planted.log" "$name:/data/logs/planted.log"
    listing >"$work/before"
    engine_exec "$name" backend support-bundle --preview >"$work/preview"
    same "a preview writes nothing" "" "$(listing | diff "$work/before" -)"
    nowhere "the preview" "$work/preview"
    grep -q '^logs/planted.log' "$work/preview" || die "the preview does not list the planted file: $(<"$work/preview")"
}

# Unpacks a bundle and looks for secrets in all of it, headers too: opened NAME.
opened() {
    gunzip <"$work/$1" >"$work/$1.tar"
    nowhere "the bundle \`$1\`" "$work/$1.tar"
    rm -rf "$work/open"
    mkdir "$work/open"
    tar -xf "$work/$1.tar" -C "$work/open"
    (cd "$work/open/support-bundle" && jq -r '.members[] | "\(.sha256)  \(.name)"' manifest.json | sha256sum --check --quiet) ||
        die "the manifest of the bundle is wrong"
}

manifest() {
    jq -r "$1" "$work/open/support-bundle/manifest.json"
}

# Of the volume alone: bundle NAME [OPTION...].
bundle() {
    local began
    began=$(now_ms)
    docker run --rm --volume "$volume:/data" "${@:2}" "$image" support-bundle >"$work/$1" 2>"$work/said" || die "$(<"$work/said")"
    say "time: a bundle took $(($(now_ms) - began)) ms"
}

of_what_runs() {
    local began
    began=$(now_ms)
    docker exec "$name" backend support-bundle >"$work/runs" 2>"$work/said" || die "$(<"$work/said")"
    say "time: a bundle took $(($(now_ms) - began)) ms"
    opened runs
    same "nothing is missing" "" "$(manifest '.missing[].name')"
    same "PID 1 has answered" true "$(manifest .running)"
    same "the state is in it" ready "$(jq -r .state "$work/open/support-bundle/status.json")"
    pseudonym=$(manifest '.secrets[] | select(.name == "admin-password").pseudonyms[]')
    # One a line, and the one that is broken into lines.
    same "one name stands for every form" "$(($(forms write "$password" | wc -l) + 1))" \
        "$(grep -o "$pseudonym" "$work/open/support-bundle/logs/planted.log" | wc -l)"
    grep -q mark-end "$work/open/support-bundle/logs/web.log" || die "the log of web is not in it"
}

of_what_is_half_down() {
    engine_exec "$name" backend stop mongodb >/dev/null
    docker exec "$name" backend support-bundle >"$work/half" 2>"$work/said" || die "$(<"$work/said")"
    opened half
    same "the stopped database is said" stopped \
        "$(jq -r '.details.services[] | select(.name == "mongodb").state' "$work/open/support-bundle/status.json")"
    same "a secret has the name that it had" "$pseudonym" "$(manifest '.secrets[] | select(.name == "admin-password").pseudonyms[]')"
}

of_what_does_not_run() {
    bundle stopped --env-file "$work/environment" --read-only --network none --cap-drop ALL --security-opt no-new-privileges
    opened stopped
    same "what needs PID 1 is named" "lines.txt plan.json services.txt status.json" "$(manifest '.missing[].name' | sort | xargs)"
    same "a secret has the name that it had" "$pseudonym" "$(manifest '.secrets[] | select(.name == "admin-password").pseudonyms[]')"
    same "the instance is known" "$(manifest .instance)" "$(jq -r .instance "$work/open/support-bundle/stamp.json")"
}

of_what_cannot_start() {
    local code=0
    docker run --rm --volume "$volume:/data" --env-file "$work/environment" --env WEB_WORKERS=many "$image" >/dev/null 2>&1 || code=$?
    same "a wrong setting ends the start" "$SETTINGS" "$code"
    bundle broken --env-file "$work/environment" --env WEB_WORKERS=many
    opened broken
    # shellcheck disable=SC2016 # Backticks are part of the text.
    grep -q '^setting `web-workers`: given `many`' "$work/open/support-bundle/settings.txt" ||
        die "the reason is not in it: $(<"$work/open/support-bundle/settings.txt")"
}

# Expects a code, a line, and nothing on stdout: refuses WHAT CODE LINE OPTION...
refuses() {
    local code=0
    docker run --rm --volume "$volume:/data" "${@:4}" "$image" support-bundle >"$work/nothing" 2>"$work/said" || code=$?
    same "$1: $(<"$work/said")" "$2" "$code"
    same "nothing was written" 0 "$(wc -c <"$work/nothing")"
    grep -q "^error: $3" "$work/said" || die "the line is another"
}

refused() {
    refuses "another user" "$FORBIDDEN" "cannot tell what is secret" --user 4711
    refuses "a secret that cannot be replaced" 1 "the secret of \`smtp-url\` is still in" --env SMTP_URL=smtp://u:support-bundle@h
    printf 'smtp-url = "broken\n' | docker run --rm -i --volume "$volume:/data" --entrypoint sh "$image" -c 'mkdir -p /data/config && cat >/data/config/settings.toml'
    refuses "a settings file that is none" "$SETTINGS" "cannot tell what is secret, so no bundle is made: cannot read settings file"
}

main "$@"
