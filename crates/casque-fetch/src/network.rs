//! Blocking HTTP and HTTPS with explicit settings.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, Body, Proxy, http};
use url::Url;

use crate::credentials::{Credentials, plain};
use crate::proxy::Proxies;
use crate::{FetchError, retry};

/// How many redirections lead to a file at most.
const REDIRECTIONS: usize = 10;

/// How the network is reached.
#[derive(Debug, Clone)]
pub struct NetworkSettings {
    /// PEM file with the certificates to trust; none means the ones that the system trusts.
    pub ca_bundle: Option<PathBuf>,
    /// Proxies. They are asked to connect, also for plain http; where one does so for port 443 alone, archives need
    /// https addresses.
    pub proxies: Proxies,
    /// Logins of archives, mirrors and indexes.
    pub credentials: Credentials,
    /// Nothing is asked of anybody.
    pub offline: bool,
    /// Time to connect, to get the head of an answer, and to wait for more of it or until more can be sent.
    pub timeout: Duration,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            ca_bundle: None,
            proxies: Proxies::default(),
            credentials: Credentials::default(),
            offline: false,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A client that keeps connections open between requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    direct: Agent,
    /// For `http` and for `https` addresses.
    proxied: [Option<Agent>; 2],
    proxies: Proxies,
    credentials: Credentials,
    offline: bool,
}

/// Takes each piece of what arrives, with its offset.
pub(crate) type Sink<'a> = dyn FnMut(u64, &[u8]) -> Result<(), FetchError> + 'a;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    /// The `Accept` header.
    pub(crate) accept: Option<&'a str>,
    /// What is here already; a server may know nothing of ranges and begin anew.
    pub(crate) from: u64,
    /// What may come at most, `from` included.
    pub(crate) limit: u64,
}

impl Network {
    /// Reads the certificates and makes a client.
    pub fn new(settings: &NetworkSettings) -> Result<Self, FetchError> {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&trusted(settings.ca_bundle.as_ref())?))
            .build();
        let agent = |proxy| {
            let config = Agent::config_builder()
                .tls_config(tls.clone())
                .proxy(proxy)
                .http_status_as_error(false)
                // Each hop has a login and a proxy of its own, or none.
                .max_redirects(0)
                .user_agent("casque")
                // A digest is of the bytes as the archive keeps them, so no encoding on the way.
                .accept_encoding("identity")
                .timeout_resolve(Some(settings.timeout))
                .timeout_connect(Some(settings.timeout))
                .timeout_recv_response(Some(settings.timeout))
                .timeout_per_read(Some(settings.timeout))
                .timeout_per_write(Some(settings.timeout));
            config.build().new_agent()
        };
        let through = |address: &Option<String>| {
            let Some(address) = address else { return Ok(None) };
            let proxy = Proxy::new(address).map_err(|_| FetchError::Proxy { proxy: plain(address) })?;
            Ok(Some(agent(Some(proxy))))
        };
        let proxies = settings.proxies.clone();
        Ok(Self {
            direct: agent(None),
            proxied: [through(&proxies.http)?, through(&proxies.https)?],
            proxies,
            credentials: settings.credentials.clone(),
            offline: settings.offline,
        })
    }

    /// Returns what asks for `url`: directly or through a proxy.
    pub(crate) fn agent(&self, url: &Url) -> &Agent {
        let proxied = self.proxied[usize::from(url.scheme() == "https")].as_ref();
        proxied.filter(|_| !self.proxies.passes_by(url)).unwrap_or(&self.direct)
    }

    /// Returns the login for `url`, as the header `Authorization` has it.
    pub(crate) fn login(&self, url: &Url) -> Option<String> {
        Some(self.credentials.of(url)?.header())
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Returns what is at `url`, refusing more than `limit` bytes. A failure that may pass is tried again.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.get_accepting(url, None, limit)
    }

    /// Does what [`Network::get`] does, and says in which forms the answer is welcome.
    pub fn get_accepting(&self, url: &str, accept: Option<&str>, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut tries = retry::Tries::default();
        loop {
            let mut bytes = Vec::new();
            let request = Request { url, accept, from: 0, limit };
            let streamed = self.stream(&request, &mut |_, chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            });
            match streamed {
                Ok(_) => return Ok(bytes),
                Err(error) => thread::sleep(tries.wait_after(error)?),
            }
        }
    }

    /// Hands what is asked for to `sink` piece by piece, each with its offset, and returns the whole size.
    pub(crate) fn stream(&self, request: &Request<'_>, sink: &mut Sink<'_>) -> Result<u64, FetchError> {
        let url = plain(request.url);
        let mut response = self.answer(request)?;
        let mut received = match response.status().as_u16() {
            200 => 0,
            206 if request.from > 0 && begins_at(&response) == Some(request.from) => request.from,
            404 | 410 => return Err(FetchError::NotFound { url }),
            status => {
                return Err(FetchError::Status {
                    url,
                    status,
                    retry_after: retry::after(response.headers()),
                });
            }
        };
        let limit = request.limit;
        let announced = announced_length(&response).map(|length| length.saturating_add(received));
        if announced.is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { url, limit });
        }
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FetchError::Truncated { url, received, source: Some(error) }),
            };
            if received + count as u64 > limit {
                return Err(FetchError::TooLarge { url, limit });
            }
            sink(received, &buffer[..count])?;
            received += count as u64;
        }
        if announced.is_some_and(|length| length > received) {
            return Err(FetchError::Truncated { url, received, source: None });
        }
        Ok(received)
    }

    /// Asks, and asks again where a redirection leads to.
    fn answer(&self, request: &Request<'_>) -> Result<http::Response<Body>, FetchError> {
        let asked = plain(request.url);
        if self.offline {
            return Err(FetchError::Offline { url: asked });
        }
        let not_one = || FetchError::Url { url: asked.clone() };
        let mut url = Url::parse(request.url).map_err(|_| not_one())?;
        for _ in 0..=REDIRECTIONS {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(not_one());
            }
            let response = self.ask(&url, request).map_err(|error| refused(&asked, error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let to = response.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok());
            let Some(next) = to.and_then(|to| url.join(to).ok()) else {
                let status = response.status().as_u16();
                return Err(FetchError::Status { url: asked, status, retry_after: None });
            };
            if url.scheme() == "https" && next.scheme() != "https" {
                let host = next.host_str().unwrap_or_default().to_owned();
                return Err(FetchError::Downgrade { url: asked, host });
            }
            url = next;
        }
        Err(FetchError::Redirections { url: asked })
    }

    fn ask(&self, url: &Url, request: &Request<'_>) -> Result<http::Response<Body>, ureq::Error> {
        let agent = self.agent(url);
        // The login goes into a header, so that it is in no address that a message could show.
        let mut call = agent.get(plain(url.as_str()).as_str());
        let own = crate::credentials::Login::of(url);
        if let Some(login) = own.as_ref().or_else(|| self.credentials.of(url)) {
            call = call.header("Authorization", login.header());
        }
        if let Some(accept) = request.accept {
            call = call.header("Accept", accept);
        }
        if request.from > 0 {
            call = call.header("Range", format!("bytes={}-", request.from));
        }
        call.call()
    }
}

fn announced_length(response: &http::Response<Body>) -> Option<u64> {
    response.headers().get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the offset of the first byte in a part of a file.
fn begins_at(response: &http::Response<Body>) -> Option<u64> {
    let range = response.headers().get(http::header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

pub(crate) fn refused(url: &str, error: ureq::Error) -> FetchError {
    let url = url.to_owned();
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => FetchError::Url { url },
        ureq::Error::ConnectProxyFailed(answer) => FetchError::ProxyRefused { url, answer },
        other => FetchError::Connect { url, source: other.into_io() },
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
