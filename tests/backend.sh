# A customer of the example backend: reads its status, logs in, uploads a data set, reads its report. Source it after
# wait.sh; every function takes the address of the backend, such as http://127.0.0.1:8080, first.
# shellcheck shell=bash

# Prints the HTTP code of the status, 000 when nobody answers: status_code ADDRESS [CURL-ARGUMENT...]
status_code() {
    local address=$1
    shift
    curl -s -o /dev/null -w '%{http_code}' --max-time 5 "$@" "$address/status" || true
}

status_answers() {
    [[ "$(status_code "$1")" == @(200|503) ]]
}

status_is_ready() {
    [[ "$(status_code "$1")" == 200 ]]
}

# Prints the status with its details: status_details ADDRESS TOKEN. A 503 is an answer like any other.
status_details() {
    curl -sS --max-time 5 -A "monitor $2" "$1/status"
}

# Posts a JSON document read from stdin, the cookies in JAR read and written; prints the HTTP code: post ADDRESS JAR PATH.
# Secrets travel through stdin, never through an argument vector.
post() {
    curl -s -o /dev/null -w '%{http_code}' --max-time 30 -b "$2" -c "$2" \
        -H 'Content-Type: application/json' --data-binary @- "$1$3" || true
}

# Begins a session: log_in ADDRESS JAR PASSWORD. Prints the HTTP code.
log_in() {
    jq --null-input --arg password "$3" '{user: "admin", $password}' | post "$1" "$2" /login
}

# Changes the password of the session: change_password ADDRESS JAR CURRENT NEW. Prints the HTTP code.
change_password() {
    jq --null-input --arg current "$3" --arg new "$4" '{$current, $new}' | post "$1" "$2" /password
}

# Prints the HTTP code of a page: page_code ADDRESS JAR PATH.
page_code() {
    curl -s -o /dev/null -w '%{http_code}' --max-time 30 -b "$2" "$1$3" || true
}

# Uploads a data set: upload ADDRESS JAR FILE. Prints the path of its report.
upload() {
    curl -fsS --max-time 60 -b "$2" -H 'Content-Type: text/csv' --data-binary "@$3" \
        "$1/datasets?name=$(basename "$3")" | jq --exit-status --raw-output .report
}

# Reads a report into a file: read_report ADDRESS JAR PATH FILE. Says no until it is ready.
read_report() {
    curl -fsS --max-time 30 -b "$2" -o "$4" "$1$3" && jq --exit-status '.state == "ready"' "$4" >/dev/null
}

# Prints a report's totals, one line each: what, rows, quantity, cents.
report_totals() {
    jq --raw-output '
        ({name: "total"} + .total, (.groups | to_entries[] | .key as $kind | .value[] | .name |= "\($kind) \(.)"))
        | [.name, .rows, .quantity, .amount_cents] | @tsv' "$1" | LC_ALL=C sort
}

# Prints the same of the data set itself, by a program that shares nothing with the backend.
csv_totals() {
    awk -F, '
        NR > 1 && NF {
            sub(/\r$/, "")
            cents = $4 * $5
            split("total|region " $2 "|product " $3 "|month " substr($1, 1, 7), keys, "|")
            for (i in keys) { rows[keys[i]]++; quantity[keys[i]] += $4; amount[keys[i]] += cents }
        }
        END { for (key in rows) printf "%s\t%.0f\t%.0f\t%.0f\n", key, rows[key], quantity[key], amount[key] }
    ' "$1" | LC_ALL=C sort
}
