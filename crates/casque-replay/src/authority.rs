//! A certificate authority that exists for one build alone. Its key is never written anywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;

/// What programs see when they look who vouches for a host.
const NAME: &str = "casque build step";

/// Why nobody can vouch for a host.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// TLS does not accept it.
    #[error("cannot use a certificate")]
    Tls(#[source] rustls::Error),
}

/// Vouches for any host to those who trust [`Authority::certificate`].
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for all hosts: they are all this program.
    key: KeyPair,
    hosts: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    /// Makes an authority with new keys.
    ///
    /// # Errors
    /// No random numbers.
    pub fn new() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Certificate)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = name(NAME);
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(AuthorityError::Certificate)?;
        let key = KeyPair::generate().map_err(AuthorityError::Certificate)?;
        Ok(Self { issuer, key, hosts: Mutex::default() })
    }

    /// Returns its certificate in PEM form.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Returns how to be `host` to a client.
    pub(crate) fn of(&self, host: &str) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(host) {
            return Ok(known.clone());
        }
        let config = Arc::new(self.vouch(host)?);
        hosts.insert(host.to_owned(), config.clone());
        Ok(config)
    }

    fn vouch(&self, host: &str) -> Result<ServerConfig, AuthorityError> {
        let names = vec![host.to_owned()];
        let mut params = CertificateParams::new(names).map_err(AuthorityError::Certificate)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name = name(host);
        let signed = params.signed_by(&self.key, &self.issuer).map_err(AuthorityError::Certificate)?;
        let chain = vec![signed.der().clone(), self.issuer.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .map_err(AuthorityError::Tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(AuthorityError::Tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}
