# An authority of the test's own, and what it signs. Source it.
# shellcheck shell=bash

# Makes DIRECTORY/ca.pem and its key: new_authority DIRECTORY.
new_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=Test Authority" \
        -keyout "$1/ca.key" -out "$1/ca.pem" 2>/dev/null
}

# Makes DIRECTORY/FILE.pem and FILE.key, signed by the authority there, for a host and perhaps more names, as in
# IP:127.0.0.1: new_certificate DIRECTORY FILE HOST [NAME]...
new_certificate() {
    local place=$1/$2 authority=$1/ca host=$3 names=DNS:$3 name
    shift 3
    for name; do
        names+=",$name"
    done
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host" \
        -keyout "$place.key" -out "$place.csr" 2>/dev/null
    openssl x509 -req -in "$place.csr" -CA "$authority.pem" -CAkey "$authority.key" -CAcreateserial -days 20 \
        -extfile <(echo "subjectAltName=$names") -out "$place.pem" 2>/dev/null
}
