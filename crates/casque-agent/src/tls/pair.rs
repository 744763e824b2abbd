//! A certificate with its chain and its key: whether they belong together, for whom and how long.

use std::net::IpAddr;
use std::sync::Arc;

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// Why a pair cannot be served.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PairError {
    /// No certificate at all.
    #[error("there is no certificate in PEM")]
    NoCertificate,
    /// One that cannot be read.
    #[error("certificate {0} is not one")]
    NotOne(usize),
    /// One that did not sign the one before it.
    #[error(
        "certificate {number} (`{subject}`) did not sign the one before it (`{before}`): the server's own comes first, then each that signed the one before"
    )]
    Chain {
        /// Counted from 1.
        number: usize,
        /// Whose it is.
        subject: String,
        /// Whose the one before it is.
        before: String,
    },
    /// No key at all.
    #[error("there is no private key in PEM")]
    NoKey,
    /// A key behind a passphrase.
    #[error(
        "the private key is encrypted, and nobody is there to type its passphrase: `openssl pkey -in KEY -out PLAIN` decrypts it"
    )]
    Encrypted,
    /// A key of a kind or length that nothing here can use.
    #[error(
        "the private key is of no use here: RSA of 2048 bits or more, ECDSA with P-256 or P-384 and Ed25519 are"
    )]
    Key,
    /// A key and a certificate that do not belong together.
    #[error("the private key is not that of the certificate (`{subject}`)")]
    Apart {
        /// Whose the certificate is.
        subject: String,
    },
}

/// A pair that can be served.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// Chain and key in PEM, and nothing else of what was given: read again, it is the same pair.
    pub pem: String,
    /// Whose it is.
    pub subject: String,
    /// When the last of the chain begins, in seconds since 1970.
    pub not_before: i64,
    /// When the first of the chain ends.
    pub not_after: i64,
    /// Hosts that it is for, small letters.
    names: Vec<String>,
    /// Addresses that it is for.
    addresses: Vec<IpAddr>,
}

impl Pair {
    /// Reads a chain and a key, which may be one text.
    ///
    /// # Errors
    /// What is wrong with them; never a piece of the key.
    pub fn read(chain: &str, key: &str) -> Result<Self, PairError> {
        let ders = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
        let ders = ders.map_err(|_| PairError::NoCertificate)?;
        let certificates = (1..).zip(&ders).map(|(number, der)| match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Ok(certificate),
            Err(_) => Err(PairError::NotOne(number)),
        });
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        let own = certificates.first().ok_or(PairError::NoCertificate)?;
        signed_in_order(&certificates)?;
        let subject = shown(own.subject());
        let key = belongs(key, &ders, &subject)?;
        let validities = certificates.iter().map(|certificate| certificate.validity());
        let (names, addresses) = names(own);
        Ok(Self {
            pem: encoded(&ders, &key),
            subject,
            not_before: validities.clone().map(|all| all.not_before.timestamp()).max().unwrap_or(i64::MIN),
            not_after: validities.map(|all| all.not_after.timestamp()).min().unwrap_or(i64::MAX),
            names,
            addresses,
        })
    }

    /// Says whether it is good at this time, seconds since 1970.
    pub fn is_good_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Says whether it is for this host, as browsers do: by its alternative names alone (RFC 9525).
    pub fn is_for(&self, host: &str) -> bool {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.to_lowercase();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => parent == Some(domain),
            None => *name == host,
        })
    }
}

/// Returns what serves a pair that was read before.
///
/// # Errors
/// A text that is no such pair.
pub fn server(pem: &str) -> Result<Arc<ServerConfig>, PairError> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| PairError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| PairError::NoKey)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| PairError::Key)?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.map_err(|_| PairError::Key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn signed_in_order(certificates: &[X509Certificate]) -> Result<(), PairError> {
    for (index, two) in certificates.windows(2).enumerate() {
        let [before, signer] = two else { continue };
        let signed =
            before.issuer() == signer.subject() && before.verify_signature(Some(signer.public_key())).is_ok();
        if !signed {
            let (subject, before) = (shown(signer.subject()), shown(before.subject()));
            return Err(PairError::Chain { number: index + 2, subject, before });
        }
    }
    Ok(())
}

/// Returns a name in one line, whatever is in it.
pub(super) fn shown(name: &X509Name<'_>) -> String {
    name.to_string().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn belongs(
    key: &str,
    chain: &[CertificateDer<'static>],
    subject: &str,
) -> Result<PrivateKeyDer<'static>, PairError> {
    if key.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || key.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(PairError::Encrypted);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| PairError::NoKey)?;
    let signing = ring::sign::any_supported_type(&key).map_err(|_| PairError::Key)?;
    let apart = || PairError::Apart { subject: subject.to_owned() };
    CertifiedKey::new(chain.to_vec(), signing).keys_match().map_err(|_| apart())?;
    Ok(key)
}

fn encoded(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> String {
    let tag = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let certificates = chain.iter().map(|der| Pem::new("CERTIFICATE", der.as_ref()));
    let all = certificates.chain([Pem::new(tag, key.secret_der())]);
    all.map(|one| pem::encode_config(&one, EncodeConfig::new().set_line_ending(LineEnding::LF))).collect()
}

fn names(certificate: &X509Certificate) -> (Vec<String>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    for name in alternatives.iter().flat_map(|alternatives| &alternatives.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.push(name.to_lowercase()),
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                addresses.extend(four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)));
            }
            _ => {}
        }
    }
    (names, addresses)
}

#[cfg(test)]
mod tests;
