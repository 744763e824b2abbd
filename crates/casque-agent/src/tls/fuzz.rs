//! Certificates, keys and authorities that the customer gives. What is taken of them can be used, all else is refused in words.

use casque_format::paths;
use casque_fuzz::fuzz;
use pem::Pem;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::authorities;
use super::client::{Trust, connector};
use super::pair::{Pair, server};
use crate::root::Root;

/// The same key for the same number, so that a failure comes again.
fn key(number: u8) -> KeyPair {
    // PKCS #8 with Ed25519 (RFC 8410, section 7).
    let begin = b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    KeyPair::try_from([&begin[..], &[number; 32]].concat().as_slice()).unwrap()
}

/// A server's certificate, its key, and the authority that signed it; the first and the last in DER.
fn signed(number: u8) -> (Vec<u8>, String, Vec<u8>) {
    let params = |name: &str, hosts: &[&str]| {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut authority = params("Authority", &[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own_key = key(100);
    let own = authority.self_signed(&own_key).unwrap();
    let key = key(number);
    let server = params("a.example", &["a.example", "*.b.example", "192.0.2.7"]);
    let server = server.signed_by(&key, &Issuer::new(authority, own_key)).unwrap();
    (server.der().to_vec(), key.serialize_pem(), own.der().to_vec())
}

fn pem(tag: &str, der: &[u8]) -> String {
    pem::encode(&Pem::new(tag, der))
}

/// Reads a pair, and uses it when it is taken.
fn use_pair(chain: &str, key: &str) {
    match Pair::read(chain, key) {
        Ok(pair) => {
            assert!(server(&pair.pem).is_ok(), "a pair that was taken is served");
            assert!(Pair::read(&pair.pem, &pair.pem).is_ok_and(|again| again == pair), "and is kept");
            for host in ["a.example", "x.b.example", "[::1]", "", "."] {
                pair.is_for(host);
            }
            assert!(!pair.subject.contains(char::is_control), "{:?}", pair.subject);
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
}

#[test]
fn a_certificate_is_served_or_refused_whatever_is_in_it() {
    let (server, key, authority) = signed(1);
    let chain = pem("CERTIFICATE", &authority);
    fuzz("certificate", &[&server, &authority], |der| {
        use_pair(&pem("CERTIFICATE", der), &key);
        use_pair(&format!("{}{chain}", pem("CERTIFICATE", der)), &key);
    });
    let private = pem::parse(&key).unwrap();
    let server = pem("CERTIFICATE", &server);
    fuzz("private key", &[private.contents()], |der| use_pair(&server, &pem("PRIVATE KEY", der)));
}

#[test]
fn a_file_of_certificates_and_keys_is_served_or_refused() {
    let (server, key, authority) = signed(1);
    let (_, other, _) = signed(2);
    let (server, authority) = (pem("CERTIFICATE", &server), pem("CERTIFICATE", &authority));
    // The chain and the key are two files, here with a line between.
    let files = [
        format!("{server}|{key}"),
        format!("{server}{authority}|{key}{server}"),
        format!("{server}{other}|{key}"),
    ];
    fuzz("pair of files", &files.each_ref().map(String::as_bytes), |data| {
        let text = String::from_utf8_lossy(data);
        let (chain, key) = text.split_once('|').unwrap_or((&text, &text));
        use_pair(chain, key);
    });
}

#[test]
fn what_is_trusted_is_whole_whatever_the_customer_put_there() {
    let (server, _, authority) = signed(1);
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path().to_owned());
    fs_err::create_dir_all(root.join(paths::AUTHORITIES)).unwrap();
    let file = root.join(paths::AUTHORITIES).join("own.crt");
    let read = |data: &[u8]| {
        fs_err::write(&file, data).unwrap();
        let mut warnings = Vec::new();
        let bundle = authorities::read(&root, &mut warnings);
        assert!(warnings.iter().all(|line| !line.contains(char::is_control)), "{warnings:?}");
        bundle.map(|bundle| bundle.text)
    };
    let text = pem("CERTIFICATE", &authority);
    assert!(read(text.as_bytes()).is_some());
    fuzz("authorities", &[text.as_bytes(), &authority, pem("CERTIFICATE", &server).as_bytes()], |data| {
        let Some(text) = read(data) else { return };
        assert_eq!(read(text.as_bytes()).as_ref(), Some(&text), "what was taken is taken again");
        assert!(text.contains("BEGIN CERTIFICATE"), "{text:?}");
        let _ = connector(&Trust::Text { pem: text, origin: "here".to_owned() });
    });
}
