#!/usr/bin/env bash
# HTTPS of the example: a certificate of its own until one is given, others taken over without losing a request, a wrong
# one left aside, and authorities of the customer's own.
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

usage() {
    cat <<'TEXT'
usage: tests/tls.sh [--engine docker|podman] [--archive FILE]

Serves the example by HTTPS. The engine is docker and the archive dist/docker_backend-latest.tar unless given.
TEXT
}

main() {
    instance_arguments --with-engine "$@"
    instance_prepare "$engine"
    instance_load "$archive"
    certificates
    https_port=$(free_port)
    secure=https://127.0.0.1:$https_port
    instance_start --publish "127.0.0.1:$https_port:443" --env HTTPS=on
    token=$(backend settings get status-token)
    signs_itself
    asked_without_pause
    takes_over_a_given_one
    leaves_a_wrong_one_aside
    notices_a_new_one
    redirects
    no_request_was_lost
    the_agent_answers_while_nginx_does_not
    says_how_long
    trusts_the_customers_authorities
    say "passed: HTTPS with $engine"
}

# An authority, and two servers that it signed.
certificates() {
    new_authority "$work"
    new_certificate "$work" first first.example IP:127.0.0.1
    new_certificate "$work" second second.example IP:127.0.0.1
}

# Prints whose certificate the port serves.
served() {
    openssl s_client -connect "127.0.0.1:$https_port" </dev/null 2>/dev/null | openssl x509 -noout -subject -nameopt RFC2253
}

signs_itself() {
    same "a certificate was made" "subject=CN=localhost" "$(served)"
    warned_of "signs itself" || die "nothing is said of it: $(status_details "$address" "$token")"
    same "the product is served by it" 200 "$(curl -sk -o /dev/null -w '%{http_code}' "$secure/health")"
}

warned_of() {
    status_details "$address" "$token" | jq --exit-status --arg text "$1" '.details.warnings | any(contains($text))' >/dev/null
}

# Puts a certificate and a key where they belong: give CERTIFICATE KEY.
give() {
    engine_write /data/tls/cert.pem <"$work/$1.pem"
    engine_write /data/tls/key.pem <"$work/$2.key"
}

engine_write() {
    "$ENGINE" exec -i "$name" sh -c "umask 077; cat >$1"
}

# Asks by HTTPS over connections of its own, two at a time, until it is told to end.
asked_without_pause() {
    python3 - "$https_port" >"$work/asked" <<'PYTHON' &
import http.client, signal, ssl, sys, threading
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
context = ssl._create_unverified_context()
count = [0, 0]
def ask(place):
    while not ending.is_set():
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), timeout=20, context=context)
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
print("asked", "often" if sum(count) > 20 else sum(count))
PYTHON
    asker=$!
    at_exit "end_process $asker"
}

takes_over_a_given_one() {
    local before
    before=$(pids)
    # What is being sent while nginx is told goes on.
    curl -sk -o /dev/null -w '%{http_code} %{num_connects}' --limit-rate 20k -F "file=@$DATA_SET" "$secure/login" >"$work/slow" &
    local slow=$!
    give first first
    backend reload >"$work/said" || die "the certificate was not taken over: $(cat "$work/said")"
    # nginx's worker from before may take one more connection.
    wait_for 20 "the certificate that was given is served" serves first
    same "it is good for whoever trusts its authority" 200 \
        "$(curl -s --cacert "$work/ca.pem" --resolve "first.example:$https_port:127.0.0.1" -o /dev/null -w '%{http_code}' "https://first.example:$https_port/health")"
    same "no process was started anew" "$before" "$(pids)"
    wait "$slow" || die "a connection broke: $(cat "$work/slow")"
    ! warned_of "signs itself" || die "the status still says that it signs itself"
}

# Nobody says that the files have changed.
leaves_a_wrong_one_aside() {
    give second first
    wait_for 60 "the wrong pair is noticed" warned_of \
        "what is in \`/data/tls\` is not served: the private key is not that of the certificate (\`CN=second.example\`); the certificate from before (\`CN=first.example\`) is"
    same "the one from before is served" "subject=CN=first.example" "$(served)"
    [[ "$(engine_logs "$name" | grep -c 'is not served: the private key')" -gt 0 ]] || die "the log does not say it"
}

notices_a_new_one() {
    give second second
    wait_for 60 "the new pair is served" serves second
}

serves() {
    [[ "$(served)" == "subject=CN=$1.example" ]]
}

redirects() {
    same "nothing is asked of browsers yet" "200 " "$(curl -sk -o /dev/null -w '%{http_code} %header{strict-transport-security}' "$secure/health")"
    backend settings set https-redirect true >/dev/null
    backend settings set hsts 1h >/dev/null
    same "whoever comes by HTTP is sent on" "308 https://127.0.0.1/health?a=b" \
        "$(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' "$address/health?a=b")"
    same "monitors are not" 200 "$(status_code "$address")"
    same "browsers are to come by HTTPS alone" "200 max-age=3600" \
        "$(curl -sk -o /dev/null -w '%{http_code} %header{strict-transport-security}' "$secure/health")"
    backend settings unset https-redirect >/dev/null
}

no_request_was_lost() {
    kill "$asker"
    wait "$asker" || true
    same "no request was lost meanwhile" "asked often" "$(cat "$work/asked")"
}

the_agent_answers_while_nginx_does_not() {
    backend stop nginx
    same "the agent answers by HTTPS" 503 "$(curl -sk -o /dev/null -w '%{http_code}' "$secure/health")"
    same "with the same certificate" "subject=CN=second.example" "$(served)"
    backend start nginx
    same "and nginx does again" 200 "$(curl -sk -o /dev/null -w '%{http_code}' "$secure/health")"
}

says_how_long() {
    same "the status says how long it is good" "tls-certificate CN=second.example 19" \
        "$(status_details "$address" "$token" | jq --raw-output '.details.certificates[] | "\(.setting) \(.subject) \(.days_left)"')"
    same "so do the metrics" 'casque_certificate_days_left{setting="tls-certificate"} 19' \
        "$(curl -s -A "monitor $token" "$address/metrics" | grep '^casque_certificate_days_left')"
}

# The front of the product itself is the server whose certificate they signed.
trusts_the_customers_authorities() {
    local bundle
    asks_the_front && die "it is trusted before its authority is"
    engine_write /data/tls/ca/test.pem <"$work/ca.pem"
    wait_for 90 "services trust the authority" asks_the_front
    wait_for 90 "everything is ready again" status_is_ready "$address"
    # What reads the other two variables is not in this image.
    # shellcheck disable=SC2016 # They are the service's own variables.
    bundle=$(engine_exec "$name" backend exec-as web sh -c 'printf "%s\n" "$CURL_CA_BUNDLE" "$REQUESTS_CA_BUNDLE" "$SSL_CERT_FILE" | uniq')
    engine_exec "$name" cat "$bundle" >"$work/bundle.pem"
    same "curl trusts it, too" 200 \
        "$(CURL_CA_BUNDLE=$work/bundle.pem curl -s -o /dev/null -w '%{http_code}' "$secure/health")"
}

# Asks as a service does, with the verification that Python has from OpenSSL.
asks_the_front() {
    engine_exec "$name" backend exec-as web python3 -c \
        'import urllib.request; urllib.request.urlopen("https://127.0.0.1/health").read()' >/dev/null 2>&1
}

main "$@"
