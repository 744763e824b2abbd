//! The depot as a service: its parts, and which address is answered by what.

use std::any::Any;
use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, head};
use casque_format::digest::Digest;
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::attempts::Attempts;
use crate::access::passwords::Passwords;
use crate::answer::Answer;
use crate::audit::Audit;
pub use crate::audit::Writer;
use crate::bill::Differences;
use crate::config::Config;
use crate::error::DepotError;
use crate::metrics::Metrics;
use crate::pages::{customer, staff};
use crate::records::Records;
use crate::storage::Storage;
use crate::{builds, download, health, pages, publish, upload};

/// Everything that answering a request takes.
pub struct Depot {
    pub(crate) config: Config,
    pub(crate) records: Records,
    pub(crate) storage: Storage,
    pub(crate) passwords: Passwords,
    pub(crate) attempts: Attempts,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) bills: Differences,
    /// Uploads that go on, each by its product and digest.
    pub(crate) uploading: Mutex<HashSet<(String, Digest)>>,
    clock: fn() -> SystemTime,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

impl Depot {
    /// Opens what the configuration names. The writer ends when the depot is dropped.
    pub fn open(config: Config, clock: fn() -> SystemTime) -> Result<(Arc<Self>, Writer), DepotError> {
        fs_err::create_dir_all(&config.data).map_err(DepotError::File)?;
        let storage = Storage::disk(&config.data)?;
        let records = Records::open(&config.data)?;
        let (audit, writer) = Audit::start(&records)?;
        let depot = Self {
            config,
            records,
            storage,
            passwords: Passwords::new()?,
            attempts: Attempts::default(),
            audit,
            metrics: Arc::default(),
            bills: Differences::default(),
            uploading: Mutex::default(),
            clock,
        };
        Ok((Arc::new(depot), writer))
    }

    /// Returns the records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Returns the files.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Returns the numbers.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns how many passwords were judged by a hash.
    pub fn judged(&self) -> u64 {
        self.passwords.judged()
    }

    /// Returns the time, in seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        seconds((self.clock)())
    }

    /// Does what may wait for a disk, on a thread that may.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Answer> + Send + 'static,
    ) -> Result<T, Answer> {
        let depot = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&depot)).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "work for a request panicked");
                self.metrics.panics.fetch_add(1, Ordering::Relaxed);
                Err(Answer::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the depot made a mistake; its log has more",
                ))
            }
        }
    }

    /// Returns who asks: of a proxy that is known, whom it asks for.
    pub(crate) fn address(&self, request: &Request) -> IpAddr {
        let peer =
            request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        forwarded(peer.to_canonical(), request.headers(), &self.config.proxies)
    }
}

/// Returns a time in seconds since 1970.
pub fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn forwarded(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    let proxies: BTreeSet<&IpAddr> = proxies.iter().collect();
    let mut address = peer;
    let chain = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = chain.flat_map(|value| value.split(',')).map(str::trim).collect();
    // From the nearest on, as long as each was put there by somebody who is believed.
    for next in chain.iter().rev() {
        if !proxies.contains(&address) {
            break;
        }
        let Ok(next) = next.parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

/// Returns what answers requests.
pub fn router(depot: Arc<Depot>) -> Router {
    let panicking = Arc::clone(&depot.metrics);
    Router::new()
        .route("/", get(customer::products))
        .route("/static/depot.css", get(pages::style))
        .route("/static/icon.svg", get(pages::icon))
        .route("/staff", get(staff::to_staff))
        .route("/staff/", get(staff::overview))
        .route("/staff/releases/", get(staff::releases))
        .route("/staff/customers/", get(staff::customers))
        .route("/staff/downloads/", get(staff::downloads))
        .route("/staff/{*rest}", get(staff::nothing))
        .route("/healthz", get(health::healthz))
        .route("/metrics", get(health::metrics))
        .route(
            "/api/v1/{product}/blobs/{digest}",
            head(upload::offset).get(builds::file).patch(upload::append),
        )
        .route("/api/v1/{product}/releases", get(builds::releases).post(publish::publish))
        .route("/api/v1/{product}/releases/{release}", get(builds::release))
        // An address of a page ends with a slash, and no file's does.
        .route("/{product}", get(customer::to_product))
        .route("/{product}/", get(customer::product))
        .route("/{product}/{release}/", get(customer::release))
        .route("/{product}/{release}/docs/", get(customer::documentation))
        .route("/{product}/{channel}/latest/", get(customer::latest))
        .route("/{product}/{channel}/latest/docs/", get(customer::latest_documentation))
        .route("/{product}/{file}", get(download::of_product))
        .route("/{product}/{channel}/{file}", get(download::of_channel))
        .fallback(|| async { Answer::not_found() })
        .layer(CatchPanicLayer::custom(move |panic: Box<dyn Any + Send>| {
            panicking.panics.fetch_add(1, Ordering::Relaxed);
            let words = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(panic = words, "a request panicked");
            Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "the depot made a mistake; its log has more")
                .into_response()
        }))
        .layer(middleware::from_fn(pages::for_people))
        .layer(middleware::from_fn_with_state(Arc::clone(&depot), observe))
        .with_state(depot)
}

/// Logs and counts each answer. The path holds no secret: credentials are in a header.
async fn observe(State(depot): State<Arc<Depot>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (address, begin) = (depot.address(&request), Instant::now());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    depot.metrics.answered(status);
    let milliseconds = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%address, %method, path, status, milliseconds, "{method} {path}: {status}");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_that_is_known_says_for_whom_it_asks() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "203.0.113.9, 198.51.100.7".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(forwarded(ip("10.0.0.1"), &headers, &proxies), ip("198.51.100.7"));
        assert_eq!(forwarded(ip("192.0.2.1"), &headers, &proxies), ip("192.0.2.1"));
        assert_eq!(forwarded(ip("10.0.0.1"), &HeaderMap::new(), &proxies), ip("10.0.0.1"));
    }
}
