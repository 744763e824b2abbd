#!/usr/bin/env bash
# A playbook with the modules that vendors use, unchanged, on a bare Debian: its daemons really run during the build, what
# cannot work there is named, and the image runs what the units say.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/engine.sh
. tests/engine.sh

CASQUE=${CASQUE:-$PWD/dist/bin/casque}
IMAGE=vendor/scripts:v1.0.0
NAME=casque-scripts-$$

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/scripts.sh"
            say
            say "Builds tests/scripts, runs it on docker, and asks both for what its playbook should have left."
            exit 0
            ;;
    esac
    local work
    work=$(mktemp -d /var/tmp/casque-scripts.XXXXXX)
    at_exit "as_root rm -rf '$work'"
    engine_start docker
    at_exit "docker image rm --force $IMAGE ${IMAGE%:*}:latest >/dev/null 2>&1"
    cp -a tests/scripts "$work/project"
    "$CASQUE" build --output "$work/image.tar" "$work/project" 2>"$work/said" || die "the build failed: $(tail -n 60 "$work/said")"
    warnings "$work/said"
    docker load --quiet <"$work/image.tar"
    what_is_left
    what_runs
}

# Everything that is not carried over or cannot work is named: one line for each service, one for each thing left out.
warnings() {
    same "what is left out is named, once" "$(expected_warnings)" \
        "$(sed -n "s/^warning: //p" "$1" | sed "s|/var/tmp/casque-scripts.[^/]*/project/./||" | grep --invert-match "is set up to run")"
}

expected_warnings() {
    cat <<'END'
`files/tune.py` uses `os.cpu_count()`: the build's machine decides it for every customer; a setting can
`files/tune.sh` uses `$(nproc)`: the build's machine decides it for every customer; a setting can
`templates/shop.env.j2` uses `ansible_processor_vcpus`: the build's machine decides it for every customer; a setting can
the private key `/etc/ssl/private/ssl-cert-snakeoil.key` was made in the build and would be the same for every customer, so it is left out; let a service of the type `oneshot` make it: `make-ssl-cert generate-default-snakeoil --force-overwrite`
the step of `deploy`: `backup.timer` was started and does nothing: only services run in an image
the step of `deploy`: the kernel's parameters in `/etc/sysctl.d/shop.conf` are left out: the host decides them
the step of `deploy`: the host name `shop.example` is left out: the engine gives a container its name
the step of `deploy`: `ufw allow from any to any port 8099 proto tcp` is left out: the firewall is the customer's
the step of `deploy`: supervisor's `[eventlistener:memmon]` did not run and is not carried over
`backup.timer` is enabled and does nothing in an image: only services run there
service `database` from `systemd:postgresql@15-main.service`: not carried over: `AssertPathExists=/etc/postgresql/%I/postgresql.conf` (it starts in any case; `when` and `unless` are in the manifest), `PartOf=postgresql.service`, `ExecStartPre=/usr/bin/install --directory --owner postgres --group postgres /run/postgresql` (it runs before the first start only)
service `shop` from `systemd:shop.service`: not carried over: `CPUWeight=200` (the engine limits the container as a whole), `ExecStartPre=/bin/cp /etc/shop.env /srv/shop/shop.env` (it runs before the first start only); hardening left out: `ProtectSystem`, `PrivateTmp`
`/etc/shop.env` can be read by the group of a service and not by group 0, so not where the container runs with `--user`; make the service's user its owner
END
}

# The image as files.
what_is_left() {
    same "what a role asked for stays, with what it needs, and what was there for the step only is gone" \
        "libyaml-0-2 python3-yaml" "$(in_image "dpkg-query --show --showformat '\${Package} ' python3-yaml libyaml-0-2 ansible ansible-core python3-jinja2 2>/dev/null || true" | xargs)"
    in_image "python3 -c 'import yaml; yaml.CLoader'"
    same "dpkg finds everything whole" "" "$(in_image "dpkg --audit; ls /usr/bin/sudo /usr/sbin/ufw 2>/dev/null || true")"
    same "the database was stopped in order" "shut down" \
        "$(in_image "tar --extract --directory /tmp --file /usr/lib/casque/seeds/var/lib/postgresql.tar &&
            /usr/lib/postgresql/15/bin/pg_controldata /tmp/seed/15/main | sed -n 's/^Database cluster state: *//p'")"
    same "the time zone is the playbook's" "Europe/Berlin" "$(in_image "cat /etc/timezone")"
    same "the cron job is there" "@daily /bin/true" "$(in_image "grep --invert-match '^#' /var/spool/cron/crontabs/shop")"
}

in_image() {
    docker run --rm --network none --entrypoint sh "$IMAGE" -c "$1"
}

# The image as services.
what_runs() {
    at_exit "docker volume rm --force $NAME >/dev/null 2>&1"
    at_exit "docker rm --force $NAME >/dev/null 2>&1"
    start
    same "the database has the build's seeds" "42" \
        "$(in_container "setpriv --reuid shop --regid shop --clear-groups psql --no-psqlrc --tuples-only --no-align shop --command 'SELECT answer FROM seeds'")"
    same "the other database has the build's user" "shop.shop" "$(in_container "/srv/shop/venv/bin/python -c '
import pymongo
print(*[user[\"_id\"] for user in pymongo.MongoClient(port=27018).shop.command(\"usersInfo\")[\"users\"]])'")"
    same "the shop runs with the limit of its drop-in, as its user, with its mask" "2048 shop 0027" "$(shop)"
    what_persists
}

start() {
    docker run --detach --name "$NAME" --network none --volume "$NAME:/data" "$IMAGE" >/dev/null
    wait_for 60 "the worker runs" in_container "pgrep --full --uid shop 'sleep infinity' >/dev/null"
    wait_for 60 "the database answers" in_container "pg_isready --quiet"
}

# PostgreSQL knows nothing of the volume: its directory is where it always was.
what_persists() {
    same "what the image had has its owner and mode in the volume" "postgres postgres 700" \
        "$(in_container "stat --format '%U %G %a' /data/persist/var/lib/postgresql/15/main")"
    in_container "setpriv --reuid shop --regid shop --clear-groups psql --quiet shop --command 'UPDATE seeds SET answer = 43'"
    docker rm --force "$NAME" >/dev/null
    start
    same "what the database has written is there in another container" 43 \
        "$(in_container "setpriv --reuid shop --regid shop --clear-groups psql --no-psqlrc --tuples-only --no-align shop --command 'SELECT answer FROM seeds'")"
}

shop() {
    # shellcheck disable=SC2016 # The inner shell's own parameters.
    in_container 'pid=$(pgrep --full "[h]ttp.server"); echo "$(sed -n "s/^Max open files *\([0-9]*\) .*/\1/p" "/proc/$pid/limits")" \
        "$(stat --format %U "/proc/$pid")" "$(sed -n "s/^Umask:.//p" "/proc/$pid/status")"'
}

in_container() {
    docker exec "$NAME" sh -c "$1"
}

main "$@"
