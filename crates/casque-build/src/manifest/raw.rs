//! The manifest's shape, as serde reads it. Unknown keys are refused everywhere.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;

use casque_format::image::CpuFeature;
use casque_format::run::LogLimit;
use casque_format::settings::Setting;
use casque_format::status::Probes;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::error::{ManifestError, Place};
use crate::trim::Keep;

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

/// `[[layer]]`: packages, then Python, then copies, then the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LayerStep {
    /// For messages and the image's history.
    pub name: Spanned<String>,
    /// Debian packages, `name` or `name=version`.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Virtual environments: a table, or a list of them.
    #[serde(default, deserialize_with = "one_or_several")]
    pub python: Vec<Python>,
    /// Files that ship.
    #[serde(default)]
    pub copy: Vec<Transfer>,
    /// Files that are there for the step only.
    #[serde(default)]
    pub mount: Vec<Transfer>,
    /// A shell command line.
    pub run: Option<String>,
    /// Debian packages that are there for the step only.
    #[serde(default)]
    pub with_packages: Vec<String>,
    /// How the step reaches the network.
    #[serde(default)]
    pub network: StepNetwork,
    /// Values that only the step sees.
    #[serde(default)]
    pub secrets: Vec<Secret>,
}

/// One entry of `secrets`: where the step finds a value that is given to a build.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// What `--secret` calls it.
    pub id: Spanned<String>,
    /// Absolute path of a file.
    pub to: Option<Spanned<String>>,
    /// A variable of the step's command.
    pub variable: Option<Spanned<String>>,
}

impl Secret {
    /// Returns what `--secret` calls it.
    pub fn id(&self) -> &str {
        self.id.get_ref()
    }

    /// Returns the path of its file, if it has one.
    pub fn place(&self) -> Option<String> {
        match (&self.to, &self.variable) {
            (Some(to), _) => Some(to.get_ref().clone()),
            (None, Some(_)) => None,
            (None, None) => Some(format!("/run/secrets/{}", self.id())),
        }
    }
}

/// `network = ...` of a layer: `true`, `false` or `"host"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepNetwork {
    /// Not at all.
    #[default]
    None,
    /// Through a proxy that records downloads when locking and replays them when building.
    Recorded,
    /// As this host does; nobody knows what it gets there.
    Host,
}

impl fmt::Display for StepNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Recorded => "recorded",
            Self::Host => "this host's",
        })
    }
}

impl<'de> Deserialize<'de> for StepNetwork {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = StepNetwork;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true`, `false` or `\"host\"`")
            }

            fn visit_bool<E>(self, recorded: bool) -> Result<StepNetwork, E> {
                Ok(if recorded { StepNetwork::Recorded } else { StepNetwork::None })
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<StepNetwork, E> {
                match word {
                    "host" => Ok(StepNetwork::Host),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl LayerStep {
    /// Returns the Debian packages that are there for building Python distributions only.
    pub(crate) fn build_packages(&self) -> Vec<String> {
        let mut packages: Vec<String> = Vec::new();
        for package in self.python.iter().flat_map(|python| &python.build_packages) {
            if !packages.contains(package) {
                packages.push(package.clone());
            }
        }
        packages
    }
}

/// `python = {...}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Python {
    /// Absolute path of the virtual environment in the image.
    pub venv: String,
    /// Hash-pinned requirements, relative to the manifest.
    pub requirements: Spanned<String>,
    /// Source trees of the project.
    #[serde(default)]
    pub install: Vec<Spanned<String>>,
    /// Debian packages that are there while distributions are built.
    #[serde(default)]
    pub build_packages: Vec<String>,
    /// What distributions are built with besides what they say themselves.
    #[serde(default)]
    pub build_requires: Vec<String>,
    /// Whether pip is in the environment; left out, where `python3-venv` is in the image.
    pub pip: Option<bool>,
    /// What distributions need of each other is the vendor's business.
    #[serde(default)]
    pub no_deps: bool,
}

/// Reads a table, or a list of tables.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Python>, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Vec<Python>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a table with `venv` and `requirements`, or a list of such tables")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Python::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }

    deserializer.deserialize_any(Either)
}

/// One entry of `copy` or `mount`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Source, relative to the manifest.
    pub from: Spanned<String>,
    /// Absolute path in the image.
    pub to: Spanned<String>,
}

/// `[service.NAME]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceRule {
    /// `supervisor:FILE`, `supervisor:FILE#PROGRAM` or `systemd:UNIT`.
    pub from: Option<Spanned<String>>,
    /// Argument vector; with `from` it replaces the unit's.
    pub command: Option<Vec<String>>,
    /// Runs until stopped, or to its end at each start.
    #[serde(rename = "type")]
    pub kind: Option<casque_format::run::Kind>,
    /// User by name.
    pub user: Option<String>,
    /// Where it runs.
    pub working_directory: Option<String>,
    /// Environment; over the unit's.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Environment variables that take a setting's value: variable to setting.
    #[serde(default)]
    pub environment_settings: BTreeMap<String, Spanned<String>>,
    /// Variables that it takes over from the container's environment.
    #[serde(default)]
    pub inherit: Vec<Spanned<String>>,
    /// File mode creation mask.
    pub umask: Option<Mode>,
    /// Limits of its resources, as numbers of setrlimit(2); over the unit's.
    #[serde(default)]
    pub limits: BTreeMap<casque_format::run::Resource, u64>,
    /// Lowers its share of the processors.
    pub nice: Option<Spanned<i32>>,
    /// What the kernel adds when it looks for somebody to kill.
    pub oom_score_adjust: Option<Spanned<i32>>,
    /// Directories made before each start, beside the unit's.
    #[serde(default)]
    pub directories: Vec<DirectoryRule>,
    /// So many of it run.
    pub replicas: Option<Spanned<ReplicasRule>>,
    /// Starts when these are ready.
    #[serde(default)]
    pub after: Vec<Spanned<String>>,
    /// Cannot be without these.
    #[serde(default)]
    pub requires: Vec<Spanned<String>>,
    /// What happens when one of these is not ready any more.
    #[serde(default)]
    pub when_lost: BTreeMap<Spanned<String>, casque_format::run::WhenLost>,
    /// How to tell that it serves.
    pub ready: Option<ReadyRule>,
    /// How to tell that it still serves.
    pub health: Option<HealthRule>,
    /// Of a one-shot: that it has nothing to do once it was done.
    pub once: Option<casque_format::run::Once>,
    /// Of a one-shot: when it runs.
    pub schedule: Option<Spanned<String>>,
    /// How it takes over changed files.
    pub reload: Option<ReloadRule>,
    /// Asks whether it can take over changed files.
    pub check: Option<Vec<String>>,
    /// The files with marks that it reads.
    pub files: Option<Vec<Spanned<String>>>,
    /// From spawn to ready.
    pub start_timeout: Option<Seconds>,
    /// When to start it again.
    pub restart: Option<casque_format::run::RestartPolicy>,
    /// How to stop it.
    #[serde(default)]
    pub stop: StopRule,
    /// What runs each time when it has ended; over the unit's.
    pub post_stop: Option<Vec<String>>,
    /// Whether the container stops when it cannot be kept running.
    pub critical: Option<bool>,
    /// Runs only when this setting has a value.
    pub when: Option<Spanned<String>>,
    /// Runs only when this setting has no value.
    pub unless: Option<Spanned<String>>,
    /// It serves the exposed ports.
    pub front: Option<Front>,
    /// What a host has to have for it.
    #[serde(default)]
    pub needs: NeedsRule,
}

impl ServiceRule {
    /// Returns the services that it starts after.
    pub fn needs(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.after.iter().chain(&self.requires)
    }

    /// Returns what its exit means, as far as the manifest decides that.
    pub fn kind(&self) -> Option<casque_format::run::Kind> {
        let oneshot = self.schedule.is_some() || self.once.is_some();
        self.kind.or(oneshot.then_some(casque_format::run::Kind::Oneshot))
    }
}

/// `ready = {...}`: exactly one kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyRule {
    /// `address:port`.
    pub tcp: Option<String>,
    /// Path of a socket.
    pub unix: Option<String>,
    /// Address of a page.
    pub http: Option<String>,
    /// Argument vector.
    pub exec: Option<Vec<String>>,
    /// `address:port`.
    pub redis: Option<String>,
    /// `address:port`.
    pub mongodb: Option<String>,
    /// It says so itself.
    pub notify: Option<bool>,
}

impl ReadyRule {
    /// Counts the kinds that are given.
    pub fn kinds(&self) -> usize {
        let texts = [&self.tcp, &self.unix, &self.http, &self.redis, &self.mongodb];
        let texts = texts.into_iter().flatten().count();
        texts + usize::from(self.exec.is_some()) + usize::from(self.notify == Some(true))
    }
}

/// `health = {...}`: exactly one kind, and how often.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthRule {
    /// `address:port`.
    pub tcp: Option<String>,
    /// Path of a socket.
    pub unix: Option<String>,
    /// Address of a page.
    pub http: Option<String>,
    /// Argument vector.
    pub exec: Option<Vec<String>>,
    /// `address:port`.
    pub redis: Option<String>,
    /// `address:port`.
    pub mongodb: Option<String>,
    /// Between an answer and the next question.
    pub interval: Seconds,
    /// For an answer.
    pub timeout: Seconds,
    /// So many failures in a row count as a crash.
    pub failures: u32,
}

impl Default for HealthRule {
    fn default() -> Self {
        Self {
            tcp: None,
            unix: None,
            http: None,
            exec: None,
            redis: None,
            mongodb: None,
            interval: Seconds { milliseconds: 10_000 },
            timeout: Seconds { milliseconds: 5_000 },
            failures: 3,
        }
    }
}

impl HealthRule {
    /// Returns what is asked, as a readiness check would.
    pub fn check(&self) -> ReadyRule {
        ReadyRule {
            tcp: self.tcp.clone(),
            unix: self.unix.clone(),
            http: self.http.clone(),
            exec: self.exec.clone(),
            redis: self.redis.clone(),
            mongodb: self.mongodb.clone(),
            notify: None,
        }
    }
}

/// `reload = {...}`: exactly one of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadRule {
    /// Signal name without `SIG`.
    pub signal: Option<Spanned<String>>,
    /// Argument vector.
    pub exec: Option<Vec<String>>,
}

/// One entry of `directories` of a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryRule {
    /// Absolute path.
    pub path: Spanned<String>,
    /// User by name; its primary group is the group. Left out, the service's user.
    pub owner: Option<String>,
    /// Permission bits in octal.
    #[serde(default = "default_run_directory_mode")]
    pub mode: Mode,
}

fn default_run_directory_mode() -> Mode {
    Mode(0o755)
}

/// `replicas = ...`: a number, `"cpus"`, or a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicasRule {
    /// So many.
    pub count: Option<u32>,
    /// So many for each processor.
    pub per_cpu: Option<u32>,
    /// One for each so many bytes.
    pub per_memory: Option<u64>,
    /// At most so many.
    pub max: Option<u32>,
}

impl<'de> Deserialize<'de> for ReplicasRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct Table {
            per_cpu: Option<u32>,
            per_memory: Option<Bytes>,
            max: Option<u32>,
        }
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = ReplicasRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, `\"cpus\"` or a table such as `{ per-cpu = 2, max = 8 }`")
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<ReplicasRule, E> {
                let wrong = || E::invalid_value(Unexpected::Signed(count), &self);
                let count = u32::try_from(count).map_err(|_| wrong())?;
                Ok(ReplicasRule { count: Some(count), ..ReplicasRule::default() })
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ReplicasRule, E> {
                match word {
                    "cpus" => Ok(ReplicasRule { per_cpu: Some(1), ..ReplicasRule::default() }),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ReplicasRule, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let per_memory = table.per_memory.map(|Bytes(bytes)| bytes);
                Ok(ReplicasRule { count: None, per_cpu: table.per_cpu, per_memory, max: table.max })
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

/// An amount of memory or room, written as `256MiB` or `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bytes(pub u64);

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
        let found = units.into_iter().find_map(|(unit, shift)| {
            let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
        });
        found.map(Self).ok_or_else(|| format!("`{text}` is not an amount such as `256MiB` or `2GiB`"))
    }
}

/// `needs = {...}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeedsRule {
    /// What its programs ask of the processor.
    #[serde(default)]
    pub cpu: Vec<CpuFeature>,
    /// Memory of all its replicas together.
    pub memory: Option<Bytes>,
    /// Room in the volume.
    pub disk: Option<Bytes>,
}

/// `stop = {...}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRule {
    /// Signal name without `SIG`.
    pub signal: Option<Spanned<String>>,
    /// Before KILL.
    pub timeout: Option<Seconds>,
}

/// `front = {...}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Front {
    /// Path that the agent answers.
    pub status_path: String,
    /// Path that says whether the container is alive.
    #[serde(default = "default_live_path")]
    pub live_path: String,
    /// Path that says whether everything is ready.
    #[serde(default = "default_ready_path")]
    pub ready_path: String,
    /// Path of the numbers for Prometheus.
    #[serde(default = "default_metrics_path")]
    pub metrics_path: String,
    /// Which of the exposed ports is for HTTPS.
    pub https_port: Option<u16>,
}

impl Front {
    /// Returns the paths beside the status that the agent answers.
    pub fn probes(&self) -> Probes {
        let (live, ready, metrics) = (&self.live_path, &self.ready_path, &self.metrics_path);
        Probes { live: live.clone(), ready: ready.clone(), metrics: metrics.clone() }
    }
}

fn default_live_path() -> String {
    Probes::default().live
}

fn default_ready_path() -> String {
    Probes::default().ready
}

fn default_metrics_path() -> String {
    Probes::default().metrics
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
