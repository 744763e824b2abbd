//! The JSON documents of OCI images and Docker archives, as far as they are written or read here.

use std::collections::BTreeMap;
use std::time::Duration;

use casque_format::digest::Digest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{Healthcheck, ImageConfig};

pub(crate) const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// Annotation: the whole name of an image, which containerd gives it.
pub(crate) const NAME: &str = "io.containerd.image.name";
/// Annotation: the tag alone.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation: so many of the lowest layers are not in this archive, since whoever loads it has them.
pub(crate) const LEFT_OUT: &str = "casque.left-out";

/// Where a blob is and what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// `index.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// An OCI image manifest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// One image of Docker's `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerImage {
    pub(crate) config: String,
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    pub(crate) layers: Vec<String>,
}

/// An image's configuration. Docker writes `null` for empty lists, hence the options.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConfigDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<ConfigSection>,
    pub(crate) rootfs: RootFs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) history: Option<Vec<HistoryEntry>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ConfigSection {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    exposed_ports: Option<BTreeMap<String, Nothing>>,
    #[serde(skip_serializing_if = "is_empty")]
    env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_empty")]
    entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_empty")]
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_empty")]
    volumes: Option<BTreeMap<String, Nothing>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<HealthcheckSection>,
}

/// The empty object that stands behind a port or a volume.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Nothing {}

/// Docker's health check; times in nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HealthcheckSection {
    test: Vec<String>,
    interval: u64,
    timeout: u64,
    start_period: u64,
    retries: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) diff_ids: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HistoryEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_by: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) empty_layer: bool,
}

impl ConfigDocument {
    /// Makes the document of an image with these layers, each with what it was created by.
    pub(crate) fn new(config: &ImageConfig, layers: &[(Digest, &str)]) -> Self {
        let created = rfc3339(config.created);
        Self {
            created: created.clone(),
            architecture: config.architecture.clone(),
            os: "linux".to_owned(),
            config: Some(ConfigSection::new(config)),
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: layers.iter().map(|(diff_id, _)| diff_id.oci()).collect(),
            },
            history: Some(
                layers
                    .iter()
                    .map(|(_, created_by)| HistoryEntry {
                        created: created.clone(),
                        created_by: Some((*created_by).to_owned()),
                        empty_layer: false,
                    })
                    .collect(),
            ),
        }
    }

    /// Returns what the document says, as far as [`ImageConfig`] has a place for it.
    pub(crate) fn to_config(&self) -> ImageConfig {
        let section = self.config.clone().unwrap_or_default();
        let ports = section.exposed_ports.unwrap_or_default();
        let environment = section.env.unwrap_or_default();
        ImageConfig {
            architecture: self.architecture.clone(),
            created: self.created.as_deref().and_then(seconds).unwrap_or(0),
            entrypoint: section.entrypoint.unwrap_or_default(),
            command: section.cmd.unwrap_or_default(),
            environment: environment
                .iter()
                .filter_map(|variable| variable.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ports: ports
                .keys()
                .filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
                .collect(),
            volumes: section.volumes.unwrap_or_default().into_keys().collect(),
            user: section.user.filter(|user| !user.is_empty()),
            working_directory: section.working_dir.filter(|directory| !directory.is_empty()),
            labels: section.labels.unwrap_or_default(),
            stop_signal: section.stop_signal.filter(|signal| !signal.is_empty()),
            healthcheck: section.healthcheck.and_then(HealthcheckSection::into_healthcheck),
        }
    }

    /// Returns what each layer was created by, where the history tells.
    pub(crate) fn created_by(&self) -> Vec<Option<String>> {
        let history = self.history.iter().flatten().filter(|entry| !entry.empty_layer);
        let mut texts: Vec<_> = history.map(|entry| entry.created_by.clone()).collect();
        texts.resize(self.rootfs.diff_ids.len(), None);
        texts
    }
}

impl ConfigSection {
    fn new(config: &ImageConfig) -> Self {
        let variables = config.environment.iter();
        let ports = config.ports.iter();
        let volumes = config.volumes.iter();
        Self {
            user: config.user.clone(),
            exposed_ports: Some(ports.map(|port| (format!("{port}/tcp"), Nothing {})).collect()),
            env: Some(variables.map(|(name, value)| format!("{name}={value}")).collect()),
            entrypoint: Some(config.entrypoint.clone()),
            cmd: Some(config.command.clone()),
            volumes: Some(volumes.map(|volume| (volume.clone(), Nothing {})).collect()),
            working_dir: config.working_directory.clone(),
            labels: Some(config.labels.clone()),
            stop_signal: config.stop_signal.clone(),
            healthcheck: config.healthcheck.as_ref().map(HealthcheckSection::new),
        }
    }
}

impl HealthcheckSection {
    fn new(check: &Healthcheck) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut test = vec!["CMD".to_owned()];
        test.extend(check.command.iter().cloned());
        Self {
            test,
            interval: nanoseconds(check.interval),
            timeout: nanoseconds(check.timeout),
            start_period: nanoseconds(check.start_period),
            retries: check.retries,
        }
    }

    fn into_healthcheck(self) -> Option<Healthcheck> {
        let command = match self.test.split_first() {
            Some((kind, command)) if kind == "CMD" => command.to_vec(),
            Some((kind, [line])) if kind == "CMD-SHELL" => {
                vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()]
            }
            _ => return None,
        };
        Some(Healthcheck {
            command,
            interval: Duration::from_nanos(self.interval),
            timeout: Duration::from_nanos(self.timeout),
            start_period: Duration::from_nanos(self.start_period),
            retries: self.retries,
        })
    }
}

/// Returns whether a list or map says nothing: an absent key means the same.
fn is_empty<T>(value: &Option<T>) -> bool
where
    for<'a> &'a T: IntoIterator,
{
    value.as_ref().is_none_or(|value| value.into_iter().next().is_none())
}

fn rfc3339(seconds: u64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    time.format(&Rfc3339).ok()
}

fn seconds(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    time.unix_timestamp().try_into().ok()
}
