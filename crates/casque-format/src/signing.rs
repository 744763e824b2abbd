//! What `casque keygen`, `sign` and `verify` print with `--json`.

use serde::{Deserialize, Serialize};

/// Number of the format.
pub const VERSION: u32 = 1;

/// What was made or verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// [`VERSION`].
    pub version: u32,
    /// The number of the key that was made, that signed, or whose signature fits.
    pub key: String,
    /// That key in one line, as `minisign -P` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The key that the new one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// The files that were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// What the signer says of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_comment: Option<String>,
}
