//! The documentation of a version: the HTML file of its release that has this purpose.

use axum::http::StatusCode;

use super::versions::{self, Which};
use crate::answer::Answer;
use crate::app::Depot;
use crate::choice::{Chosen, Content, broken};
use crate::error::DepotError;

/// What such a file is in the records.
pub(super) const DOCS: &str = "docs";

/// Finds the documentation of a version that the customer may have.
pub(super) fn choose(
    depot: &Depot,
    customer: &str,
    product: &str,
    version: &Which,
) -> Result<Chosen, Answer> {
    let licence = versions::licence(depot, customer, product)?;
    let (version, _) = versions::find(depot, product, &licence, version)?;
    let release = version.release;
    if let Some(reason) = version.withdrawn {
        return Err(Answer::new(StatusCode::GONE, format!("release `{release}` was withdrawn: {reason}")));
    }
    let files = depot.records.files(product, &release).map_err(broken)?;
    let Some(file) = files.into_iter().find(|file| file.kind == DOCS) else {
        let text = format!("the vendor has published no documentation with release `{release}`");
        return Err(Answer::new(StatusCode::NOT_FOUND, text));
    };
    let (size, sha256) = (file.size, file.sha256);
    let opened = depot.storage.read(sha256).map_err(|error| broken(DepotError::File(error)))?;
    let content = Content::File { file: opened, size, sha256 };
    Ok(Chosen { content, name: file.name, release, in_parts: true })
}
