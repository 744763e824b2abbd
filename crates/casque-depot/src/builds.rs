//! What builds ask for: which releases there are, their records, and files of older ones to compare with.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use casque_format::release::{Listed, Listing};

use crate::access::who::{self, Caller};
use crate::answer::Answer;
use crate::app::Depot;
use crate::choice::{Chosen, Content};
use crate::download::{Delivery, deliver};
use crate::error::DepotError;
use crate::upload::{Target, complete};

fn broken(error: DepotError) -> Answer {
    Answer::broken("cannot tell a build of releases", &error)
}

/// Answers which releases of a product there are.
pub(crate) async fn releases(
    State(depot): State<Arc<Depot>>,
    Path(product): Path<String>,
    request: Request,
) -> Result<Response, Answer> {
    who::uploader(&depot, &Caller::of(&depot, &request), &product).await?;
    depot
        .blocking(move |depot| {
            let counter = depot.records.newest_counter(&product).map_err(broken)?;
            let releases = depot.records.releases(&product).map_err(broken)?.into_iter();
            let releases = releases.map(|release| Listed {
                release: release.release,
                counter: u64::try_from(release.counter).unwrap_or(0),
                channels: release.channels,
                withdrawn: release.withdrawn,
            });
            Ok(Json(Listing { counter, releases: releases.collect() }).into_response())
        })
        .await
}

/// Answers with the record of a release, as it was published.
pub(crate) async fn release(
    State(depot): State<Arc<Depot>>,
    Path((product, release)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    who::uploader(&depot, &Caller::of(&depot, &request), &product).await?;
    depot
        .blocking(move |depot| {
            let signed = depot.records.signed(&product, &release).map_err(broken)?;
            Ok(Json(signed.ok_or_else(Answer::not_found)?).into_response())
        })
        .await
}

/// Answers with a file that this product has, or a part of it.
pub(crate) async fn file(
    State(depot): State<Arc<Depot>>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Result<Response, Answer> {
    let target = Target::parse(path)?;
    let caller = Caller::of(&depot, &request);
    let actor = who::uploader(&depot, &caller, &target.product).await?;
    let wanted = target.clone();
    let chosen = depot
        .blocking(move |depot| {
            let sha256 = wanted.digest;
            let size = complete(depot, &wanted)?.ok_or_else(Answer::not_found)?;
            let file = depot.storage.read(sha256).map_err(|error| broken(DepotError::File(error)))?;
            let content = Content::File { file, size, sha256 };
            Ok(Chosen { content, name: sha256.to_string(), release: String::new(), in_parts: true })
        })
        .await?;
    let delivery = Delivery { actor, caller, product: target.product, chosen };
    deliver(&depot, &request, Response::new(Body::empty()), delivery)
}
