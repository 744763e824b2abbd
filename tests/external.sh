#!/usr/bin/env bash
# The example on a MongoDB and a Redis of the customer's own: waits for them, says what they refuse, uses them, and leaves
# the built-in ones alone.
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
# shellcheck source=tests/external_services.sh
. tests/external_services.sh

USER_PASSWORD='p@ss:/w?rd'
USER_PASSWORD_IN_URL=p%40ss%3A%2Fw%3Frd
REDIS_PASSWORD=canary-of-redis

usage() {
    cat <<'TEXT'
usage: tests/external.sh [--archive FILE]

Runs the example with an external MongoDB and an external Redis. The archive is dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    instance_arguments "$@"
    instance_prepare docker
    instance_load "$archive"
    network=$name-net
    docker network create "$network" >/dev/null
    at_exit "docker network rm '$network' >/dev/null"
    certificate
    put_authority
    engine_run "$name" "$port" "$volume" "$image" --network "$network" \
        --env "MONGODB_URL=mongodb://app:$USER_PASSWORD_IN_URL@db.bank.example/orders"
    waits_for_what_is_not_there
    serve_mongodb
    becomes_ready_by_itself
    serve_redis
    refuses_a_wrong_change
    takes_over_a_right_one
    nothing_built_in_runs
    keeps_data_there
    says_what_is_refused
    say "passed: external services"
}

# The server in a container reads them as another user.
certificate() {
    new_authority "$work"
    new_certificate "$work" cache cache.bank.example
    chmod 644 "$work/cache.key"
    chmod 755 "$work"
}

# The bank's own authority is in the volume before the first start.
put_authority() {
    docker run --rm -i --volume "$volume:/data" --entrypoint sh "$image" \
        -c 'mkdir -p /data/tls/ca && cat >/data/tls/ca/bank.pem' <"$work/ca.pem"
}

details() {
    status_details "$address" "$(backend settings get status-token)"
}

waits_for_what_is_not_there() {
    wait_for 60 "$address/status answers" status_answers "$address"
    wait_for 60 "the log says whom it waits for" logged "waiting for what \`mongodb-url\` names: db.bank.example:27017: cannot find"
    same "the status says that it is not ready" 503 "$(status_code "$address")"
    wait_for 60 "the status says why" says_why
}

logged() {
    [[ "$(engine_logs "$name" | grep -cF -- "$1")" -gt 0 ]]
}

says_why() {
    details | jq --exit-status '.details.services[] | select(.name == "mongodb") | tostring | contains("waiting for db.bank.example")' >/dev/null
}

# It has its name when it has its user: who is refused does not wait.
serve_mongodb() {
    external_mongodb "$USER_PASSWORD"
    docker network connect --alias db.bank.example "$network" "$name-db"
}

# It serves by TLS alone.
serve_redis() {
    external_redis --network "$network" --network-alias cache.bank.example --volume "$work:/certificates:ro" -- \
        --port 0 --tls-port 6380 --tls-auth-clients no --tls-cert-file /certificates/cache.pem \
        --tls-key-file /certificates/cache.key --tls-ca-cert-file /certificates/ca.pem --requirepass "$REDIS_PASSWORD"
}

becomes_ready_by_itself() {
    wait_for 180 "$address/status says ready" status_is_ready "$address"
    same "of the built-in databases the other one runs" redis-server "$(databases_in "$name")"
    wait_for 10 "the log says who was reached" logged "db.bank.example:27017 is a MongoDB, and lets the user in"
}

# What is asked before a change is what is asked at a start.
refuses_a_wrong_change() {
    local before code=0
    before=$(pids)
    docker exec -i "$name" backend settings set redis-url <<<"$(cache wrong)" >"$work/said" 2>&1 || code=$?
    same "the change is refused" 100 "$code"
    grep -qF "cache.bank.example:6380: reached, but the password is refused: WRONGPASS" "$work/said" ||
        die "it does not say what was refused: $(cat "$work/said")"
    same "nothing was started anew" "$before" "$(pids)"
    same "everything is ready" 200 "$(status_code "$address")"
}

cache() {
    printf 'rediss://:%s@cache.bank.example:6380/3?ssl_cert_reqs=required' "$1"
}

takes_over_a_right_one() {
    docker exec -i "$name" backend settings set redis-url <<<"$(cache "$REDIS_PASSWORD")" >"$work/said" 2>&1 || die "it is refused: $(cat "$work/said")"
    wait_for 60 "everything is ready again" status_is_ready "$address"
    wait_for 10 "the log says who was reached" logged "cache.bank.example:6380 is a Redis that answers"
    ! logged "$REDIS_PASSWORD" || die "the log has the password"
}

nothing_built_in_runs() {
    same "no database runs inside" "" "$(databases_in "$name")"
}

keeps_data_there() {
    local jar=$work/jar first report
    first=$(backend settings get admin-password)
    same "the generated password logs in" 200 "$(log_in "$address" "$jar" "$first")"
    same "the password is changed" 200 "$(change_password "$address" "$jar" "$first" "another password")"
    report=$(upload "$address" "$jar" "$DATA_SET")
    wait_for 60 "the report is ready" read_report "$address" "$jar" "$report" "$work/report.json"
    same "its totals are those of the file" "$(csv_totals "$DATA_SET")" "$(report_totals "$work/report.json")"
    in_database 'client = MongoClient("mongodb://root:root@127.0.0.1/")' 'print(client.orders.datasets.count_documents({}))'
    same "its data are in the external database" 1 "$(cat "$work/in-database")"
}

# A wrong password is no reason to wait: the container ends, and says why.
says_what_is_refused() {
    engine_stop "$name" >/dev/null
    docker rm "$name" >/dev/null
    local code
    code=$(docker run --detach --name "$name" --network "$network" --volume "$volume:/data" \
        --env 'MONGODB_URL=mongodb://app:canary-of-mongodb@db.bank.example/orders' "$image" >/dev/null && docker wait "$name")
    same "it ends with the code of settings" 100 "$code"
    logged "cannot use what \`mongodb-url\` names: db.bank.example:27017: reached a MongoDB, but user \`app\` of \`orders\` is refused: Authentication failed." ||
        die "the log does not say what was refused"
    ! logged canary-of-mongodb || die "the log has the password"
}

main "$@"
