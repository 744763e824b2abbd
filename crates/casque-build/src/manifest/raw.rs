//! The manifest's shape, as serde reads it. Unknown keys are refused everywhere.

mod layer;
mod service;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use casque_format::run::LogLimit;
use casque_format::settings::Setting;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::error::{ManifestError, Place};
use crate::trim::Keep;

pub use layer::{LayerStep, Python, Secret, StepNetwork, Transfer};
pub use service::{
    Bytes, DirectoryRule, Front, HealthRule, NeedsRule, ReadyRule, ReloadRule, ReplicasRule, ServiceRule,
    StopRule,
};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What comes out.
    pub image: Image,
    /// What it stands on.
    pub base: Base,
    /// What is put on top, in order.
    #[serde(default)]
    pub layer: Vec<LayerStep>,
    /// What the customer may set.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// What runs.
    #[serde(default)]
    pub service: BTreeMap<String, ServiceRule>,
    /// Users no package makes.
    #[serde(default)]
    pub users: BTreeMap<String, User>,
    /// What lives in the volume.
    #[serde(default)]
    pub data: Data,
    /// What the log files of single services may take.
    #[serde(default)]
    pub logs: BTreeMap<String, LogRule>,
    /// What the vendor has looked at on a host.
    #[serde(default)]
    pub preflight: BTreeMap<String, PreflightRule>,
}

/// `[preflight.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreflightRule {
    /// It runs as this service does.
    pub service: Spanned<String>,
    /// Argument vector.
    pub run: Vec<String>,
    /// How long it may take.
    #[serde(default = "default_preflight_timeout")]
    pub timeout: Seconds,
    /// What follows unless all is well.
    pub consequence: String,
    /// What helps then.
    pub remedy: String,
}

fn default_preflight_timeout() -> Seconds {
    Seconds { milliseconds: 10_000 }
}

/// `[logs.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRule {
    /// MiB of one file.
    pub size: NonZeroU32,
    /// How many are kept.
    #[serde(default = "default_log_files")]
    pub files: NonZeroU32,
}

fn default_log_files() -> NonZeroU32 {
    NonZeroU32::new(LogLimit::default().files).unwrap_or(NonZeroU32::MIN)
}

/// `[image]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// Repository name, such as `vendor/backend`.
    pub name: Spanned<String>,
    /// Version, such as `43.4.4`.
    pub version: String,
    /// Tag, `{version}` being replaced.
    #[serde(default = "default_tag")]
    pub tag: String,
    /// TCP ports the front serves.
    #[serde(default)]
    pub expose: Vec<u16>,
    /// What the customer types after `docker exec NAME`.
    pub command: Spanned<String>,
    /// Put before each setting's environment name.
    #[serde(default)]
    pub env_prefix: String,
    /// The whole ordered stop.
    #[serde(default = "default_stop_timeout")]
    pub stop_timeout: Seconds,
    /// What packages bring and would be left out: documentation, translations.
    #[serde(default)]
    pub keep: Vec<Keep>,
    /// A file of public keys, minisign's, that the image verifies the archive of the next release with.
    #[serde(default)]
    pub verify_key: Option<Spanned<String>>,
    /// Facts for other programs, in the configuration; a key without a dot is one of OCI's own.
    #[serde(default)]
    pub labels: BTreeMap<String, Spanned<String>>,
    /// Facts for registries, in the OCI manifest, beside the labels that are OCI's own.
    #[serde(default)]
    pub annotations: BTreeMap<String, Spanned<String>>,
    /// How engines ask whether all is well.
    #[serde(default)]
    pub healthcheck: HealthcheckRule,
}

/// `healthcheck = {...}`: the image's own agent is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HealthcheckRule {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Time between questions.
    pub interval: Seconds,
    /// Time for an answer.
    pub timeout: Seconds,
    /// Time at the start in which not being ready does not count.
    pub start_period: Seconds,
    /// So many bad answers in a row mean unhealthy.
    pub retries: u32,
}

impl Default for HealthcheckRule {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Seconds { milliseconds: 30_000 },
            timeout: Seconds { milliseconds: 5_000 },
            start_period: Seconds { milliseconds: 120_000 },
            retries: 3,
        }
    }
}

fn default_tag() -> String {
    "v{version}".to_owned()
}

fn default_stop_timeout() -> Seconds {
    Seconds { milliseconds: 9_000 }
}

/// `[base]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Base {
    /// An image to start from: `oci:DIR` or `docker-archive:FILE`, relative to the manifest.
    pub from: Option<Spanned<String>>,
    /// The distribution; its archives are known. Of an image, what that says of itself.
    pub distribution: Option<Distribution>,
    /// Its release, such as `bookworm`. Of an image, what that says of itself.
    pub suite: Option<String>,
    /// Components of the distribution's archives.
    #[serde(default)]
    pub components: Vec<String>,
    /// Packages beside the essential ones and `apt`.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Answers to the questions of packages, as debconf-set-selections(1) reads them; relative to the manifest.
    pub preseed: Option<Spanned<String>>,
    /// Keyring of the distribution's archives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Spanned<String>>,
    /// Further archives.
    #[serde(default)]
    pub archive: Vec<Archive>,
    /// Packages that are preferred more or less than their archive.
    #[serde(default)]
    pub pin: Vec<PackagePin>,
}

impl Base {
    /// Returns whose archives packages come from, as far as this says it.
    pub(crate) fn release(&self) -> Option<Release> {
        Some(Release { distribution: self.distribution?, suite: self.suite.clone()? })
    }
}

/// A release of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The distribution.
    pub distribution: Distribution,
    /// Its name, such as `bookworm`.
    pub suite: String,
}

/// A distribution whose archive layout is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Debian: the release, its updates and its security archive.
    Debian,
    /// Ubuntu: the same three, all of them in one archive.
    Ubuntu,
}

/// `[[base.archive]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// For messages.
    pub name: String,
    /// Base address, the part before `dists/`.
    pub url: Spanned<String>,
    /// Suite or codename.
    pub suite: String,
    /// Components, such as `main`.
    pub components: Vec<String>,
    /// Key file, relative to the manifest.
    pub signed_by: Spanned<String>,
    /// How much its packages are preferred, as in apt_preferences(5).
    pub priority: Option<i32>,
}

/// `[[base.pin]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackagePin {
    /// Names of packages, with `*` and `?`.
    pub packages: Vec<String>,
    /// The archive they are from, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Their version, with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The priority; a negative one means never.
    pub priority: i32,
}

/// `[users.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User id, and group id of the group of the same name.
    pub uid: u32,
    /// Home directory.
    #[serde(default = "default_home")]
    pub home: String,
    /// Log-in shell.
    #[serde(default = "default_shell")]
    pub shell: String,
}

fn default_home() -> String {
    "/nonexistent".to_owned()
}

fn default_shell() -> String {
    "/usr/sbin/nologin".to_owned()
}

/// `[data]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Directories made at start when they are missing.
    #[serde(default)]
    pub directories: Vec<DataDirectory>,
    /// Directories of the image, by absolute path, that live in the volume and start as the image has them.
    #[serde(default)]
    pub persist: Vec<Spanned<String>>,
}

/// One entry of `[data] directories`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDirectory {
    /// Absolute path under `/data`.
    pub path: Spanned<String>,
    /// User by name; its primary group is the group.
    pub owner: String,
    /// Permission bits in octal.
    #[serde(default = "default_directory_mode")]
    pub mode: Mode,
}

fn default_directory_mode() -> Mode {
    Mode(0o750)
}

/// Permission bits, written in octal as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a mode in octal such as `0750`"))
    }
}

/// A duration, written as `9s`, `2.5s` or `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Seconds {
    /// Its length.
    pub milliseconds: u64,
}

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (number, factor) = match (text.strip_suffix("ms"), text.strip_suffix('s'), text.strip_suffix('m'))
        {
            (Some(number), ..) => (number, 1.0),
            (_, Some(number), _) => (number, 1_000.0),
            (.., Some(number)) => (number, 60_000.0),
            _ => ("", 0.0),
        };
        match number.parse::<f64>() {
            Ok(value) if (0.0..1e9).contains(&value) => {
                Ok(Self { milliseconds: (value * factor).round() as u64 })
            }
            _ => Err(format!("`{text}` is not a duration such as `9s`, `500ms` or `2m`")),
        }
    }
}

/// Parses a manifest's text.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, ManifestError> {
    toml::from_str(text).map_err(|source| ManifestError::Syntax {
        place: Place::of(path, text, source.span().map_or(0, |span| span.start)),
        closest: closest_key(source.message()),
        source: Box::new(source),
    })
}

/// Finds the known key nearest to the unknown one in serde's "unknown field `a`, expected one of `b`, `c`".
fn closest_key(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted).map(str::to_owned)
}

/// Returns the candidate most like `word`, when one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
