//! TLS towards others: by whom the other end has to be vouched for.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

/// By whom the other end has to be vouched for.
#[derive(Debug, Clone)]
pub enum Trust {
    /// By nobody.
    Anybody,
    /// By an authority in this file, in PEM.
    File(PathBuf),
    /// By an authority in `pem`, which messages call `origin`.
    Text {
        /// Certificates.
        pem: String,
        /// Such as a setting's name.
        origin: String,
    },
}

/// Reads whom to trust, each time, since authorities are replaced.
///
/// # Errors
/// Authorities that cannot be read, or are none.
pub fn connector(trust: &Trust) -> io::Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let (pem, origin) = match trust {
        Trust::Anybody => {
            let verifier = Arc::new(Anybody(provider));
            let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
            return Ok(TlsConnector::from(Arc::new(builder.with_no_client_auth())));
        }
        Trust::File(path) => (fs::read(path)?, path.display().to_string()),
        Trust::Text { pem, origin } => (pem.clone().into_bytes(), origin.clone()),
    };
    let mut roots = RootCertStore::empty();
    // One that cannot be used is no reason to trust none of the others.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if roots.is_empty() {
        return Err(io::Error::other(format!("there is no certificate authority in `{origin}`")));
    }
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

/// Returns a host as a certificate has to name it.
///
/// # Errors
/// A host that no certificate can be for.
pub fn name(host: &str) -> io::Result<ServerName<'static>> {
    let other = || io::Error::other(format!("a certificate cannot be for `{host}`"));
    ServerName::try_from(host.to_owned()).map_err(|_| other())
}

/// For a URL that says so itself.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
