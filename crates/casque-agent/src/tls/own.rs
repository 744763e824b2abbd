//! The pair that is made where HTTPS is on and nobody gave one.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use time::OffsetDateTime;

use crate::tls::pair::Pair;

/// Nobody trusts it for its dates, and a new one is one more thing to accept.
const DAYS: i64 = 3650;
/// Clocks differ.
const BEFORE: i64 = 86_400;

/// Makes a pair that signs itself, good from `now` on, for `host` and for whoever asks on this machine.
pub fn make(host: Option<&str>, now: i64) -> Result<Pair, rcgen::Error> {
    let common = host.unwrap_or("localhost");
    let mut hosts = vec![common.trim_matches(['[', ']']).to_owned()];
    hosts.extend(
        ["localhost", "127.0.0.1"].iter().filter(|name| **name != common).map(|name| (*name).to_owned()),
    );
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    let date = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| rcgen::Error::Time);
    params.not_before = date(now - BEFORE)?;
    params.not_after = date(now + DAYS * 86_400)?;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
    Ok(Pair::read(&pem, &pem).expect("what was just made belongs together"))
}
