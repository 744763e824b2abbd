# A MongoDB and a Redis that are not the product's own, from the programs in its image. Source it after instance.sh;
# instance_prepare comes before, and the image has to be loaded.
# shellcheck shell=bash

# Starts a MongoDB that asks for a password, in the container $name-db, whose user `app` may read and write the database
# `orders` and nothing else: external_mongodb PASSWORD.
external_mongodb() {
    at_exit "docker rm --force --volumes '${name:?}-db' >/dev/null 2>&1"
    docker run --detach --name "$name-db" --entrypoint sh "${image:?}" \
        -c 'mkdir /tmp/db && exec /opt/mongodb/mongod --dbpath /tmp/db --bind_ip_all --auth' >/dev/null
    wait_for 60 "the external MongoDB answers" in_database 'client.admin.command("ping")'
    in_database 'client.admin.command("createUser", "root", pwd="root", roles=["root"])'
    in_database 'client = MongoClient("mongodb://root:root@127.0.0.1/")' \
        "client.orders.command('createUser', 'app', pwd='$1', roles=['readWrite'])"
}

# Runs lines of Python beside it, with `client`; leaves what they print in $work/in-database.
in_database() {
    docker exec "$name-db" /opt/backend/venv/bin/python -c "$(printf '%s\n' 'from pymongo import MongoClient' \
        'client = MongoClient("mongodb://127.0.0.1/", serverSelectionTimeoutMS=1000)' "$@")" >"${work:?}/in-database" 2>&1
}

# Starts a Redis in the container $name-cache: external_redis [ENGINE-ARGUMENT...] -- SERVER-ARGUMENT...
external_redis() {
    local -a engine_arguments=()
    while [[ $1 != -- ]]; do
        engine_arguments+=("$1")
        shift
    done
    shift
    at_exit "docker rm --force --volumes '$name-cache' >/dev/null 2>&1"
    docker run --detach --name "$name-cache" "${engine_arguments[@]}" --entrypoint redis-server "$image" --bind 0.0.0.0 "$@" >/dev/null
}

# Prints the address of a container on the engine's usual network: container_address NAME.
container_address() {
    docker inspect --format '{{.NetworkSettings.Networks.bridge.IPAddress}}' "$1"
}

# Prints which databases run in a container: databases_in NAME.
databases_in() {
    docker top "$1" -eo pid,comm >"${work:?}/processes"
    awk '$2 == "mongod" || $2 == "redis-server" { print $2 }' "$work/processes" | sort | xargs
}
