#!/usr/bin/env bash
# People in front of a real browser: a customer and the vendor's staff at a depot's pages, with axe-core, a keyboard alone, and
# without scripts. Leaves pictures of every page in dist/depot-pages.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/wait.sh
source tests/wait.sh
# shellcheck source=tests/depot-server.sh
source tests/depot-server.sh

AXE=4.14.1
AXE_SHA512='FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=='

# axe-core is no package of Debian. It is kept in dist, and compared with its digest each time.
axe() {
    local archive=dist/axe-core-$AXE.tgz
    mkdir -p dist/depot-pages
    [[ -f $archive ]] || npm pack --silent --pack-destination dist "axe-core@$AXE" >/dev/null
    [[ "$(openssl dgst -sha512 -binary "$archive" | base64 -w 0)" == "$AXE_SHA512" ]] ||
        die "\`$archive\` is not axe-core $AXE: remove it, and it is fetched anew"
    tar -xzOf "$archive" package/axe.min.js >"$home/axe.js"
}

# A bill of materials of these packages: bill VERSION NAME=VERSION...
bill() {
    local version=$1
    shift
    printf '%s\n' "$@" | jq -Rs --arg version "$version" '
        [split("\n")[] | select(. != "") | split("=")] |
        {spdxVersion: "SPDX-2.3",
         packages: ([{SPDXID: "SPDXRef-Image", name: "vendor/backend", versionInfo: $version}] +
            map({SPDXID: ("SPDXRef-" + .[0]), name: .[0], versionInfo: .[1],
                 externalRefs: [{referenceType: "purl", referenceLocator: ("pkg:deb/debian/" + .[0])}]})),
         relationships: ([{spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: "SPDXRef-Image"}] +
            map({spdxElementId: "SPDXRef-Image", relationshipType: "CONTAINS", relatedSpdxElement: ("SPDXRef-" + .[0])}))}'
}

releases() {
    local same=(libc6=2.36-9 zlib1g=1.2.13 python3=3.11.2 adduser=3.134)
    image v43.4.3 3000000
    bill v43.4.3 "${same[@]}" openssl=3.0.13-1 nginx-light=1.22.1-9 libpcre3=8.39-15 >"$home/docker_backend-v43.4.3.spdx.json"
    release v43.4.3 1 stable 'First release of the year.' "$home/docker_backend-v43.4.3.spdx.json" sbom
    image v43.4.4 3100000
    bill v43.4.4 "${same[@]}" openssl=3.0.15-1 nginx-light=1.22.1-9+deb12u1 libpcre2-8-0=10.42-1 \
        >"$home/docker_backend-v43.4.4.spdx.json"
    printf '%s\n' '<!doctype html><html lang="en"><title>Manual</title><main><h1>Manual</h1>' \
        '<p id="told">Read.</p></main><script>document.getElementById("told").textContent = "Scripts run."</script></html>' \
        >"$home/backend-v43.4.4.html"
    release v43.4.4 2 stable $'Reports are twice as fast.\n\n- The upload says how far it is.\n- <b>Fixed:</b> sums of empty columns.\n\nSettings: new `report-workers` (default 2)' \
        "$home/docker_backend-v43.4.4.spdx.json" sbom "$home/backend-v43.4.4.html" docs
    image v43.5.0-beta1 3200000
    release v43.5.0-beta1 3 beta 'For those who want to try what comes next.'
    image v43.4.2 2900000
    release v43.4.2 4 stable 'An older line.'
    "$DEPOT" release withdraw backend v43.4.2 --reason 'It loses sessions when the clock is set back; take v43.4.4.'
}

people() {
    "$DEPOT" product add reports --title 'Reports'
    "$DEPOT" customer grant acme reports --channel stable --until 2035-12-31 >/dev/null
    "$DEPOT" customer add initech >/dev/null 2>&1
    "$DEPOT" customer grant initech backend --channel stable --from v43 --below v44 --until 2024-12-31 >/dev/null
    "$DEPOT" customer add umbrella >/dev/null 2>&1
    "$DEPOT" customer disable umbrella
    STAFF=$("$DEPOT" staff add anna 2>/dev/null)
}

asked_as() {
    curl -s -o /dev/null -w '%{http_code}' -u "$1" "$HOST/staff/"
}

accounts() {
    local old=$STAFF
    STAFF=$("$DEPOT" staff rotate anna 2>/dev/null)
    same "the old password of staff is worth nothing, and the new one is" "401 200" "$(asked_as "$old") $(asked_as "$STAFF")"
    "$DEPOT" staff disable anna
    same "staff who are disabled see nothing" 403 "$(asked_as "$STAFF")"
    same "they are listed so" 'anna (disabled)' "$("$DEPOT" staff list)"
    "$DEPOT" staff enable anna
    same "and enabled again they do" 200 "$(asked_as "$STAFF")"
    same "who is not there cannot be disabled" "error: cannot disable member of staff \`bob\`
  caused by: there is no member of staff \`bob\`
hint: \`casque-depot staff list\` shows them" "$("$DEPOT" staff disable bob 2>&1)"
}

main() {
    axe
    set_up --title 'The Backend' --run 'docker run -d -p 80:80 -v backend-data:/data vendor/backend:{tag}'
    people
    serve
    releases
    printf '%s\n%s\n' "$LOGIN" "$STAFF" |
        python3 tests/depot_pages.py "$HOST" "$home" dist/depot-pages
    "$DEPOT" audit --actor acme --format csv >"$home/audit.csv"
    grep -q ',download,backend,v43.4.4,docker_backend-v43.4.4.tar,200,3100000,true$' "$home/audit.csv" ||
        die "the download by keyboard is not in the audit"
    accounts
    say "passed: the depot's pages in Chromium"
}

main "$@"
