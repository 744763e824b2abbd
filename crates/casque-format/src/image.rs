//! The plan that `casque build` writes into an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::run::{Identity, LogLimit, Service};
use crate::settings::Setting;
use crate::status::Probes;

/// The version of [`ImagePlan`] this code writes.
pub const VERSION: u32 = 1;

/// A checked description of what runs in the image; names are unique, `after` has no cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagePlan {
    /// [`VERSION`].
    pub version: u32,
    /// What the image is.
    pub product: Product,
    /// What `docker run` calls it, such as `vendor/backend:v43.4.4`.
    pub reference: String,
    /// TCP ports that PID 1 opens; the front inherits them.
    pub expose: Vec<u16>,
    /// Every service by name, switched off or not.
    pub services: BTreeMap<String, ImageService>,
    /// Every setting by name.
    pub settings: BTreeMap<String, Setting>,
    /// Put before a setting's environment name.
    pub env_prefix: String,
    /// Marked files, rendered at each start.
    pub templates: Vec<Template>,
    /// Directories of the volume that `prepare` makes when they are missing.
    pub data: Vec<DataDirectory>,
    /// Directories of the image that live in the volume, below [`crate::paths::PERSISTED`]; each has a seed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persist: Vec<DataDirectory>,
    /// The serving agent's own user.
    pub agent: Identity,
    /// Milliseconds for the whole ordered stop.
    pub stop_budget_ms: u64,
    /// Path that the agent answers, such as `/status`.
    pub status_path: String,
    /// What the log files of single services may take, whatever the settings say of all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logs: BTreeMap<String, LogLimit>,
    /// The other paths that it answers.
    #[serde(default)]
    pub probes: Probes,
    /// Which of the exposed ports is for HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
    /// Public keys, each in one line as minisign has it, that the archive of the next release may be signed by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify_keys: Vec<String>,
}

/// What the image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Repository name, such as `vendor/backend`.
    pub name: String,
    /// Version without the tag's decoration, such as `43.4.4`.
    pub version: String,
    /// What the customer types after `docker exec NAME`.
    pub command: String,
    /// The counter of the release that it was built for, which grows with each; none when nobody said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
}

/// A service and the setting that switches it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageService {
    /// What to run.
    pub service: Service,
    /// Runs only when this setting has a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Runs only when this setting has no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// Environment variables that it takes over from the container, where they are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherit: Vec<String>,
    /// Environment variables that take a setting's value: variable to setting name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment_settings: BTreeMap<String, String>,
}

/// A file with marks. Its source is under [`crate::paths::TEMPLATES`], its place in the image is a
/// link to its rendered form under [`crate::paths::RENDERED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Absolute path in the image.
    pub path: String,
    /// Owner of the rendered file.
    pub uid: u32,
    /// Group of the rendered file.
    pub gid: u32,
    /// Permission bits of the rendered file.
    pub mode: u32,
}

/// A directory made at start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDirectory {
    /// Absolute path.
    pub path: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}
