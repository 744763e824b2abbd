//! What a depot tells builds, and they it: records with their signatures, and which releases there are.

use serde::{Deserialize, Serialize};

/// A record as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The record, exactly the text that was signed.
    pub record: String,
    /// Its signature, the text of minisign's file.
    pub signature: String,
}

/// The releases of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The highest counter so far; the next release has a higher one.
    pub counter: Option<u64>,
    /// The newest first.
    pub releases: Vec<Listed>,
}

/// A release in a [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its version.
    pub release: String,
    /// Its counter.
    pub counter: u64,
    /// The channels it is in, sorted.
    pub channels: Vec<String>,
    /// Why it is there no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}
