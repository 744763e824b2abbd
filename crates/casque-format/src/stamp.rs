//! The stamp of a data volume: which product, version and instance wrote it.

use serde::{Deserialize, Serialize};

/// The version of [`Stamp`] this code writes.
pub const VERSION: u32 = 1;

/// What `prepare` leaves at [`crate::paths::STAMP`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// [`VERSION`].
    pub version: u32,
    /// Repository name of the image, such as `vendor/backend`.
    pub product: String,
    /// The product's version whose data this is; while [`Self::update`] is under way, that from which it started.
    pub product_version: String,
    /// Random, made once; two volumes never share it.
    pub instance: String,
    /// The user of the PID 1 that wrote last: 0 gives each service its own user, any other runs them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// An update that began, and counts when each of its migrations has ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// A later version's start on the volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// That version.
    pub product_version: String,
    /// The one-shots that run once for it, sorted; what they have done is in [`crate::paths::ONCE`].
    pub migrations: Vec<String>,
}
