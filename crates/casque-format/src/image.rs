//! The plan that `casque build` writes into an image.

use std::collections::BTreeMap;
use std::fmt;

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
    /// What the vendor has looked at on a host, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub preflight: BTreeMap<String, HostCheck>,
}

/// A command of the vendor's that says whether a host has what the product needs. It ends with 0 where all is well, with 1
/// where the product runs all the same, with 2 where it does not; the first line that it writes is the fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCheck {
    /// It runs as this service does.
    pub service: String,
    /// Argument vector.
    pub run: Vec<String>,
    /// Milliseconds that it may take.
    pub timeout_ms: u64,
    /// What follows unless all is well.
    pub consequence: String,
    /// What helps then.
    pub remedy: String,
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
    /// What a host has to have for it.
    #[serde(default, skip_serializing_if = "Needs::is_empty")]
    pub needs: Needs,
}

/// What a host has to have for a service, all its replicas together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// What its programs ask of the processor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu: Vec<CpuFeature>,
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Bytes in the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
}

impl Needs {
    /// Says whether any host will do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Something that not every processor can, by the name that `/proc/cpuinfo` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are known by these names alone")]
pub enum CpuFeature {
    Aes,
    Avx,
    Avx2,
    Avx512f,
    Bmi1,
    Bmi2,
    F16c,
    Fma,
    Movbe,
    Pclmulqdq,
    Popcnt,
    Rdrand,
    ShaNi,
    #[serde(rename = "sse4_1")]
    Sse41,
    #[serde(rename = "sse4_2")]
    Sse42,
    Ssse3,
}

impl fmt::Display for CpuFeature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
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
