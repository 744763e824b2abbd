//! The certificate: read at the start, and anew when the operator says so.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::error::DepotError;

/// What new connections are accepted with.
pub(crate) struct Certificate(RwLock<TlsAcceptor>);

impl Certificate {
    /// Reads the certificate that the configuration names, if it names one.
    pub(crate) fn read(config: &Config) -> Result<Option<Self>, DepotError> {
        match (&config.tls_certificate, &config.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Self(RwLock::new(acceptor(certificate, key)?)))),
            (one, other) => {
                let path = one
                    .as_ref()
                    .or(other.as_ref())
                    .map_or_else(String::new, |path| path.display().to_string());
                let reason = "`tls-certificate` and `tls-key` belong together, and one is missing".to_owned();
                Err(DepotError::Certificate { path, reason })
            }
        }
    }

    /// Reads the files anew. When they are not good the old ones stay.
    pub(crate) fn renew(&self, config: &Config) -> Result<(), DepotError> {
        if let Some(Self(new)) = Self::read(config)? {
            let new = new.into_inner().unwrap_or_else(PoisonError::into_inner);
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        Ok(())
    }

    /// Returns what the next connection is accepted with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, DepotError> {
    let wrong =
        |path: &Path, reason: String| DepotError::Certificate { path: path.display().to_string(), reason };
    let chain =
        CertificateDer::pem_file_iter(certificate).and_then(|chain| chain.collect::<Result<Vec<_>, _>>());
    let chain = chain.map_err(|error| wrong(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "it holds no certificate in PEM".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| wrong(certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
