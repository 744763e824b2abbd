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
    /// The product's version that wrote last.
    pub product_version: String,
    /// Random, made once; two volumes never share it.
    pub instance: String,
}
