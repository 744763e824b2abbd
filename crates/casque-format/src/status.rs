//! The document at `/status`.

use serde::{Deserialize, Serialize};

use crate::control::{Overall, ServiceStatus};

/// The version of [`Status`] this code writes.
pub const VERSION: u32 = 1;

/// The bare form carries `version` and `state` alone; the rest needs the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// All services together.
    pub state: Overall,
    /// For whoever showed the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// What only the customer's own people may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Such as `vendor/backend`.
    pub product: String,
    /// Such as `43.4.4`.
    pub product_version: String,
    /// Milliseconds since the container began.
    pub uptime_ms: u64,
    /// Each service, sorted by name.
    pub services: Vec<ServiceStatus>,
    /// Facts an operator must see.
    pub warnings: Vec<String>,
}
