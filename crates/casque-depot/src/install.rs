//! `install.sh` of a product: short enough that a security team reads it.

use crate::app::Depot;
use crate::choice::Asked;
use crate::error::DepotError;
use crate::records::Found;

/// What stands in for what a depot knows.
const SCRIPT: &str = r#"#!/usr/bin/env bash
# Downloads the newest image of @PRODUCT@ (channel @CHANNEL@), verifies it and loads it. Resumes where it was cut off.
# Needs curl, sha256sum and docker; with minisign the vendor's signature is verified, too.
set -euo pipefail

url='@URL@'
latest='@LATEST@'
keys=(@KEYS@)

: "${DEPOT_USER:?is missing: export DEPOT_USER and DEPOT_PASSWORD}" "${DEPOT_PASSWORD:?is missing}"
get() { # the password is in no argument, so that no list of processes shows it
    curl --fail --silent --show-error --config <(printf 'user = "%s:%s"\n' "$DEPOT_USER" "$DEPOT_PASSWORD") "$@"
}

head=$(get --head "$url/$latest" | tr -d '\r')
file=$(sed -n 's/^casque-file: //ip' <<<"$head")
size=$(sed -n 's/^content-length: //ip' <<<"$head")
[[ $file =~ ^[A-Za-z0-9][A-Za-z0-9._+~-]*$ && $size =~ ^[0-9]+$ ]] || { echo "error: no answer from $url" >&2; exit 1; }

have=$(stat -c %s "$file.part" 2>/dev/null || echo 0)
free=$(df --output=avail -B1 . | tail -n 1)
if ((free < size - have)); then
    echo "error: $file needs $((size - have)) bytes more here, and $free are free" >&2
    exit 1
fi
((have == size)) || get --no-silent --retry 5 --continue-at - --output "$file.part" "$url/$file"
sum=$(get "$url/$file.sha256" | cut -d ' ' -f 1)
sha256sum --check --status <<<"$sum  $file.part" || { rm "$file.part"; echo "error: $file is damaged; run this again" >&2; exit 1; }
if [[ -n $(type -P minisign) ]] && get --output "$file.minisig" "$url/$file.minisig"; then
    verified=
    for key in "${keys[@]}"; do minisign -VQ -P "$key" -m "$file.part" -x "$file.minisig" && verified=$key && break; done
    [[ -n $verified ]] || { echo "error: $file is not signed by the vendor" >&2; exit 1; }
fi
mv "$file.part" "$file"
docker load --input "$file"
echo 'run it with: @RUN@'
"#;

/// Returns the script of a channel whose newest image was found, for the address by which the client reached the depot.
pub(crate) fn script(
    depot: &Depot,
    found: &Found,
    channel: &str,
    latest: &str,
    asked: &Asked,
) -> Result<String, DepotError> {
    let product = asked.wanted.product.as_str();
    let run = depot.records.product(product)?.map(|product| run_line(&product.run, &found.release));
    let keys: Vec<String> =
        depot.records.keys(product)?.into_iter().map(|key| format!("'{}'", key.line)).collect();
    let address = address(depot, asked.host.as_deref());
    Ok(SCRIPT
        .replace("@PRODUCT@", product)
        .replace("@CHANNEL@", channel)
        .replace("@LATEST@", latest)
        .replace("@KEYS@", &keys.join(" "))
        .replace("@RUN@", &run.unwrap_or_default().replace('\'', r"'\''"))
        .replace("@URL@", &format!("{address}/{product}/{channel}")))
}

/// Returns the line that runs a release: `{tag}` stands for its version, and `{version}` for that without a tag's `v`.
pub(crate) fn run_line(run: &str, release: &str) -> String {
    let version = release.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    run.replace("{tag}", release).replace("{version}", version.unwrap_or(release))
}

/// Returns where the depot is: as configured, or else by the name that the client used.
pub(crate) fn address(depot: &Depot, host: Option<&str>) -> String {
    if let Some(address) = &depot.config.address {
        return address.trim_end_matches('/').to_owned();
    }
    let plain = |host: &&str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    let scheme = if depot.config.tls_certificate.is_some() { "https" } else { "http" };
    let listen = depot.config.listen.to_string();
    format!("{scheme}://{}", host.filter(plain).unwrap_or(&listen))
}
