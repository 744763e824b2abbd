#!/usr/bin/env bash
# Settings that change while the example runs: what depends on them takes them over, nobody's request is refused, and what
# nginx would not take leaves everything as it was.
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

usage() {
    cat <<'TEXT'
usage: tests/settings-live.sh [--engine docker|podman] [--archive FILE]

Changes settings of the running example. The engine is docker and the archive dist/docker_backend-latest.tar unless given.
TEXT
}

SITE=/run/casque/files/etc/nginx/sites-available/backend

main() {
    instance_arguments --with-engine "$@"
    instance_prepare "$engine"
    instance_load "$archive"
    instance_start --env MAIL_TO=owner@customer.example
    asked_without_pause
    reload_under_load
    refuse_what_nginx_refuses
    no_request_was_lost
    restart_what_depends
    hide_new_secrets
    refuse_what_the_environment_decides
    say "passed: settings of a running product with $engine"
}

# Prints the process of a service.
pid_of() {
    backend status --json | jq --arg name "$1" '.details.services[] | select(.name == $name) | .pid'
}

# Asks over connections of its own, two at a time, until it is told to end; writes what was not a 200, and a last line.
asked_without_pause() {
    python3 - "$port" >"$work/asked" <<'PYTHON' &
import http.client, signal, sys, threading
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
count = [0, 0]
def ask(place):
    while not ending.is_set():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
            connection.request("GET", "/health")
            code = connection.getresponse().status
        except OSError as error:
            code = repr(error)
        count[place] += 1
        if code != 200:
            print("lost:", code, flush=True)
threads = [threading.Thread(target=ask, args=(place,)) for place in range(2)]
for thread in threads: thread.start()
while not ending.wait(1): pass
for thread in threads: thread.join()
print("asked", "often" if sum(count) > 50 else sum(count))
PYTHON
    asker=$!
    at_exit "end_process $asker"
}

reload_under_load() {
    local before seconds
    before=$(pids)
    for seconds in 41 42 43; do
        same "nginx alone is told of its time limit ($seconds)" \
            "\`answer-timeout\` is in \`/data/config/settings.toml\`; \`agent\` and \`nginx\` were told" \
            "$(backend settings set answer-timeout "${seconds}s")"
    done
    same "the new limit is in nginx's file" 1 "$(engine_exec "$name" grep -c 'proxy_read_timeout "43";' "$SITE")"
    same "no process was started anew" "$before" "$(pids)"
}

# A duration that casque understands and nginx does not: so many seconds are too many for it.
refuse_what_nginx_refuses() {
    local before code=0
    before=$(pids)
    backend settings set answer-timeout 999999999999d >"$work/said" 2>&1 || code=$?
    same "what nginx refuses is refused" 100 "$code"
    grep -q "service \`nginx\` cannot take over the change: \`/usr/sbin/nginx -t -q\` exited with 1" "$work/said" ||
        die "the refusal does not name the check: $(cat "$work/said")"
    grep -q 'invalid value in /etc/nginx/' "$work/said" || die "nginx's own words are missing: $(cat "$work/said")"
    same "its file is what it was" 1 "$(engine_exec "$name" grep -c 'proxy_read_timeout "43";' "$SITE")"
    same "the setting is what it was" 43 "$(backend settings get answer-timeout)"
    same "everything runs on" "$before" "$(pids)"
    backend health >/dev/null || die "the product is not well after a refused setting"
}

no_request_was_lost() {
    kill "$asker"
    wait "$asker" || true
    same "no request was refused meanwhile" "asked often" "$(cat "$work/asked")"
}

restart_what_depends() {
    local nginx mongodb web
    nginx=$(pid_of nginx) mongodb=$(pid_of mongodb) web=$(pid_of web)
    same "who reads the file is started anew, and it is ready then" \
        "\`web-workers\` is in \`/data/config/settings.toml\`; \`agent\` was told; \`beat\`, \`web\` and \`worker\` were started anew" \
        "$(backend settings set web-workers 3)"
    same "everything is ready" ready "$(backend health)"
    same "the others run on" "$nginx $mongodb" "$(pid_of nginx) $(pid_of mongodb)"
    [[ "$(pid_of web)" != "$web" ]] || die "web was not started anew"
    same "it has three workers" 3 "$(engine_exec "$name" sh -c "cat /proc/$(pid_of web)/task/*/children" | wc -w)"
}

# The mail server's password is in no log from the moment on in which it is set; nginx's log has the User-Agent.
hide_new_secrets() {
    local secret
    secret=canary-$(openssl rand -hex 12)
    printf 'smtp://user:%s@127.0.0.1:9\n' "$secret" | engine_exec_with_stdin backend settings set smtp-url >"$work/said"
    same "a secret is not repeated" 0 "$(grep -c "$secret" "$work/said" || true)"
    curl -s -o /dev/null -A "mark-of-the-test smtp://user:$secret@127.0.0.1:9" "$address/health"
    wait_for 20 "the request is in the log" log_has mark-of-the-test
    same "the new secret is masked" 0 "$(engine_logs "$name" | grep -c "$secret" || true)"
}

engine_exec_with_stdin() {
    "$ENGINE" exec -i "$name" "$@"
}

log_has() {
    # Read to its end: a pipe that closes early is a failure of whoever writes.
    [[ "$(engine_logs "$name" | grep -c "$1")" -gt 0 ]]
}

refuse_what_the_environment_decides() {
    local code=0
    backend settings set mail-to other@customer.example >"$work/said" 2>&1 || code=$?
    same "what the environment decides is refused and named" \
        "1 error: setting \`mail-to\` is decided by environment variable \`MAIL_TO\` of this container: change it where the container is started" \
        "$code $(cat "$work/said")"
}

main "$@"
