#!/usr/bin/env bash
# An update on the customer's volume: what is wrong with the settings is told before the switch, a migration that fails leaves
# the version before able to start, one that ends well runs once, and then there is no way back to an older version.
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

# PID 1's code for a volume, and the agent's for settings and for something to change.
REFUSED=102 WRONG=100 OUTDATED=3

usage() {
    cat <<'TEXT'
usage: tests/update.sh [--archive FILE]

Runs the example backend on docker with real data, then the version after it on the same volume, and the one before again. The
archive is dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    instance_arguments "$@"
    instance_prepare docker
    instance_load "$archive"
    before=$image next=casque-test-next:$$ jar=$work/cookies
    make_next
    use_before
    settings_are_told_before_the_switch
    failing_migration_leaves_the_volume
    update_keeps_everything
    no_way_back
    say "passed: an update on docker"
}

# The next version has another number, one step of migration more, one setting renamed and one gone. It is made from this one
# where it lies: the playbook would leave the same, and take minutes for it.
make_next() {
    at_exit "docker image rm --force '$next' >/dev/null 2>&1"
    at_exit "docker rm --force '$name-next' >/dev/null 2>&1"
    docker run --interactive --name "$name-next" --entrypoint /usr/bin/python3 "$before" - <<'PYTHON'
import json, pathlib

plan = pathlib.Path("/usr/lib/casque/plan.json")
content = json.loads(plan.read_text())
content["product"]["version"] = "43.10.0"
settings = content["settings"]
settings["web-processes"] = {**settings.pop("web-workers"), "renamed-from": ["web-workers"]}
del settings["mail-to"]
plan.write_text(json.dumps(content))
marked = pathlib.Path("/usr/lib/casque/templates/etc/backend/backend.ini")
text = marked.read_text().replace("@casque{web-workers", "@casque{web-processes")
marked.write_text("".join("to =\n" if "@casque{mail-to" in line else line for line in text.splitlines(True)))
program = pathlib.Path("/opt/backend/app/backend/migrate.py")
program.write_text(program.read_text().replace("STEPS = [note_sizes]", '''
def note_digests(database):
    """Notes with each data set the digest of its file."""
    for dataset in database.datasets.find({"sha256": None}, {"name": 1}):
        file = database.uploads.files.find_one({"_id": dataset["_id"]})
        if file is None:
            raise MigrationError(f"the file of data set {dataset['_id']}, `{dataset['name']}`, is missing")
        content = store.files().open_download_stream(dataset["_id"]).read()
        digest = __import__("hashlib").sha256(content).hexdigest()
        database.datasets.update_one({"_id": dataset["_id"]}, {"$set": {"sha256": digest}})


STEPS = [note_sizes, note_digests]'''))
# Bytecode of an image is not compared with its source.
for compiled in program.parent.glob("__pycache__/migrate.*"):
    compiled.unlink()
PYTHON
    docker commit --change 'ENTRYPOINT ["/usr/lib/casque/init"]' --change 'CMD []' "$name-next" "$next" >/dev/null
    docker rm "$name-next" >/dev/null
}

use_before() {
    instance_start
    local first
    password=$(openssl rand -hex 16)
    first=$(engine_exec "$name" backend settings get admin-password)
    log_in "$address" "$jar" "$first" >/dev/null
    same "the password is changed" 200 "$(change_password "$address" "$jar" "$first" "$password")"
    report=$(upload "$address" "$jar" "$DATA_SET")
    wait_for 60 "the report is ready" read_report "$address" "$jar" "$report" "$work/report"
    as_application 'reports.database().datasets.insert_one({"name": "lost.csv", "bytes": 1, "created": datetime.now()})'
    secrets=$(secrets_of)
    engine_exec "$name" backend settings set web-workers 3
    engine_exec "$name" backend settings set mail-to owner@customer.example
    # A name is told to whoever comes second.
    local code=0
    docker run --rm --volume "$volume:/data" "$before" >"$work/second" || code=$?
    same "a second container on the volume is refused" "$REFUSED" "$code"
    same "in one line that names the first" \
        "casque | another container \`$(docker inspect --format '{{.Config.Hostname}}' "$name")\` uses this volume; stop it first, or start this one with a volume of its own" \
        "$(<"$work/second")"
    same "and the first goes on" 200 "$(status_code "$address")"
    same "the version before stops in order" 0 "$(engine_stop "$name")"
}

# Runs a line of Python with what the application has.
as_application() {
    engine_exec --interactive "$name" backend exec-as web /opt/backend/venv/bin/python - <<PYTHON
from datetime import datetime
from backend import reports, store
$1
PYTHON
}

# Prints a digest of every generated secret.
secrets_of() {
    docker run --rm --volume "$volume:/data" --entrypoint sh "$before" -c 'cd /data/casque/secrets && sha256sum *'
}

settings_are_told_before_the_switch() {
    local code=0
    check || code=$?
    [[ $code -eq $WRONG ]] || cat "$work/checked" >&2
    same "a setting that is gone is told before the switch" "$WRONG" "$code"
    grep -q 'mail-to' "$work/checked" || die "nothing is said of mail-to: $(<"$work/checked")"
    docker run --rm --volume "$volume:/data" "$before" settings unset mail-to
    code=0
    check || code=$?
    same "one that is renamed is a warning" "$OUTDATED" "$code"
    grep -q 'web-processes' "$work/checked" || die "nothing is said of web-processes: $(<"$work/checked")"
}

check() {
    docker run --rm --volume "$volume:/data" "$next" settings check >"$work/checked" 2>&1
}

# One data set has lost its file, which the step of the next version does not bear.
failing_migration_leaves_the_volume() {
    docker rm "$name" >/dev/null
    engine_run "$name" "$port" "$volume" "$next"
    same "a migration that fails ends the container with its code" 1 "$(docker wait "$name")"
    # shellcheck disable=SC2016 # The message's own backticks.
    engine_logs "$name" >"$work/failed"
    grep -q 'migrate | error: cannot migrate: the file of data set .*lost.csv' "$work/failed" || die "it does not say why"
    ! grep -q '^web | ' "$work/failed" || die "the application ran on data that were not migrated"
    docker rm "$name" >/dev/null
    instance_start
    same "the version before has its data" 200 "$(log_in "$address" "$jar" "$password")"
    read_report "$address" "$jar" "$report" "$work/again"
    same "and its report" "$(<"$work/report")" "$(<"$work/again")"
    as_application 'reports.database().datasets.delete_one({"name": "lost.csv"})'
    engine_stop "$name" >/dev/null
    docker rm "$name" >/dev/null
}

update_keeps_everything() {
    image=$next instance_start
    same "the migration ran" 1 "$(engine_logs "$name" | grep -c 'migrate | steps of migration done: 1')"
    same "the data are there" "$(csv_totals "$DATA_SET")" "$(totals_after_update)"
    same "the migration has noted the digest" "$(sha256sum <"$DATA_SET" | cut -d ' ' -f 1)" \
        "$(as_application 'print(*[each["sha256"] for each in reports.database().datasets.find()])')"
    same "the secrets are the same" "$secrets" "$(secrets_of)"
    same "a renamed setting keeps its value" 3 \
        "$(engine_exec "$name" backend settings --json | jq -r '.[] | select(.name == "web-processes").value')"
    same "it stops in order" 0 "$(engine_stop "$name")"
    docker start "$name" >/dev/null
    wait_for 180 "it is ready again" status_is_ready "$address"
    same "the migration ran once" 1 "$(engine_logs "$name" | grep -c 'migrate | ')"
    engine_stop "$name" >/dev/null
    docker rm "$name" >/dev/null
}

totals_after_update() {
    log_in "$address" "$jar" "$password" >/dev/null
    read_report "$address" "$jar" "$report" "$work/again"
    report_totals "$work/again"
}

no_way_back() {
    engine_run "$name" "$port" "$volume" "$before"
    same "the version before is refused" "$REFUSED" "$(docker wait "$name")"
    same "in one line, before anything starts" \
        "prepare | error: volume \`/data\` has data of \`$REPOSITORY\` 43.10.0, this is $VERSION; start version 43.10.0 or newer, or restore a backup that $VERSION made" \
        "$(engine_logs "$name" | grep -v '^casque | ')"
}

main "$@"
