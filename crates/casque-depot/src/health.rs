//! Whether the depot works, and its numbers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use crate::answer::Answer;
use crate::app::Depot;

/// Answers that records and files can be read.
pub(crate) async fn healthz(State(depot): State<Arc<Depot>>) -> Result<&'static str, Answer> {
    let works =
        depot.blocking(|depot| Ok(depot.records.products().is_ok() && depot.storage.free().is_ok())).await?;
    match works {
        true => Ok("ok\n"),
        false => Err(Answer::new(StatusCode::SERVICE_UNAVAILABLE, "records or files cannot be read")),
    }
}

/// Answers the numbers, to this machine and to addresses that the operator named.
pub(crate) async fn metrics(State(depot): State<Arc<Depot>>, request: Request) -> Result<Response, Answer> {
    let address = depot.address(&request);
    if !address.is_loopback() && !depot.config.metrics_from.contains(&address) {
        return Err(Answer::not_found());
    }
    let free = depot.blocking(|depot| Ok(depot.storage.free().unwrap_or(0))).await?;
    let text = depot.metrics.text(free, depot.passwords.judged());
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
