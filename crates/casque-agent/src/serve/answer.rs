//! What is answered to a request: a pure function of the request, the view and the configuration.

use std::hint::black_box;
use std::time::Instant;

use casque_format::control::Overall;
use casque_format::run::AgentConfig;
use casque_format::status::{self, Details, Status};
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, RETRY_AFTER, USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::page::page;
use super::watch::View;

const RETRY_SECONDS: &str = "5";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// Answers the request `head`.
pub fn answer(head: &Parts, config: &AgentConfig, view: &View, now: Instant) -> Response<String> {
    if head.uri.path() != config.status_path {
        return elsewhere(head, config, view);
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        let body = "{\"error\":\"only GET and HEAD are answered here\"}\n".to_owned();
        return respond(StatusCode::METHOD_NOT_ALLOWED, JSON, body, &[(ALLOW, "GET, HEAD")]);
    }
    let state = view.state();
    let details = may_see_details(&head.headers, config).then(|| details(config, view, now));
    let status = Status { version: status::VERSION, state, details };
    let body =
        serde_json::to_string(&status).expect("a status has no maps with keys that are not text") + "\n";
    match state {
        Overall::Ready => respond(StatusCode::OK, JSON, body, &[]),
        _ => respond(StatusCode::SERVICE_UNAVAILABLE, JSON, body, &[(RETRY_AFTER, RETRY_SECONDS)]),
    }
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

fn details(config: &AgentConfig, view: &View, now: Instant) -> Details {
    let mut warnings = config.warnings.clone();
    if !view.connected {
        warnings.push("PID 1 does not answer: what is shown here is the last that was known".to_owned());
    }
    let (uptime_ms, services) = view.snapshot.as_ref().map_or((0, Vec::new()), |(snapshot, received)| {
        // PID 1 reports changes only; time goes on between them.
        let since = u64::try_from(now.saturating_duration_since(*received).as_millis()).unwrap_or(u64::MAX);
        let mut services = snapshot.services.clone();
        for service in &mut services {
            service.since_ms = service.since_ms.saturating_add(since);
        }
        (snapshot.uptime_ms.saturating_add(since), services)
    });
    Details {
        product: config.product.name.clone(),
        product_version: config.product.version.clone(),
        uptime_ms,
        services,
        warnings,
    }
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
mod tests;
