//! The document at `/status`.

use serde::{Deserialize, Serialize};

use crate::control::{Overall, ServiceStatus};

/// The version of [`Status`] this code writes.
pub const VERSION: u32 = 1;

/// In this header the front says from which address a request came.
pub const PEER_HEADER: &str = "X-Casque-Peer";

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
    /// Which volume this is: random, made once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// SHA-256 of everything that the settings came to: two starts with the same one were told the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub configuration: String,
    /// Milliseconds since the container began.
    pub uptime_ms: u64,
    /// Each service, sorted by name.
    pub services: Vec<ServiceStatus>,
    /// Facts an operator must see.
    pub warnings: Vec<String>,
    /// The file system of the data; absent where it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// The certificates among the settings, sorted by setting.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Where logs are sent; absent when nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Syslog>,
}

/// Logs on their way to the customer's syslog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syslog {
    /// Such as `tls://logs.example.com:6514`.
    pub receiver: String,
    /// A connection is open; over UDP, nothing was refused.
    pub connected: bool,
    /// What the buffer holds that was not sent yet, bytes.
    pub waiting_bytes: u64,
    /// Lines that were removed from the buffer before they could be sent, ever.
    pub lost_lines: u64,
    /// Why there is no connection, or was none the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Room for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Size of its file system.
    pub total_bytes: u64,
    /// What services can still write.
    pub free_bytes: u64,
}

/// A certificate that a setting or the volume gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Which setting.
    pub setting: String,
    /// Whose it is, such as `CN=backend.example.com`.
    pub subject: String,
    /// When the first of its chain ends, in seconds since 1970.
    pub not_after: i64,
    /// Whole days until then, negative when it has ended; as of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
}

/// The other paths that the agent answers; an empty one is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// 200 as long as the container should be left alone.
    pub live: String,
    /// 200 while every service is ready.
    pub ready: String,
    /// Numbers for Prometheus.
    pub metrics: String,
}

impl Default for Probes {
    fn default() -> Self {
        Self { live: "/livez".to_owned(), ready: "/readyz".to_owned(), metrics: "/metrics".to_owned() }
    }
}

impl Probes {
    /// Returns the paths that are answered.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        [&self.live, &self.ready, &self.metrics]
            .into_iter()
            .map(String::as_str)
            .filter(|path| !path.is_empty())
    }
}
