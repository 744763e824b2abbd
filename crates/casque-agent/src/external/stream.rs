//! A connection to an external service, encrypted where its URL asks for it.

use std::net::SocketAddr;
use std::sync::Arc;

use fs_err as fs;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{Refusal, Target, Trust};
use crate::names;

/// What is read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

/// Connects to the first address of the host that answers.
///
/// # Errors
/// Names that are not known, addresses that do not answer, certificates that prove nothing.
pub async fn open(target: &Target, trust: &Trust, host: &str, port: u16) -> Result<Box<dyn Duplex>, Refusal> {
    if host.starts_with('/') {
        let stream = UnixStream::connect(host).await;
        return stream
            .map(|stream| Box::new(stream) as _)
            .map_err(|error| Refusal::passing(error.to_string()));
    }
    let addresses = names::addresses(host, port).await;
    let addresses = addresses.map_err(|error| Refusal::passing(error.to_string()))?;
    let (stream, address) = connect(&addresses, host).await?;
    if !target.is_secure() {
        return Ok(Box::new(stream));
    }
    let reached =
        if host == address.ip().to_string() { String::new() } else { format!(" at {}", address.ip()) };
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| Refusal::lasting("a certificate cannot be for this name"))?;
    let connector = TlsConnector::from(Arc::new(configuration(target, trust)?));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        // What the other end sends while it comes up is no TLS either.
        Err(error) => Err(Refusal::passing(format!("reached{reached}, but no TLS with it: {error}"))),
    }
}

async fn connect(addresses: &[SocketAddr], host: &str) -> Result<(TcpStream, SocketAddr), Refusal> {
    let mut reasons = Vec::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) if address.ip().to_string() == host => reasons.push(error.to_string()),
            Err(error) => reasons.push(format!("{}: {error}", address.ip())),
        }
    }
    if reasons.is_empty() {
        reasons.push("it has no address".to_owned());
    }
    Err(Refusal::passing(reasons.join(", ")))
}

fn configuration(target: &Target, trust: &Trust) -> Result<ClientConfig, Refusal> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Refusal::lasting(error.to_string()))?;
    if target.trusts_anybody() {
        let verifier = Arc::new(Anybody(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let own = ["tlscafile", "ssl_ca_certs"].iter().find_map(|name| target.options.get(*name));
    let file = own.map_or_else(|| trust.authorities.clone(), Into::into);
    let unreadable = |reason: String| Refusal::lasting(format!("no certificate authorities: {reason}"));
    let text = fs::read(&file).map_err(|error| unreadable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    // One that cannot be used is no reason to trust none of the others.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    if roots.is_empty() {
        return Err(unreadable(format!("none is in `{}`", file.display())));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
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
