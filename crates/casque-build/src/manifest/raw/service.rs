//! The keys of a service.

use std::collections::BTreeMap;
use std::fmt;

use casque_format::image::CpuFeature;
use casque_format::status::Probes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{Mode, Seconds};

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
