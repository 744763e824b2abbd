# A real rsyslog that keeps what it gets. Source it after wait.sh; `work` has to be a directory.
# shellcheck shell=bash

# Starts it for messages over TCP and UDP, on any address of the host, with room for datagrams while others have the
# processor; with PAIR also over TLS, with PAIR.pem and PAIR.key and the authority beside them: receiver_start [PAIR].
# Sets tcp, udp and tls, the ports, and received, a file with a line for each message: severity, facility, time, host,
# service, structured data, text.
receiver_start() {
    PATH=$PATH:/usr/sbin
    [[ -n "$(type -P rsyslogd)" ]] || die "there is no rsyslogd; tests/install-needs.sh test"
    tcp=$(free_port) udp=$(free_port) tls=
    received=${work:?}/received
    : >"$received"
    cat >"$work/rsyslog.conf" <<TEXT
global(workDirectory="$work")
module(load="imudp")
module(load="imtcp")
template(name="fields" type="string" string="%syslogseverity-text% %syslogfacility-text% %timestamp:::date-rfc3339% %hostname% %app-name% %structured-data% %msg%\n")
ruleset(name="keep") { action(type="omfile" file="$received" template="fields") }
input(type="imtcp" port="$tcp" ruleset="keep" streamDriver.mode="0" streamDriver.name="ptcp")
input(type="imudp" port="$udp" ruleset="keep" rcvbufSize="4m")
TEXT
    [[ -z ${1:-} ]] || receiver_speaks_tls "$1"
    at_exit receiver_stop
    receiver_resume
}

receiver_speaks_tls() {
    tls=$(free_port)
    cat >>"$work/rsyslog.conf" <<TEXT
global(defaultNetstreamDriverCAFile="${1%/*}/ca.pem" defaultNetstreamDriverCertFile="$1.pem" defaultNetstreamDriverKeyFile="$1.key")
input(type="imtcp" port="$tls" ruleset="keep" streamDriver.mode="1" streamDriver.name="ossl" streamDriver.authMode="anon")
TEXT
}

# Starts it again, on the same ports.
receiver_resume() {
    rsyslogd -n -f "$work/rsyslog.conf" -i "$work/rsyslog.pid" >>"$work/rsyslog.out" 2>&1 &
    receiver=$!
    wait_for 20 "rsyslogd listens" receiver_listens
}

receiver_listens() {
    local port
    ! process_is_gone "$receiver" || die "rsyslogd ended: $(<"$work/rsyslog.out")"
    for port in "$tcp" ${tls:+"$tls"}; do
        [[ -n "$(ss -Hltn "sport = :$port")" ]] || return 1
    done
    [[ -n "$(ss -Hlun "sport = :$udp")" ]]
}

receiver_stop() {
    [[ -z ${receiver:-} ]] || end_process "$receiver"
    receiver=
}

is_received() {
    grep -qF -- "$1" "$received"
}
