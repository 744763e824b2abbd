# A real SMTP server on the host, where containers see it. Source it after instance.sh; instance_prepare comes before.
# shellcheck shell=bash

# Starts it for the user backend with MAIL_PASSWORD: mail_server_start [PAIR], with certificate and key in one file for
# STARTTLS. Sets gateway; its port is in $work/mail-port, what it took in $work/mail.
mail_server_start() {
    local python=dist/test-venv/bin/python
    if ! "$python" -c 'import aiosmtpd, jsonschema, prometheus_client' 2>/dev/null; then
        python3 -m venv dist/test-venv
        "$python" -m pip install --quiet --disable-pip-version-check \
            aiosmtpd==1.4.6 jsonschema==4.26.0 prometheus_client==0.26.0
    fi
    gateway=$(host_address)
    mkdir "${work:?}/mail"
    MAIL_USER=backend MAIL_PASSWORD=$MAIL_PASSWORD MAIL_PAIR=${1:-} \
        "$python" tests/mail_server.py "$gateway" "$work/mail" >"$work/mail-port" 2>"$work/mail.log" &
    at_exit "end_process $!"
    wait_for 20 "the mail server listens" test -s "$work/mail-port"
}

# Prints the address under which containers reach the host. Podman makes its bridge with the first container.
host_address() {
    if [[ $ENGINE == podman ]]; then
        podman run --rm "${image:?}" true >/dev/null 2>&1 || true
        podman network inspect podman | jq -r '.[0].subnets[0].gateway'
    else
        # Not every engine tells the gateway of a network that no container has used yet; its bridge always has it.
        local bridge
        bridge=$(docker network inspect bridge | jq -r '.[0].Options["com.docker.network.bridge.name"]')
        ip -4 -json address show dev "$bridge" | jq -r '.[0].addr_info[0].local'
    fi
}
