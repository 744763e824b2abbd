//! What is answered to a request: a pure function of the request, the view and the configuration.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use casque_format::control::Overall;
use casque_format::run::AgentConfig;
use casque_format::status::{self, Certificate, Details, Status, Syslog, Volume};
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::metrics::metrics;
use super::page::page;
use super::watch::View;
use crate::words::status::overall;
use crate::{certificates, syslog, volume};

const RETRY_SECONDS: &str = "5";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// A request, and what was found out for it.
pub struct Asked<'a> {
    /// Its line and headers.
    pub head: &'a Parts,
    /// The other end of its connection; none is a unix socket, on which the front says who asked.
    pub peer: Option<IpAddr>,
    /// The room for data, where that was asked.
    pub volume: Option<Volume>,
    /// How logs get to the customer's syslog, where that was asked.
    pub syslog: Option<Syslog>,
    /// When it came.
    pub now: Instant,
    /// The same in seconds since 1970.
    pub time: i64,
}

/// Answers a request.
pub fn answer(asked: &Asked, config: &AgentConfig, view: &View) -> Response<String> {
    let head = asked.head;
    let (path, probes) = (head.uri.path(), &config.probes);
    if path != config.status_path && !probes.paths().any(|probe| probe == path) {
        return elsewhere(head, config, view);
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        let body = "{\"error\":\"only GET and HEAD are answered here\"}\n".to_owned();
        return respond(StatusCode::METHOD_NOT_ALLOWED, JSON, body, &[(ALLOW, "GET, HEAD")]);
    }
    let state = view.state();
    if path == probes.live {
        // Whatever takes its time, a restart by an orchestrator would make it begin anew.
        return respond(StatusCode::OK, TEXT, "alive\n".to_owned(), &[]);
    }
    if path == probes.ready {
        return by_state(state, TEXT, format!("{}\n", overall(state)));
    }
    if path == probes.metrics {
        return match is_local(asked) || may_see_details(&head.headers, config) {
            true => respond(StatusCode::OK, METRICS, metrics(state, &details(asked, config, view)), &[]),
            false => {
                let body = "metrics need the status token, or an address of this container\n".to_owned();
                respond(StatusCode::UNAUTHORIZED, TEXT, body, &[(WWW_AUTHENTICATE, "Bearer")])
            }
        };
    }
    let details = may_see_details(&head.headers, config).then(|| details(asked, config, view));
    let status = Status { version: status::VERSION, state, details };
    let body =
        serde_json::to_string(&status).expect("a status has no maps with keys that are not text") + "\n";
    by_state(state, JSON, body)
}

/// Says whether the answer to this path tells of the volume and of what is in it.
pub fn wants_volume(path: &str, config: &AgentConfig) -> bool {
    path == config.status_path || path == config.probes.metrics
}

fn by_state(state: Overall, content_type: &str, body: String) -> Response<String> {
    match state {
        Overall::Ready => respond(StatusCode::OK, content_type, body, &[]),
        _ => respond(StatusCode::SERVICE_UNAVAILABLE, content_type, body, &[(RETRY_AFTER, RETRY_SECONDS)]),
    }
}

/// Says whether somebody inside of the container asks. What a proxy passes on comes from elsewhere, even where that
/// proxy is at the same address.
fn is_local(asked: &Asked) -> bool {
    let headers = &asked.head.headers;
    let passed_on = ["x-forwarded-for", "forwarded", "via"].iter().any(|name| headers.contains_key(*name));
    let said = || headers.get(status::PEER_HEADER)?.to_str().ok()?.parse().ok();
    let address: Option<IpAddr> = asked.peer.or_else(said);
    !passed_on && address.is_some_and(|address| address.is_loopback())
}

/// Answers for the front while it is not there.
fn elsewhere(head: &Parts, config: &AgentConfig, view: &View) -> Response<String> {
    let wants_html = head
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"));
    let retry = (RETRY_AFTER, RETRY_SECONDS);
    if wants_html {
        let policy = (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'");
        let body = page(&config.product, view.state(), RETRY_SECONDS);
        return respond(StatusCode::SERVICE_UNAVAILABLE, HTML, body, &[retry, policy]);
    }
    let state = serde_json::to_string(&view.state()).expect("a state is text");
    respond(StatusCode::SERVICE_UNAVAILABLE, JSON, format!("{{\"state\":{state}}}\n"), &[retry])
}

fn respond(
    code: StatusCode,
    content_type: &str,
    body: String,
    headers: &[(HeaderName, &'static str)],
) -> Response<String> {
    let mut response = Response::builder()
        .status(code)
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, "no-store")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    for (name, value) in headers {
        response = response.header(name, *value);
    }
    response.body(body).expect("every header here is a valid constant")
}

fn details(asked: &Asked, config: &AgentConfig, view: &View) -> Details {
    let mut warnings = config.warnings.clone();
    warnings.extend(config.certificates.iter().filter_map(|one| certificates::warning(one, asked.time)));
    warnings.extend(asked.volume.and_then(volume::warning));
    warnings.extend(asked.syslog.as_ref().and_then(syslog::warning));
    if !view.connected {
        warnings.push("PID 1 does not answer: what is shown here is the last that was known".to_owned());
    }
    let (uptime_ms, services) = view.snapshot.as_ref().map_or((0, Vec::new()), |(snapshot, received)| {
        // PID 1 reports changes only; time goes on between them.
        let since = asked.now.saturating_duration_since(*received).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let mut services = snapshot.services.clone();
        for service in &mut services {
            service.since_ms = service.since_ms.saturating_add(since);
        }
        (snapshot.uptime_ms.saturating_add(since), services)
    });
    Details {
        product: config.product.name.clone(),
        product_version: config.product.version.clone(),
        instance: config.instance.clone(),
        configuration: config.configuration.clone(),
        uptime_ms,
        services,
        warnings,
        volume: asked.volume,
        certificates: config.certificates.iter().map(|one| dated(one, asked.time)).collect(),
        syslog: asked.syslog.clone(),
    }
}

fn dated(certificate: &Certificate, now: i64) -> Certificate {
    Certificate { days_left: Some(certificates::days_left(certificate, now)), ..certificate.clone() }
}

/// Looks for the token as the User-Agent's second word or as a bearer token.
fn may_see_details(headers: &HeaderMap, config: &AgentConfig) -> bool {
    let token = config.status_token.as_bytes();
    if token.is_empty() {
        return false;
    }
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.as_bytes().strip_prefix(config.status_agent.as_bytes())?.strip_prefix(b" "))
        // Cut where the token must end, since it may itself hold a blank.
        .is_some_and(|rest| match rest.split_at_checked(token.len()) {
            Some((given, after)) => same(given, token) && (after.is_empty() || after.starts_with(b" ")),
            None => false,
        });
    let bearer = headers.get(AUTHORIZATION).is_some_and(|value| {
        let value = value.as_bytes();
        let scheme = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        scheme && same(&value[7..], token)
    });
    agent || bearer
}

/// Compares in a time that depends on the lengths alone.
fn same(given: &[u8], token: &[u8]) -> bool {
    let difference = given.iter().zip(token).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    given.len() == token.len() && black_box(difference) == 0
}

#[cfg(test)]
pub(super) mod tests;
