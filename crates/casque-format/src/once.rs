//! What a one-shot that runs once has done on a volume.

use serde::{Deserialize, Serialize};

/// The version of [`Done`] this code writes.
pub const VERSION: u32 = 1;

/// The file `NAME.json` in [`crate::paths::ONCE`], written when the one-shot `NAME` has ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// [`VERSION`].
    pub version: u32,
    /// The product's version that has done it.
    pub product_version: String,
}
