//! Downloads: what is asked for, whether this customer may have it, and the bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HOST, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;

use crate::access::who::{self, Caller};
use crate::address::{self, Wanted};
use crate::answer::Answer;
use crate::app::Depot;
use crate::choice::{self, Asked, Chosen, Content};
use crate::file_body::{Ending, FileBody};
use crate::range::{Part, part};
use crate::records::{Accounts, Entry};

/// Answers `/PRODUCT/FILE`.
pub(crate) async fn of_product(
    State(depot): State<Arc<Depot>>,
    Path((product, file)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    answer(&depot, address::wanted(&product, None, &file), request).await
}

/// Answers `/PRODUCT/CHANNEL/FILE`.
pub(crate) async fn of_channel(
    State(depot): State<Arc<Depot>>,
    Path((product, channel, file)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    answer(&depot, address::wanted(&product, Some(&channel), &file), request).await
}

async fn answer(depot: &Arc<Depot>, wanted: Option<Wanted>, request: Request) -> Result<Response, Answer> {
    // First who asks: whoever is nobody learns nothing of what there is.
    let caller = Caller::of(depot, &request);
    let customer = who::account(depot, &caller, Accounts::Customers).await?;
    let wanted = wanted.ok_or_else(Answer::not_found)?;
    let asked = Asked {
        customer: customer.clone(),
        resumes: request.headers().contains_key(RANGE) && !request.headers().contains_key(IF_RANGE),
        reads: request.method() == Method::GET,
        host: host(&request),
        now: depot.now(),
        wanted,
    };
    let product = asked.wanted.product.to_string();
    let chosen = depot.blocking(move |depot| choice::choose(depot, &asked)).await?;
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &chosen.name, &chosen.release);
    let delivery = Delivery { actor: customer, caller, product, chosen };
    deliver(depot, &request, response, delivery)
}

/// Returns what the client calls this host.
pub(crate) fn host(request: &Request) -> Option<String> {
    request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
}

/// What is sent, and to whom.
pub(crate) struct Delivery {
    pub(crate) actor: String,
    pub(crate) caller: Caller,
    pub(crate) product: String,
    pub(crate) chosen: Chosen,
}

/// Completes a response that is described already: with its tag, and as far as the request wants it with the bytes.
pub(crate) fn deliver(
    depot: &Arc<Depot>,
    request: &Request,
    mut response: Response,
    delivery: Delivery,
) -> Result<Response, Answer> {
    let Delivery { actor, caller, product, chosen } = delivery;
    let (headers, size) = (request.headers(), chosen.content.size());
    let etag = format!("\"{}\"", chosen.content.sha256());
    set(response.headers_mut(), ETAG, &etag);
    if let Some(status) = condition(headers, &etag) {
        *response.status_mut() = status;
        return Ok(response);
    }
    let (start, length) = part_of(&mut response, headers, &etag, size, chosen.in_parts)?;
    if request.method() == Method::HEAD {
        return Ok(response);
    }
    let entry = Entry {
        at: depot.now(),
        actor,
        address: caller.address.to_string(),
        action: "download".to_owned(),
        product,
        release: chosen.release,
        file: chosen.name,
        status: response.status().as_u16(),
        bytes: 0,
        complete: false,
    };
    depot.metrics.downloads_begun.fetch_add(1, Ordering::Relaxed);
    let (audit, metrics) = (depot.audit.clone(), Arc::clone(&depot.metrics));
    let mut ending = Ending { entry: Some(entry), sent: 0, length, audit, metrics };
    *response.body_mut() = match chosen.content {
        Content::File { file, .. } => Body::new(FileBody::new(file, start, length, ending)),
        Content::Text(text) => {
            let (start, end) =
                (usize::try_from(start).unwrap_or(0), usize::try_from(start + length).unwrap_or(0));
            ending.sent = length;
            drop(ending);
            Body::from(text.get(start..end).unwrap_or_default().to_vec())
        }
    };
    Ok(response)
}

/// Says in the response which part of a file it is, and returns where that begins and how long it is.
fn part_of(
    response: &mut Response,
    headers: &HeaderMap,
    etag: &str,
    size: u64,
    in_parts: bool,
) -> Result<(u64, u64), Answer> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let range = if in_parts { text(&RANGE) } else { None };
    let (start, length) = match part(range, text(&IF_RANGE), etag, size) {
        Part::Whole => (0, size),
        Part::Bytes { start, length } => {
            let value = format!("bytes {start}-{}/{size}", start + length - 1);
            set(response.headers_mut(), CONTENT_RANGE, &value);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (start, length)
        }
        Part::Unsatisfiable => {
            let text = format!("the file has {size} bytes");
            return Err(Answer::new(StatusCode::RANGE_NOT_SATISFIABLE, text)
                .with(CONTENT_RANGE, format!("bytes */{size}"))
                .with(ETAG, etag));
        }
    };
    set(response.headers_mut(), CONTENT_LENGTH, &length.to_string());
    Ok((start, length))
}

pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn describe(headers: &mut HeaderMap, name: &str, release: &str) {
    set(headers, ACCEPT_RANGES, "bytes");
    set(headers, CONTENT_TYPE, content_type(name));
    // The names are of characters that need no quoting.
    set(headers, CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    set(headers, CACHE_CONTROL, "private, no-cache");
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, HeaderName::from_static("casque-release"), release);
    set(headers, HeaderName::from_static("casque-file"), name);
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("tar") => "application/x-tar",
        Some("json") => "application/json",
        Some("deb") => "application/vnd.debian.binary-package",
        Some("minisig" | "pub" | "sha256" | "sh" | "txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Says whether a condition of the request ends it: the client has the file, or wants another than this.
pub(crate) fn condition(headers: &HeaderMap, etag: &str) -> Option<StatusCode> {
    let names = |name: &HeaderName| {
        let values: Vec<&str> =
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        let tags = values.iter().flat_map(|value| value.split(',')).map(str::trim);
        (!values.is_empty()).then(|| tags.clone().any(|tag| tag == "*" || tag == etag))
    };
    if names(&IF_MATCH) == Some(false) {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    (names(&IF_NONE_MATCH) == Some(true)).then_some(StatusCode::NOT_MODIFIED)
}
