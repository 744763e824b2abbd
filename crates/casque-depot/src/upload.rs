//! Uploads of files: each by its digest, in as many pieces as the line needs. Nothing of them is visible to customers.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use casque_format::digest::Digest;

use crate::access::who::{self, Caller};
use crate::answer::Answer;
use crate::app::Depot;
use crate::error::DepotError;
use crate::incoming;
use crate::records::Entry;

const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");

/// Bytes that are gathered before they are written.
const GATHERED: usize = 1 << 20;

/// Which file of which product.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) product: String,
    pub(crate) digest: Digest,
}

impl Target {
    pub(crate) fn parse((product, digest): (String, String)) -> Result<Self, Answer> {
        let digest =
            digest.parse().map_err(|error| Answer::new(StatusCode::BAD_REQUEST, format!("{error}")))?;
        Ok(Self { product, digest })
    }
}

fn stored(error: std::io::Error) -> Answer {
    Answer::broken("cannot keep an upload", &DepotError::File(error))
}

/// Answers how much of a file is there.
pub(crate) async fn offset(
    State(depot): State<Arc<Depot>>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    let target = Target::parse(path)?;
    let caller = Caller::of(&depot, &request);
    who::uploader(&depot, &caller, &target.product).await?;
    depot
        .blocking(move |depot| {
            if let Some(size) = complete(depot, &target)? {
                let answer = Answer::new(StatusCode::OK, "complete").with(OFFSET, size.to_string());
                return Ok(answer.with(LENGTH, size.to_string()).into_response());
            }
            let length = depot.storage.partial_length(&target.product, target.digest).map_err(stored)?;
            Ok(Answer::new(StatusCode::OK, "incomplete").with(OFFSET, length.to_string()).into_response())
        })
        .await
}

/// Returns the size of a file that this product has. That another product has it is nobody's business here.
pub(crate) fn complete(depot: &Depot, target: &Target) -> Result<Option<u64>, Answer> {
    let size = depot.records.uploaded_size(&target.product, target.digest);
    let size = size.map_err(|error| Answer::broken("cannot look for an upload", &error))?;
    Ok(size.filter(|_| depot.storage.read(target.digest).is_ok()))
}

/// Takes a piece of a file, and with the last piece the file.
pub(crate) async fn append(
    State(depot): State<Arc<Depot>>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    let target = Target::parse(path)?;
    let caller = Caller::of(&depot, &request);
    let actor = who::uploader(&depot, &caller, &target.product).await?;
    let address = caller.address.to_string();
    let offset = number(request.headers(), &OFFSET)?;
    let length = number(request.headers(), &LENGTH)?;
    if length > depot.config.largest_file {
        let text = format!("files have at most {} bytes here", depot.config.largest_file);
        return Err(Answer::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let _alone = Alone::claim(&depot, &target)?;
    let begun = target.clone();
    let partial = depot.blocking(move |depot| begin(depot, &begun, offset, length)).await?;
    let Some(partial) = partial else {
        let there = Answer::new(StatusCode::OK, "it is there already").with(OFFSET, length.to_string());
        return Ok(there.into_response());
    };
    let received = receive(&depot, request.into_body(), partial, length).await?;
    depot.metrics.bytes_taken.fetch_add(received - offset, Ordering::Relaxed);
    if received < length {
        let more = Answer::new(StatusCode::ACCEPTED, "go on from there").with(OFFSET, received.to_string());
        return Ok(more.into_response());
    }
    depot.blocking(move |depot| finish(depot, &target, length, actor, address)).await?;
    let done = Answer::new(StatusCode::CREATED, "complete").with(OFFSET, length.to_string());
    Ok(done.into_response())
}

/// Opens the upload at the place where the client goes on; none when everything is there.
fn begin(
    depot: &Depot,
    target: &Target,
    offset: u64,
    length: u64,
) -> Result<Option<crate::storage::Partial>, Answer> {
    if complete(depot, target)?.is_some() {
        return Ok(None);
    }
    let partial = depot.storage.partial(&target.product, target.digest).map_err(stored)?;
    if partial.length > length {
        // Somebody said another length before; of this file nothing is there.
        depot.storage.discard(&target.product, target.digest).map_err(stored)?;
        return Err(Answer::new(StatusCode::CONFLICT, "begin anew").with(OFFSET, "0"));
    }
    if partial.length != offset {
        let text = format!("the depot has {} bytes of this file", partial.length);
        return Err(Answer::new(StatusCode::CONFLICT, text).with(OFFSET, partial.length.to_string()));
    }
    let free = depot.storage.free().map_err(stored)?;
    if free < (length - offset).saturating_add(depot.config.keep_free) {
        return Err(Answer::full());
    }
    Ok(Some(partial))
}

/// Writes what comes, and returns how long the upload is then. What came before a line broke stays.
async fn receive(
    depot: &Arc<Depot>,
    mut body: Body,
    partial: crate::storage::Partial,
    length: u64,
) -> Result<u64, Answer> {
    let mut file = partial.file;
    let mut written = partial.length;
    let mut gathered = Vec::new();
    loop {
        let piece = incoming::next(&mut body, depot.config.idle()).await;
        let ended = !matches!(piece, Ok(Some(_)));
        if let Ok(Some(piece)) = &piece {
            gathered.extend_from_slice(piece);
        }
        if written + gathered.len() as u64 > length {
            let text = format!("more came than the {length} bytes that `Upload-Length` says");
            return Err(Answer::new(StatusCode::BAD_REQUEST, text));
        }
        if gathered.len() >= GATHERED || (ended && !gathered.is_empty()) {
            let bytes = std::mem::take(&mut gathered);
            written += bytes.len() as u64;
            file = depot.blocking(move |_| file.write_all(&bytes).map(|()| file).map_err(stored)).await?;
        }
        if ended {
            return piece.map(|_| written);
        }
    }
}

fn finish(depot: &Depot, target: &Target, length: u64, actor: String, address: String) -> Result<(), Answer> {
    let (product, digest) = (target.product.as_str(), target.digest);
    depot.storage.finish(product, digest).map_err(|error| match &error {
        DepotError::Content { .. } => {
            Answer::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}; upload it again"))
        }
        _ => Answer::broken("cannot keep an upload", &error),
    })?;
    let noted = depot.records.uploaded(product, digest, length, depot.now());
    noted.map_err(|error| Answer::broken("cannot note an upload", &error))?;
    depot.audit.note(Entry {
        at: depot.now(),
        actor,
        address,
        action: "upload".to_owned(),
        product: product.to_owned(),
        release: String::new(),
        file: digest.to_string(),
        status: 201,
        bytes: length,
        complete: true,
    });
    Ok(())
}

/// Reads a header that is a number.
fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Answer> {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse().ok().filter(|_| digits) {
        Some(number) => Ok(number),
        None => Err(Answer::new(StatusCode::BAD_REQUEST, format!("the header `{name}` has to be a number"))),
    }
}

/// Only one request at a time goes on with an upload.
struct Alone {
    depot: Arc<Depot>,
    key: (String, Digest),
}

impl Alone {
    fn claim(depot: &Arc<Depot>, target: &Target) -> Result<Self, Answer> {
        let key = (target.product.clone(), target.digest);
        let mut uploading = depot.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        match uploading.insert(key.clone()) {
            true => Ok(Self { depot: Arc::clone(depot), key }),
            false => Err(Answer::new(StatusCode::CONFLICT, "another request uploads this file")),
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.depot.uploading.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
