#!/usr/bin/env bash
# Logs of the example in a real rsyslog: over TCP, TLS and UDP, each line once and in order, whoever is away or killed.
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
# shellcheck source=tests/certificates.sh
. tests/certificates.sh
# shellcheck source=tests/syslog_receiver.sh
. tests/syslog_receiver.sh

usage() {
    cat <<'TEXT'
usage: tests/syslog.sh [--archive FILE]

Sends the logs of the example to rsyslog. The archive is dist/docker_backend-latest.tar unless given.
TEXT
}

# As many lines as a product writes in an hour that has ten a second.
HOUR=36000

main() {
    instance_arguments "$@"
    instance_prepare docker
    instance_load "$archive"
    new_authority "$work"
    new_certificate "$work" logs logs.example
    receiver_start "$work/logs"
    # The engine writes this name into the container's /etc/hosts.
    instance_start --add-host logs.example:host-gateway
    token=$(backend settings get status-token)
    begins_while_everything_runs
    has_the_lines_of_all_services
    survives_an_hour_without_receiver
    survives_the_death_of_the_agent
    hides_secrets
    sends_by_tls_to_nobody_else
    sends_by_udp
    one_line_says_what_had_no_room
    say "passed: logs in rsyslog"
}

# Prints what the status says: syslog FIELD.
syslog() {
    status_details "$address" "$token" | jq --raw-output ".details.syslog.$1"
}

nothing_waits() {
    [[ "$(syslog waiting_bytes) $(syslog connected)" == "0 true" ]]
}

pid_of() {
    backend status --json | jq --arg name "$1" '.details.services[] | select(.name == $name) | .pid'
}

# Has a service write numbered lines as if it did so itself: write SERVICE WORD COUNT.
write() {
    backend exec-as "$1" sh -c "seq -f '$2=%.0f.' 1 $3 >/proc/$(pid_of "$1")/fd/1"
}

# The numbers that PID 1 gave the lines have no gap and no repetition, and neither have those in the lines.
all_there_in_order() {
    same "$1: each line is there once and in order" "" "$(sed -n 's/^[^[]*\[[^]]* number="\([0-9]*\)"\].*/\1/p' "$received" |
        awk 'NR > 1 && $1 != last + 1 && !said { print "after", last, "comes", $1; said = 1 } { last = $1 }')"
    same "$1: each line of the file is a message" "$(wc -l <"$received")" "$(grep -c 'number="[0-9]*"\]' "$received")"
}

# Compares what WORD counted: counted WORD COUNT.
counted() {
    same "$1 was counted from 1 to $2" "$(seq 1 "$2" | sha256sum)" "$(sed -n "s/.* $1=\([0-9]*\)\.\$/\1/p" "$received" | sha256sum)"
}

begins_while_everything_runs() {
    local before
    before=$(pids)
    same "only the agent is told" \
        "\`syslog-url\` is in \`/data/config/settings.toml\`; \`agent\` was told" \
        "$(backend settings set syslog-url "tcp://logs.example:$tcp")"
    write web first 300
    wait_for 30 "the lines arrive" is_received "first=300."
    same "no process was started anew" "$before" "$(pids)"
    counted first 300
}

has_the_lines_of_all_services() {
    local service count=0 began
    began=$(date +%s.%N)
    "$ENGINE" restart "$name" >/dev/null
    wait_for 180 "$address/status says ready" status_is_ready "$address"
    curl -s -o /dev/null "$address/health?mark-of-the-test"
    wait_for 30 "nginx's line arrives" is_received mark-of-the-test
    for service in $("$ENGINE" logs --since "$began" "$name" 2>&1 | sed -n 's/^\([a-z]*\) | .*/\1/p' | sort -u | grep -vx -e casque -e agent); do
        wait_for 30 "a line of $service arrives" grep -q "^info local0 .* $service \[casque@32473 product=\"vendor/backend\" version=\"$VERSION\"" "$received"
        count=$((count + 1))
    done
    [[ $count -ge 4 ]] || die "only $count services wrote something"
    wait_for 30 "everything is sent" nothing_waits
    [[ "$(grep -c '^notice local0 .* casque \[' "$received")" -gt 3 ]] || die "PID 1's own lines are missing"
    all_there_in_order "over a restart of the container"
    same "the host is that of the container" "$(engine_exec "$name" hostname)" "$(awk 'END { print $4 }' "$received")"
}

survives_an_hour_without_receiver() {
    local before
    before=$(pids)
    receiver_stop
    write web hour "$HOUR"
    write worker other 2000
    wait_for 30 "the status says that it is away" says_away
    wait_for 30 "the status says why" last_error_has refused
    [[ "$(syslog waiting_bytes)" -gt $((HOUR * 60)) ]] || die "too little waits: $(syslog waiting_bytes)"
    same "the metrics say that it is away" "casque_syslog_connected 0" \
        "$(curl -s -A "monitor $token" "$address/metrics" | grep '^casque_syslog_connected')"
    wait_for 30 "the log says that it is away" log_has "is away: "
    same "everything runs on" "$before" "$(pids)"
    receiver_resume
    wait_for 90 "the lines arrive" is_received "other=2000."
    wait_for 60 "the log says that it is back" log_has "is back"
    wait_for 30 "everything is sent" nothing_waits
    counted hour "$HOUR"
    counted other 2000
    all_there_in_order "after an hour"
    same "the log has said it once" "1 1" "$(engine_logs "$name" | grep -c 'syslog receiver .* is away') $(engine_logs "$name" | grep -c 'syslog receiver .* is back')"
}

says_away() {
    [[ "$(syslog connected)" == false && "$(syslog last_error)" != null ]]
}

log_has() {
    # Read to its end: a pipe that closes early is a failure of whoever writes.
    [[ "$(engine_logs "$name" | grep -c "$1")" -gt 0 ]]
}

# Killed twice: while nobody is there, and while lines are on their way.
survives_the_death_of_the_agent() {
    receiver_stop
    write web killed 20000
    kill_agent
    write web again 20000
    receiver_resume
    wait_for 90 "the first lines arrive" is_received "killed=1."
    kill_agent
    wait_for 90 "the last lines arrive" is_received "again=20000."
    wait_for 30 "everything is sent" nothing_waits
    counted killed 20000
    counted again 20000
    all_there_in_order "after the agent was killed"
}

kill_agent() {
    local before
    before=$(pid_of agent)
    engine_exec "$name" sh -c "kill -9 $before"
    wait_for 30 "the agent is back" agent_is_other "$before"
}

agent_is_other() {
    local now
    now=$(pid_of agent)
    [[ $now != null && $now != "$1" ]]
}

hides_secrets() {
    local secret
    secret=canary-$(openssl rand -hex 12)
    printf 'smtp://user:%s@127.0.0.1:9\n' "$secret" | "$ENGINE" exec -i "$name" backend settings set smtp-url >/dev/null
    curl -s -o /dev/null -A "mark-of-the-canary smtp://user:$secret@127.0.0.1:9" "$address/health"
    wait_for 30 "the request arrives" is_received mark-of-the-canary
    same "the secret does not" 0 "$(grep -c "$secret" "$received" || true)"
    same "nor is it in the buffer" 0 "$(engine_exec "$name" sh -c "cat /data/casque/syslog/*.jsonl" | grep -c "$secret" || true)"
}

sends_by_tls_to_nobody_else() {
    local before
    before=$(pids)
    wait_for 30 "everything is sent" nothing_waits
    backend settings set syslog-url "tls://logs.example:$tls" >/dev/null
    wait_for 30 "an authority that nobody knows is refused" last_error_has UnknownIssuer
    write web secure 3000
    same "it got nothing" 0 "$(grep -c ' secure=' "$received" || true)"
    "$ENGINE" exec -i "$name" backend settings set syslog-ca <"$work/ca.pem" >/dev/null
    wait_for 60 "the lines arrive" is_received "secure=3000."
    counted secure 3000
    all_there_in_order "by TLS"
    same "no process was started anew" "$before" "$(pids)"
}

last_error_has() {
    [[ "$(syslog last_error)" == *"$1"* ]]
}

sends_by_udp() {
    wait_for 30 "everything is sent" nothing_waits
    backend settings set syslog-url "udp://logs.example:$udp" >/dev/null
    write web datagram 2000
    wait_for 60 "the lines arrive" is_received "datagram=2000."
    counted datagram 2000
    all_there_in_order "by UDP"
}

# A buffer of a MiB for more lines than that.
one_line_says_what_had_no_room() {
    local lost lines first
    wait_for 30 "everything is sent" nothing_waits
    backend settings set syslog-buffer 1M >/dev/null
    receiver_stop
    backend settings set syslog-url "tcp://logs.example:$tcp" >/dev/null
    write web much 30000
    same "the buffer has its bound" yes "$([[ "$(engine_exec "$name" sh -c 'cat /data/casque/syslog/*.jsonl' | wc -c)" -le $((1 << 20)) ]] && echo yes)"
    receiver_resume
    wait_for 60 "the rest arrives" is_received "much=30000."
    wait_for 30 "everything is sent" nothing_waits
    lines=$(sed -n 's/^warning local0 .*\] \([0-9]*\) lines are missing here: .*/\1/p' "$received")
    lost=$(syslog lost_lines)
    same "one line says how many are missing" "$lost" "$lines"
    first=$(sed -n 's/.* much=\([0-9]*\)\.$/\1/p; T; q' "$received")
    same "the rest is there once and in order" "$(seq "$first" 30000 | sha256sum)" \
        "$(sed -n 's/.* much=\([0-9]*\)\.$/\1/p' "$received" | sha256sum)"
    # Other services wrote a few lines meanwhile.
    [[ $lost -ge $((first - 1)) && $lost -lt $((first + 200)) ]] || die "$lost lines are said to be missing before $first"
}

main "$@"
