//! Pairs made on the spot, whole and broken.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::OffsetDateTime;

use super::*;

const DAY: i64 = 86_400;
const NOW: i64 = 1_800_000_000;

fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

fn params(name: &str, hosts: &[&str], days: i64) -> CertificateParams {
    let mut params =
        CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date(NOW - DAY), date(NOW + days * DAY));
    params
}

/// A server's certificate, its key, and the authority that signed it.
fn signed(hosts: &[&str], days: i64, days_of_the_authority: i64) -> (String, String, String) {
    let mut authority = params("Authority", &[], days_of_the_authority);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own_key = KeyPair::generate().unwrap();
    let own = authority.self_signed(&own_key).unwrap();
    let issuer = Issuer::new(authority, own_key);
    let key = KeyPair::generate().unwrap();
    let server = params("a.example", hosts, days).signed_by(&key, &issuer).unwrap();
    (server.pem(), key.serialize_pem(), own.pem())
}

fn message(chain: &str, key: &str) -> String {
    Pair::read(chain, key).err().expect("this is no pair").to_string()
}

#[test]
fn a_chain_is_good_until_the_first_of_it_ends() {
    let (server, key, authority) = signed(&["a.example"], 90, 30);
    let alone = Pair::read(&server, &key).unwrap();
    let both = Pair::read(&format!("{server}{authority}"), &key).unwrap();
    assert_eq!((alone.not_after, both.not_after), (NOW + 90 * DAY, NOW + 30 * DAY));
    assert_eq!(both.subject, "CN=a.example");
    assert!(both.is_good_at(NOW) && !both.is_good_at(NOW + 31 * DAY) && !both.is_good_at(NOW - 2 * DAY));
    // One file with both, as it is kept.
    assert!(Pair::read(&both.pem, &both.pem).unwrap() == both);
    assert!(server_of(&both.pem));
}

#[test]
fn what_else_is_in_the_files_is_not_kept() {
    let (server, key, authority) = signed(&["a.example"], 90, 30);
    let (other, other_key, _) = signed(&["b.example"], 1, 1);
    let plain = Pair::read(&format!("{server}{authority}"), &key).unwrap();
    for (chain, key) in [
        // Another key before the right one, and certificates beside the key, as other servers want them.
        (format!("{other_key}{server}{authority}"), key.clone()),
        (format!("{server}{authority}"), format!("{key}{server}{authority}{other}")),
        (format!("Bag Attributes\n{server}\r\n{authority}"), format!("\n\n{key}")),
    ] {
        let pair = Pair::read(&chain, &key).unwrap();
        assert!(
            pair == plain
                && server_of(&pair.pem)
                && Pair::read(&pair.pem, &pair.pem).is_ok_and(|again| again == pair)
        );
    }
}

fn server_of(pem: &str) -> bool {
    server(pem).is_ok()
}

#[test]
fn names_are_the_alternative_ones() {
    let (server, key, _) = signed(&["A.example", "*.b.example", "192.0.2.7", "2001:db8::1"], 1, 1);
    let pair = Pair::read(&server, &key).unwrap();
    let hosts = ["a.example", "A.EXAMPLE", "x.b.example", "192.0.2.7", "[2001:db8::1]"];
    assert!(hosts.iter().all(|host| pair.is_for(host)));
    for other in ["b.example", "x.y.b.example", "192.0.2.8", "xa.example", "[2001:db8::2]"] {
        assert!(!pair.is_for(other), "{other}");
    }
}

#[test]
fn what_is_wrong_is_said_and_no_key_shown() {
    let (server, key, authority) = signed(&["a.example"], 1, 1);
    let (other, other_key, _) = signed(&["b.example"], 1, 1);
    assert_eq!(message("", &key), "there is no certificate in PEM");
    assert_eq!(message(&key, &key), "there is no certificate in PEM");
    assert_eq!(message(&server, &server), "there is no private key in PEM");
    assert_eq!(
        message(&server, &other_key),
        "the private key is not that of the certificate (`CN=a.example`)"
    );
    assert_eq!(
        message(&format!("{authority}{server}"), &key),
        "certificate 2 (`CN=a.example`) did not sign the one before it (`CN=Authority`): the server's own comes first, then each that signed the one before"
    );
    // The same names, and another signature.
    let foreign = message(&format!("{server}{}", signed(&[], 1, 1).2), &key);
    assert!(foreign.starts_with("certificate 2 (`CN=Authority`) did not sign"), "{foreign}");
    assert!(message(&format!("{server}{other}"), &key).starts_with("certificate 2 ("));
    let nothing = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    assert_eq!(message(&format!("{server}{nothing}"), &key), "certificate 2 is not one");
    let own_key = KeyPair::generate().unwrap();
    let strange = params("a\nb\u{1b}[2J", &[], 1).self_signed(&own_key).unwrap().pem();
    assert_eq!(
        message(&strange, &key),
        "the private key is not that of the certificate (`CN=a\u{fffd}b\u{fffd}[2J`)"
    );
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAMCAQE=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(message(&server, encrypted).starts_with("the private key is encrypted"));
    let strange = "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n";
    assert!(message(&server, strange).starts_with("the private key is of no use here"));
}
