//! Blocking HTTP and HTTPS with explicit settings.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, Body, Proxy, http};

use crate::FetchError;

/// How often one address is tried.
pub(crate) const ATTEMPTS: u32 = 3;
/// The wait before the second attempt; it doubles.
pub(crate) const FIRST_DELAY: Duration = Duration::from_millis(250);

/// How the network is reached.
#[derive(Debug, Clone)]
pub struct NetworkSettings {
    /// PEM file with the certificates to trust; none means the ones that the system trusts.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy for every request, such as `http://proxy.example.com:3128`. It is asked to connect, also for plain http;
    /// where it does so for port 443 alone, archives need https addresses.
    pub proxy: Option<String>,
    /// Time to connect, to get the head of an answer, and to wait for more of it.
    pub timeout: Duration,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self { ca_bundle: None, proxy: None, timeout: Duration::from_secs(30) }
    }
}

/// A client that keeps connections open between requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    agent: Agent,
}

impl Network {
    /// Reads the certificates and makes a client.
    pub fn new(settings: &NetworkSettings) -> Result<Self, FetchError> {
        let proxy = settings
            .proxy
            .as_ref()
            .map(|proxy| Proxy::new(proxy).map_err(|_| FetchError::Proxy { proxy: proxy.clone() }))
            .transpose()?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&trusted(settings.ca_bundle.as_ref())?))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .http_status_as_error(false)
            .user_agent("casque")
            // A digest is of the bytes as the archive keeps them, so no encoding on the way.
            .accept_encoding("identity")
            .timeout_resolve(Some(settings.timeout))
            .timeout_connect(Some(settings.timeout))
            .timeout_recv_response(Some(settings.timeout))
            .timeout_per_read(Some(settings.timeout))
            .build();
        Ok(Self { agent: config.new_agent() })
    }

    /// Returns what is at `url`, refusing more than `limit` bytes. A failure that may pass is tried again.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut delay = FIRST_DELAY;
        let mut attempt = 1;
        loop {
            let mut bytes = Vec::new();
            let streamed = self.stream(url, limit, &mut |chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            });
            match streamed {
                Ok(_) => return Ok(bytes),
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    thread::sleep(delay);
                    delay *= 2;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands what is at `url` to `sink` piece by piece and returns its size.
    pub(crate) fn stream(
        &self,
        url: &str,
        limit: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<u64, FetchError> {
        let mut response = self.agent.get(url).call().map_err(|error| refused(url, error))?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Err(FetchError::NotFound { url: url.to_owned() }),
            status => return Err(FetchError::Status { url: url.to_owned(), status }),
        }
        let announced = announced_length(&response);
        if announced.is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { url: url.to_owned(), limit });
        }
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 64 * 1024];
        let mut received = 0;
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(FetchError::Truncated { url: url.to_owned(), received, source: Some(error) });
                }
            };
            received += count as u64;
            if received > limit {
                return Err(FetchError::TooLarge { url: url.to_owned(), limit });
            }
            sink(&buffer[..count])?;
        }
        if announced.is_some_and(|length| length > received) {
            return Err(FetchError::Truncated { url: url.to_owned(), received, source: None });
        }
        Ok(received)
    }
}

fn announced_length(response: &http::Response<Body>) -> Option<u64> {
    response.headers().get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn refused(url: &str, error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => FetchError::Url { url: url.to_owned() },
        other => FetchError::Connect { url: url.to_owned(), source: other.into_io() },
    }
}

fn trusted(bundle: Option<&PathBuf>) -> Result<Vec<Certificate<'static>>, FetchError> {
    let Some(path) = bundle else {
        // No certificate at all is no error here: plain http archives need none, and https says so by itself.
        let found = rustls_native_certs::load_native_certs();
        return Ok(found
            .certs
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect());
    };
    let text = fs_err::read(path).map_err(FetchError::CaBundle)?;
    let certificates: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(FetchError::NoCertificates { path: path.clone() });
    }
    Ok(certificates)
}
