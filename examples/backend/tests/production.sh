#!/usr/bin/env bash
# Deploys the usual package on a bare Debian made for it, with real packages from the network, and uses
# what comes out: twice the playbook, log-in, upload, report, page, mail, a restart. Needs root.
# Everything runs in namespaces of its own, so the host's ports and processes stay untouched.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
example=$(dirname "$here")
work=$(mktemp -d)
root=$work/root
holder=""
slirp=""
mailer=""

say() { printf 'production: %s\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

cleanup() {
    local code=$?
    if [ "$code" != 0 ] && [ -d "$root/var/log/backend" ]; then
        tail -n 15 "$root"/var/log/backend/*.log "$root"/var/log/nginx/error.log >&2 || true
    fi
    for pid in $mailer $slirp $holder; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
    exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Waits until a command succeeds: wait_for SECONDS WHAT COMMAND...
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain for $what"
        sleep 0.2
    done
}

# Runs a command on the bare machine.
inside() {
    nsenter --target "$init" --mount --pid --net --uts --ipc chroot "$root" \
        /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "${certificates[@]}" "$@"
}

# Runs one of the host's programs in the bare machine's network.
beside() { nsenter --target "$init" --net "$@"; }

make_machine() {
    say "making a bare Debian 12"
    mmdebstrap --quiet --variant=minbase --include=ansible-core,make,ca-certificates bookworm "$root"
    printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf"
    certificates=()
    if [ -n "${SSL_CERT_FILE:-}" ]; then
        cp "$SSL_CERT_FILE" "$root/etc/ssl/certs/of-this-network.pem"
        certificates=(SSL_CERT_FILE=/etc/ssl/certs/of-this-network.pem PIP_CERT=/etc/ssl/certs/of-this-network.pem)
    fi
    # The shell stays as the machine's process 1, which has to reap what daemons leave behind.
    # shellcheck disable=SC2016  # the inner shell expands these
    unshare --mount --pid --net --uts --ipc --fork --kill-child bash -c '
        set -e
        hostname bare
        mount --make-rprivate /
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        mount -t tmpfs tmpfs "$1/dev/shm"
        ip link set lo up
        touch "$1/machine-is-up"
        sleep infinity &
        while :; do wait -n || true; done
    ' machine "$root" &
    holder=$!
    wait_for 20 "the machine's namespaces" test -e "$root/machine-is-up"
    init=$(pgrep --parent "$holder")
    slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=3 "$init" tap0 3>"$work/network" >/dev/null 2>&1 &
    slirp=$!
    wait_for 20 "the machine's network" test -s "$work/network"
}

deploy() {
    inside make --no-print-directory -C /src fulldeploy stage=production \
        EXTRA="-e smtp_url=smtp://127.0.0.1:2525 -e mail_to=reports@example.test" | tee "$work/deploy.log" >&2
}

start_mail_server() {
    say "starting a mail server"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet aiosmtpd
    mkdir "$work/mail"
    beside "$work/venv/bin/python" -m aiosmtpd --nosetuid --listen 127.0.0.1:2525 \
        --class aiosmtpd.handlers.Mailbox "$work/mail/box" &
    mailer=$!
}

# Calls the application: call EXPECTED-CODE PATH [CURL-ARGUMENT...]; the answer is in $work/answer.
call() {
    local expected=$1 path=$2 code
    shift 2
    code=$(beside curl --silent --show-error --max-time 30 --cookie "$work/cookies" --cookie-jar "$work/cookies" \
        --output "$work/answer" --write-out '%{http_code}' "$@" "http://127.0.0.1$path")
    [ "$code" = "$expected" ] || fail "$path answered $code instead of $expected: $(head -c 300 "$work/answer")"
}

json() { python3 -c 'import json,sys; print(eval(sys.argv[2], {"it": json.load(open(sys.argv[1]))}))' "$work/answer" "$1"; }

report_is_settled() {
    call 200 "/reports/$1"
    [ "$(json 'it["state"]')" != waiting ]
}

log_in() {
    first=$(cat "$root/etc/backend/secrets/admin-password")
    second="not the first password"
    call 200 / --header 'Accept: application/json'
    [ "$(json 'it["version"]')" = "$(cat "$example/VERSION")" ] || fail "/ gives another version"
    call 401 /reports
    call 401 /login --data-urlencode user=admin --data-urlencode password=wrong
    call 200 /login --data-urlencode user=admin --data-urlencode "password=$first"
    [ "$(json 'it["change_password"]')" = True ] || fail "no change of the first password was asked"
    call 403 /reports
    call 403 /datasets --data-binary "@$example/data/orders.csv"
    call 400 /password --data-urlencode "current=$first" --data-urlencode new=short
    call 403 /password --header 'Origin: http://elsewhere.test' --data-urlencode "current=$first" --data-urlencode "new=$second"
    call 200 /password --data-urlencode "current=$first" --data-urlencode "new=$second"
    call 401 /login --data-urlencode user=admin --data-urlencode "password=$first"
    call 200 /reports
}

# The report's groups and an independent sum, as comparable lines.
report_lines() {
    json '"\n".join("%s %s %d %d %d" % (k, g["name"], g["rows"], g["quantity"], g["amount_cents"]) for k in it["groups"] for g in it["groups"][k])' |
        sort
}
awk_lines() {
    awk -F, 'NR > 1 { k[1] = "region " $2; k[2] = "product " $3; k[3] = "month " substr($1, 1, 7)
        for (i in k) { n[k[i]]++; q[k[i]] += $4; a[k[i]] += $4 * $5 } }
        END { for (i in n) printf "%s %d %d %d\n", i, n[i], q[i], a[i] }' "$example/data/orders.csv" | sort
}

use_it() {
    say "uploading the data set"
    call 400 /datasets --data-binary 'a,b,c'
    call 202 "/datasets?name=orders.csv" --data-binary "@$example/data/orders.csv"
    id=$(json 'it["id"]')
    wait_for 60 "the report" report_is_settled "$id"
    [ "$(json 'it["state"]')" = ready ] || fail "the report is not ready: $(cat "$work/answer")"
    diff <(awk_lines) <(report_lines) || fail "the report and awk disagree"
    call 200 "/reports/$id/page"
    [ "$(grep -c 'class="bar"' "$work/answer")" = "$(awk_lines | wc -l)" ] || fail "the page does not draw each group"
    wait_for 60 "the mail" grep -qs "Report ready: orders.csv" -r "$work/mail"

    printf 'date,region,product,quantity,unit_price_cents\n2023-01-01,north,anvil,many,5\n' >"$work/wrong.csv"
    call 202 /datasets --form "file=@$work/wrong.csv"
    wrong=$(json 'it["id"]')
    wait_for 60 "the refusal" report_is_settled "$wrong"
    # shellcheck disable=SC2016  # backquotes of the message
    json 'it["reason"]' | grep -q 'line 2: `quantity` is `many`' || fail "the refusal does not say why: $(cat "$work/answer")"
    call 404 /reports/nothing
}

kill_program() {
    local old
    old=$(inside supervisorctl pid "$1")
    inside sh -c "kill -KILL $old"
    wait_for 30 "another $1" has_another_pid "$1" "$old"
}
has_another_pid() {
    local now
    now=$(inside supervisorctl pid "$1") && [ "$now" != 0 ] && [ "$now" != "$2" ]
}

lose_the_databases() {
    say "killing MongoDB and Redis"
    kill_program mongodb
    kill_program redis
    wait_for 60 "the application after the loss of its databases" is_healthy
    call 202 "/datasets?name=after.csv" --data-binary "@$example/data/orders.csv"
    local after
    after=$(json 'it["id"]')
    wait_for 60 "the report after the loss of the databases" report_is_settled "$after"
    diff <(awk_lines) <(report_lines) || fail "the report after the loss of the databases is wrong"
}

stop_it() {
    inside service nginx stop >&2
    inside service supervisor stop >&2
    wait_for 60 "the end of every service" nothing_runs
}
nothing_runs() {
    local running
    running=$(inside sh -c 'cat /proc/[0-9]*/comm' 2>/dev/null || true)
    ! grep -Eq '^(mongod|redis-server|gunicorn|celery|nginx|supervisord)' <<<"$running"
}

is_healthy() { beside curl --silent --fail --max-time 5 --output /dev/null http://127.0.0.1/health; }

start_again() {
    say "stopping everything and starting it again"
    stop_it
    inside service supervisor start >&2
    inside service nginx start >&2
    wait_for 60 "the application after a restart" is_healthy
    call 200 "/reports/$id"
    diff <(awk_lines) <(report_lines) || fail "the report changed over a restart"
    stop_it
}

main() {
    [ "$(id -u)" = 0 ] || fail "this test makes a machine of its own and needs root"
    for program in mmdebstrap slirp4netns unshare nsenter curl ip; do
        command -v "$program" >/dev/null || fail "\`$program\` is missing"
    done

    make --no-print-directory -C "$example" package DIST="$work" >&2
    make_machine
    mkdir "$root/src"
    tar --extract --file="$work/backend-$(cat "$example/VERSION").tar" --directory="$root/src" --strip-components=1
    start_mail_server
    say "deploying"
    deploy
    say "deploying a second time"
    deploy
    grep -Eq 'changed=0 +unreachable=0 +failed=0' "$work/deploy.log" || fail "the second run changed something"
    log_in
    use_it
    lose_the_databases
    start_again
    say "all is well"
}

main
