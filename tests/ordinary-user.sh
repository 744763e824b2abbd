#!/usr/bin/env bash
# An ordinary user builds what root builds: the same bytes, from another place, host and habits. What the user needs and
# lacks is said; a killed build leaves nothing. Needs root, for a throw-away account.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
. tests/wait.sh
# shellcheck source=tests/store.sh
. tests/store.sh

BIN=$PWD/dist/bin
FULL=
ACCOUNT=casque-$$
# What root does in the user's own mounts before the user comes.
AS_ROOT_FIRST=:
# Below the accounts that people have; nobody else's numbers come here.
NUMBERS=${NUMBERS:-1879048192}

main() {
    case "${1:-}" in
        -h | --help)
            say "usage: tests/ordinary-user.sh [--full]"
            say
            say "Builds a small manifest, or with --full examples/backend, as root and as an ordinary user."
            exit 0
            ;;
        --full) FULL=1 ;;
    esac
    [[ $EUID -eq 0 ]] || exec sudo --preserve-env "$0" "$@"
    local home
    home=$(mktemp -d /var/tmp/casque-ordinary.XXXXXX)
    at_exit "rm -rf '$home'"
    # The repository may be where nobody but its owner may look.
    chmod 755 "$home"
    cp -r "$BIN" "$home/bin"
    account "$home"

    project "$home/project"
    mkdir "$home/cache"
    borrow_downloads "$home/cache"
    "$home/bin/casque" --cache "$home/cache" build --output "$home/root.tar" "$home/project" 2>"$home/said" ||
        die "root cannot build: $(cat "$home/said")"
    move_in "$home"

    [[ -n $FULL ]] || lacks_numbers "$home"
    ready "$home"
    as_user "$home" casque build --locked --output b.tar project 2>"$home/said" || die "a user cannot build: $(cat "$home/said")"
    cmp "$home/root.tar" "$home/user/b.tar" || die "root and an ordinary user build different images: $(differing "$home")"
    same "the archive is the user's own" "$ACCOUNT:$ACCOUNT 644" "$(stat -c '%U:%G %a' "$home/user/b.tar")"
    say "ok: root and an ordinary user build the same $(stat -c %s "$home/root.tar") bytes"
    [[ -z $FULL ]] || return 0
    lacks_more "$home"
    keeps_apart "$home"
    killed "$home"
}

# Makes an account without subordinate ids, whatever this host gives new ones.
account() {
    at_exit "userdel $ACCOUNT 2>/dev/null"
    useradd --no-create-home --home-dir "$1/user" --shell /bin/sh "$ACCOUNT"
    sed -i "/^$ACCOUNT:/d" /etc/subuid /etc/subgid
    install -d -m 700 -o "$ACCOUNT" -g "$ACCOUNT" "$1/user" "$1/user/.cache"
}

# Gives the user a copy of the project, with its lock, and of the downloads.
move_in() {
    cp -r "$1/project" "$1/user/project"
    mkdir "$1/user/.cache/casque"
    local name
    for name in store apt pip; do
        [[ ! -d $1/cache/$name ]] || cp -r "$1/cache/$name" "$1/user/.cache/casque/"
    done
    chown -R "$ACCOUNT:$ACCOUNT" "$1/user"
}

# Runs a command of casque's directory with the user's rights and habits: one processor, another host name, umask, limit,
# language and time zone.
as_user() {
    local home=$1 program=$2
    shift 2
    # shellcheck disable=SC2016 # The inner shell's own parameters.
    unshare --uts --mount sh -c '
        hostname elsewhere
        account=$1 home=$2
        eval "$3"
        umask 077
        ulimit -S -n 700
        shift 3
        cd "$home/user"
        exec taskset -c 0 setpriv --reuid "$account" --regid "$account" --init-groups "$@"
    ' sh "$ACCOUNT" "$home" "$AS_ROOT_FIRST" env --ignore-environment PATH=/usr/bin:/bin HOME="$home/user" LANG=de_DE.UTF-8 \
        TZ=Pacific/Chatham SSL_CERT_FILE="${SSL_CERT_FILE:-}" "$home/bin/$program" "$@"
}

lacks_numbers() {
    local code=0
    as_user "$1" casque build project 2>"$1/said" || code=$?
    same "a user without subordinate ids cannot build" 1 "$code"
    same "what is missing is said, and the way out" \
        "error: cannot have root's rights as an ordinary user
  caused by: \`/etc/subuid\` gives user \`$ACCOUNT\` no numbers
  caused by: \`/etc/subgid\` gives user \`$ACCOUNT\` no numbers
hint: run these, or this command with sudo
  sudo usermod --add-subuids 100000-165535 $ACCOUNT    # or another range that nobody has
  sudo usermod --add-subgids 100000-165535 $ACCOUNT    # or another range that nobody has" "$(cat "$1/said")"
    same "\`casque doctor\` says so too" false "$(as_user "$1" casque doctor --json | jq .ready)"
}

ready() {
    usermod --add-subuids "$NUMBERS-$((NUMBERS + 65535))" --add-subgids "$NUMBERS-$((NUMBERS + 65535))" "$ACCOUNT"
    as_user "$1" casque doctor >"$1/said" || die "a user cannot build here: $(cat "$1/said")"
    say "ok: \`casque doctor\` finds nothing missing"
}

# Takes away, one by one, what a host may lack; each time the doctor names it alone.
lacks_more() {
    # shellcheck disable=SC2016 # The parameters are those of the shell that evaluates it.
    local noexec='mount -t tmpfs -o noexec,mode=1777 none "$home/user/.cache"'
    local powerless='cp /usr/bin/newuidmap /tmp/casque-$$ && mount --bind /tmp/casque-$$ /usr/bin/newuidmap && rm /tmp/casque-$$'
    local gone='mount -t tmpfs none /mnt && mkdir /mnt/upper /mnt/work &&
        mount -t overlay -o lowerdir=/usr/bin,upperdir=/mnt/upper,workdir=/mnt/work none /usr/bin && rm /usr/bin/newgidmap'
    missing "$1" "a cache without programs is told" "cache \`$1/user/.cache/casque\` is on a file system mounted \`noexec\`" "$noexec"
    missing "$1" "a program that gives numbers and may not is told" \
        "\`/usr/bin/newuidmap\` has neither the set-user-id bit nor a capability" "$powerless"
    missing "$1" "a missing program that gives numbers is told" "there is no \`newgidmap\`" "$gone"
}

missing() {
    local home=$1 what=$2 expected=$3
    same "$what" "$expected" "$(AS_ROOT_FIRST=$4 as_user "$home" casque doctor --json |
        jq -r '.findings[] | select(.verdict == "missing") | .fact')"
}

# Root does not build on files that have a user's numbers.
keeps_apart() {
    local code=0
    "$1/bin/casque" --cache "$1/user/.cache/casque" build "$1/project" 2>"$1/said" || code=$?
    same "root does not take a user's cache for root's" 2 "$code"
    same "whose cache it is is said" "  caused by: what is in it was made by user $(id -u "$ACCOUNT"), and you are root" \
        "$(grep 'caused by' "$1/said")"
}

# Kills a build in the middle of a step.
killed() {
    local home=$1 shell casque
    cat >>"$home/user/project/casque.toml" <<'END'

[[layer]]
name = "slow"
run = "echo the step runs; setsid sleep 86397 & sleep 86397"
END
    as_user "$home" casque build --output c.tar project >"$home/said" 2>&1 &
    shell=$!
    at_exit "kill -KILL $shell 2>/dev/null"
    wait_for 120 "the step runs" grep -q '| the step runs' "$home/said"
    # What `unshare` started became the user's program by executing, with one number throughout.
    casque=$(pgrep --newest --full "^$home/bin/casque build") || die "no casque runs"
    kill -KILL "$casque"
    wait "$shell" 2>/dev/null || true
    wait_for 20 "every process of the killed build ends" no_process
    say "ok: a killed build of a user leaves no process"
    same "nor a mount" "" "$(grep "$home" /proc/self/mounts || true)"
    [[ -n "$(ls "$home/user/.cache/casque/work")" ]] || die "the build was not killed in the middle"
    cp "$home/project/casque.toml" "$home/user/project/"
    as_user "$home" casque build --output c.tar project 2>"$home/said" || die "no build after a killed one: $(cat "$home/said")"
    cmp "$home/root.tar" "$home/user/c.tar" || die "the build after a killed one is another"
    same "the next build removes what the killed one left" "" "$(ls "$home/user/.cache/casque/work")"
}

no_process() {
    local pid
    for pid in $(pgrep --uid "$ACCOUNT"; pgrep --full '^sleep 86397$'); do
        process_is_gone "$pid" || return 1
    done
}

# Everything that numbers, rights and overlays make difficult.
project() {
    if [[ -n $FULL ]]; then
        cp -r examples/backend "$1"
        return
    fi
    mkdir "$1"
    cat >"$1/casque.toml" <<'END'
[image]
name = "vendor/ordinary"
version = "1.0.0"
command = "ordinary"
expose = [80]

[base]
distribution = "debian"
suite = "bookworm"

[[layer]]
name = "packages"
packages = ["iputils-ping", "cron"]

[[layer]]
name = "deploy"
run = """
test "$(getcap /bin/ping)" = '/bin/ping cap_net_raw=ep'
cp -a /bin/ping /opt/ping
test "$(id)" = 'uid=0(root) gid=0(root) groups=0(root)'
(umask; ulimit -n; uname -n) >/opt/habits
mkdir /opt/app && chown daemon:adm /opt/app && chmod 2750 /opt/app
rm -rf /usr/share/doc/cron && mkdir /usr/share/doc/cron && echo new >/usr/share/doc/cron/note
rm /etc/cron.d/e2scrub_all
mv /etc/cron.daily /etc/cron.sometimes
useradd --system --create-home worker
su worker -s /bin/sh -c 'echo mine >~/file; chmod 4755 ~/file'
echo a >/opt/a && ln /opt/a /opt/b && chown nobody:nogroup /opt/a
mkfifo /opt/fifo
ln -s nowhere /opt/link && chown --no-dereference games /opt/link
"""

[service.sleeper]
command = ["/bin/sleep", "infinity"]
END
}

# Prints the blobs that only one of the two has.
differing() {
    comm -3 <(tar -tf "$1/root.tar" | sort) <(tar -tf "$1/user/b.tar" | sort) | xargs
}

main "$@"
