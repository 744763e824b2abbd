//! A release becomes visible: whole, after its record, its signature and each of its files were judged.

use std::io::{BufReader, Read as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use casque_format::digest::Digest;
use casque_format::release::{Expected, Kind, LARGEST, Release, Signed};
use casque_sign::{KeyRing, SignError};

use crate::access::who::{self, Caller};
use crate::address::is_own;
use crate::answer::Answer;
use crate::app::Depot;
use crate::error::DepotError;
use crate::incoming;
use crate::records::{Entry, Published};

/// More than any signature has.
const LONGEST_SIGNATURE: u64 = 16 << 10;

/// Takes a record with its signature.
pub(crate) async fn publish(
    State(depot): State<Arc<Depot>>,
    Path(product): Path<String>,
    request: Request,
) -> Result<Response, Answer> {
    let caller = Caller::of(&depot, &request);
    let actor = who::uploader(&depot, &caller, &product).await?;
    let address = caller.address.to_string();
    // As JSON a text may take six times its length.
    let body = incoming::whole(request.into_body(), 6 * LARGEST, depot.config.idle()).await?;
    let submitted: Signed = serde_json::from_slice(&body).map_err(|error| {
        let text = format!("expected JSON with `record` and `signature`, both texts: {error}");
        Answer::new(StatusCode::BAD_REQUEST, text)
    })?;
    depot
        .blocking(move |depot| {
            let taken = take(depot, &product, &submitted);
            let (release, published) = taken.map_err(|error| refusal(&product, &error))?;
            if published == Published::New {
                depot.metrics.published.fetch_add(1, Ordering::Relaxed);
            }
            depot.audit.note(Entry {
                at: depot.now(),
                actor,
                address,
                action: "publish".to_owned(),
                product,
                release: release.release.to_string(),
                file: release.channel.to_string(),
                status: 201,
                bytes: 0,
                complete: published == Published::New,
            });
            let answer = match published {
                Published::New => {
                    Answer::new(StatusCode::CREATED, format!("release `{}` is published", release.release))
                }
                Published::Same => {
                    Answer::new(StatusCode::OK, format!("release `{}` was published before", release.release))
                }
            };
            Ok(answer.into_response())
        })
        .await
}

/// Judges a release and publishes it.
fn take(depot: &Depot, product: &str, submitted: &Signed) -> Result<(Release, Published), DepotError> {
    let record = submitted.record.as_bytes();
    let missing = || DepotError::Missing { what: "product", name: product.to_owned() };
    depot.records.product(product)?.ok_or_else(missing)?;
    let ring = depot.records.ring(product)?;
    ring.verify(std::io::Cursor::new(record), &submitted.signature).map_err(DepotError::Sign)?;
    let release = Release::parse(record).map_err(DepotError::Refused)?;
    let name = release.product.as_str();
    if name == product
        && let Some(same) = depot.records.published(name, release.release.as_str(), Digest::of(record))?
    {
        return Ok((release, same));
    }
    let named = product.parse().map_err(|_| missing())?;
    let now = u64::try_from(depot.now()).unwrap_or(0);
    let expected = Expected { product: &named, newest: depot.records.newest_counter(product)?, now };
    release.check(&expected).map_err(DepotError::Refused)?;
    if let Some(own) = release.artefacts.iter().find(|artefact| is_own(&artefact.name)) {
        return Err(DepotError::Reserved { name: own.name.to_string() });
    }
    let mut missing = depot.records.not_uploaded(&release)?;
    // What is recorded was there; whether it is now, the disk says.
    for artefact in &release.artefacts {
        let there = depot.storage.read(artefact.sha256).and_then(|file| file.metadata());
        if !there.is_ok_and(|facts| facts.len() == artefact.size) && !missing.contains(artefact) {
            missing.push(artefact.clone());
        }
    }
    if !missing.is_empty() {
        return Err(DepotError::NotUploaded {
            names: missing.iter().map(|file| file.name.to_string()).collect(),
        });
    }
    verify_files(depot, &ring, &release)?;
    let published = depot.records.publish(&release, record, &submitted.signature, depot.now())?;
    Ok((release, published))
}

/// Verifies the signatures that are files of the release.
fn verify_files(depot: &Depot, ring: &KeyRing, release: &Release) -> Result<(), DepotError> {
    for signature in release.artefacts.iter().filter(|artefact| artefact.kind == Kind::Signature) {
        let file = signature.name.as_str().strip_suffix(".minisig").unwrap_or_default();
        let Some(signed) = release.artefact(file) else { continue };
        let mut text = String::new();
        let open = |digest| depot.storage.read(digest).map_err(DepotError::File);
        let wrong = |source| DepotError::FileSignature { file: signature.name.to_string(), source };
        let read = open(signature.sha256)?.take(LONGEST_SIGNATURE).read_to_string(&mut text);
        read.map_err(|error| wrong(SignError::NoSignature { reason: error.to_string() }))?;
        ring.verify(BufReader::with_capacity(1 << 20, open(signed.sha256)?), &text).map_err(wrong)?;
    }
    Ok(())
}

/// Tells the upload what is wrong; what is wrong here only the log tells.
fn refusal(product: &str, error: &DepotError) -> Answer {
    let status = match error {
        DepotError::Different { .. } | DepotError::NotUploaded { .. } => StatusCode::CONFLICT,
        DepotError::Missing { .. } => StatusCode::NOT_FOUND,
        DepotError::Refused(_)
        | DepotError::Sign(_)
        | DepotError::FileSignature { .. }
        | DepotError::Reserved { .. }
        | DepotError::NoKey { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        _ => return Answer::broken("cannot publish a release", error),
    };
    let text = error.text(&format!("cannot publish a release of `{product}`"));
    tracing::warn!(product, reason = text.replace('\n', " "), "a release is refused");
    let names = match error {
        DepotError::NotUploaded { names } => names.join("\n  "),
        _ => return Answer::new(status, text),
    };
    Answer::new(status, format!("{text}\nmissing:\n  {names}"))
}
