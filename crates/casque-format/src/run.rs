//! The resolved plan that PID 1 carries out, and the agent's configuration.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::Product;
use crate::status::{Certificate, Probes};
use crate::syslog::{Buffer, Receiver};

/// The version of [`RunPlan`] this code writes.
pub const VERSION: u32 = 1;

/// What PID 1 does: every service here runs, conditions are already decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// [`VERSION`].
    pub version: u32,
    /// What the image is.
    pub product: Product,
    /// TCP ports opened once, on every IPv4 address.
    pub listen: Vec<u16>,
    /// Services by name. `after` names only services of this plan.
    pub services: BTreeMap<String, Service>,
    /// Milliseconds for the whole ordered stop.
    pub stop_budget_ms: u64,
    /// Values that must not appear in any line PID 1 writes.
    pub mask: Vec<String>,
    /// The agent's uid: beside root and PID 1's own user it may ask for the status.
    pub agent_uid: u32,
    /// What becomes of what services write.
    #[serde(default)]
    pub logs: Logs,
}

/// What becomes of what services write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// What a line on standard output looks like.
    #[serde(default)]
    pub format: LogFormat,
    /// Where each service has a file of its own; none means no files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// What the files of one service may take.
    #[serde(default)]
    pub limit: LogLimit,
    /// The same for single services.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, LogLimit>,
    /// Where every line is kept once more for the customer's syslog; none means nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Buffer>,
}

/// What a line on standard output looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// `web | the line`.
    #[default]
    Text,
    /// `{"time":"...","service":"web","line":"the line"}`.
    Json,
}

/// What the files of one service may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimit {
    /// Bytes of one file before the next is begun.
    pub size: u64,
    /// How many files are kept, the current one included.
    pub files: u32,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self { size: 10 << 20, files: 5 }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// What its exit means.
    pub kind: Kind,
    /// Argument vector; the first is a path, or a name looked up in the service's `PATH`.
    pub command: Vec<String>,
    /// Who runs it; none means PID 1's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Identity>,
    /// Where it runs; none means `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Its whole environment, beside `PATH`, `HOME`, `USER` and `LOGNAME` which PID 1 supplies when they are not here.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// File mode creation mask; none means 0o022.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Limits of its resources. None is raised above what the container allows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Resource, u64>,
    /// Lowers its share of the processors, as nice(1) does; none means PID 1's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// What the kernel adds when it looks for somebody to kill, -1000 to 1000; none means PID 1's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adjust: Option<i32>,
    /// So many of it run, named `NAME-1` and so on; none means one, under its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Starts when these are ready or have failed for good, stops before them.
    #[serde(default)]
    pub after: Vec<String>,
    /// Cannot be without these: starts when they are ready, stops before them, fails when they have failed for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// What happens to it when one of those it comes after, or requires, was ready and is not any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when_lost: BTreeMap<String, WhenLost>,
    /// How to tell that it serves; none means as soon as it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// How to tell that it still serves; none means that its process is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Of a one-shot: that it has nothing to do once it was done; none means that it runs at each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// Of a one-shot: when it runs, see [`crate::cron`]; none means at the start of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// How it takes over changed files; none means that it is started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
    /// An argument vector, run as the service's user, that exits 0 when the service can take over changed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Vec<String>>,
    /// The rendered files that it reads; none means that it may read all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    /// Milliseconds from spawn to ready (or, of a one-shot, to its end).
    pub start_timeout_ms: u64,
    /// What to do when it exits by itself.
    pub restart: Restart,
    /// How it is stopped.
    pub stop: Stop,
    /// An argument vector, run as the service's user each time when the service has ended and nothing of it is left; see
    /// [`EXIT_REASON`]. None means that nothing is to be done then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_stop: Option<Vec<String>>,
    /// A critical service that cannot be kept running takes the container with it.
    pub critical: bool,
    /// How it gets the sockets that PID 1 opened.
    #[serde(default)]
    pub sockets: Sockets,
    /// Files removed before each start, such as the socket a killed predecessor left.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Directories made before each start.
    #[serde(default)]
    pub directories: Vec<RunDirectory>,
}

impl Service {
    /// Returns a service that runs `command` and says nothing else.
    pub fn new(kind: Kind, command: Vec<String>) -> Self {
        Self {
            kind,
            command,
            user: None,
            working_directory: None,
            environment: BTreeMap::new(),
            umask: None,
            limits: BTreeMap::new(),
            nice: None,
            oom_score_adjust: None,
            replicas: None,
            after: Vec::new(),
            requires: Vec::new(),
            when_lost: BTreeMap::new(),
            ready: None,
            health: None,
            once: None,
            schedule: None,
            reload: None,
            check: None,
            files: None,
            start_timeout_ms: START_TIMEOUT_MS,
            restart: Restart::default(),
            stop: Stop::default(),
            post_stop: None,
            critical: true,
            sockets: Sockets::None,
            remove: Vec::new(),
            directories: Vec::new(),
        }
    }
}

/// Why a service has ended, for [`Service::post_stop`]: `stopped` when PID 1 had it end, `exited` or `killed` when it did so by
/// itself, `out-of-memory`, or `background` when it left others running in its place.
pub const EXIT_REASON: &str = "CASQUE_EXIT_REASON";
/// The code that a service has ended with, for [`Service::post_stop`]; not there when a signal has ended it.
pub const EXIT_CODE: &str = "CASQUE_EXIT_CODE";
/// The signal that has ended a service, without `SIG`, for [`Service::post_stop`]; not there when it has ended by itself.
pub const EXIT_SIGNAL: &str = "CASQUE_EXIT_SIGNAL";

/// From spawn to ready when nothing is said, milliseconds.
const START_TIMEOUT_MS: u64 = 60_000;

/// A directory made before each start of a service, which is given to its owner each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDirectory {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// User and group id; none means those of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
}

impl RunDirectory {
    /// Returns a directory of the service's own user, mode 0755.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), mode: 0o755, owner: None }
    }
}

/// How many of a service run: the least of what is given, and at least one. `{replica}` in command and environment is
/// the number of each, from 1 on, and so is the variable `CASQUE_REPLICA`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// So many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// So many for each processor that the container may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_cpu: Option<u32>,
    /// One for each so many bytes that the container may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_memory: Option<u64>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

impl Replicas {
    /// Returns how many run where there are `cpus` processors and `memory` bytes.
    pub fn number(&self, cpus: u32, memory: u64) -> u32 {
        let by_memory = |each: u64| u32::try_from(memory / each.max(1)).unwrap_or(u32::MAX);
        let limits = [
            self.count,
            self.per_cpu.map(|each| each.saturating_mul(cpus)),
            self.per_memory.map(by_memory),
            self.max,
        ];
        limits.into_iter().flatten().min().unwrap_or(1).max(1)
    }
}

/// What happens to a service when one that it comes after is not ready any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenLost {
    /// Nothing but a line in the log: most clients connect again by themselves.
    None,
    /// It is stopped, and started when the other is ready again.
    Restart,
    /// It is stopped.
    Stop,
}

/// How to tell that a service still serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is asked; not [`Ready::Notify`].
    pub check: Ready,
    /// Milliseconds between an answer and the next question.
    pub interval_ms: u64,
    /// Milliseconds for an answer.
    pub timeout_ms: u64,
    /// So many failures in a row count as a crash.
    pub failures: u32,
}

/// When a one-shot that was done has nothing to do any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Once {
    /// Ever after, on this volume.
    Volume,
    /// As long as the product's version stays the same, on this volume.
    Version,
}

/// How a running service takes over changed files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reload {
    /// Its main process gets this signal, named without `SIG`.
    Signal(String),
    /// This argument vector, run as the service's user, tells it.
    Exec(Vec<String>),
}

/// What a limit is of, as getrlimit(2) names it. Soft and hard limit are one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Bytes of address space.
    As,
    /// Bytes of a core dump.
    Core,
    /// Seconds of processor time.
    Cpu,
    /// Bytes of data.
    Data,
    /// Bytes of a file.
    Fsize,
    /// Bytes locked in memory.
    Memlock,
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Bytes of stack.
    Stack,
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// What a service's exit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Runs until it is stopped.
    Simple,
    /// Runs to its end at each start; ready once it has exited 0.
    Oneshot,
}

/// A user as numbers, decided when the image was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name, for `USER` and for people.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, without the primary one.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// Home directory, for `HOME`.
    pub home: String,
}

/// How to tell that a service serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// A TCP connection to `address:port` is accepted.
    Tcp(String),
    /// A connection to this unix socket is accepted.
    Unix(String),
    /// `GET` answers 200 to 399: `http://address:port/path`, or `unix:/socket:/path`.
    Http(String),
    /// This argument vector, run as the service's user, exits 0.
    Exec(Vec<String>),
    /// A Redis at `address:port` answers `PING` with anything but LOADING.
    Redis(String),
    /// A MongoDB at `address:port` answers `hello`.
    Mongodb(String),
    /// It says `READY=1` on the socket in `NOTIFY_SOCKET`, as sd_notify(3) does.
    Notify,
}

/// What to do when a service exits by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// When to start it again.
    pub policy: RestartPolicy,
    /// Consecutive failures after which it counts as failed.
    pub limit: u32,
    /// Milliseconds before the second restart; doubles up to `max_delay_ms`, a tenth more or less at random. The first is at once
    /// after a stable run.
    pub delay_ms: u64,
    /// Longest wait between restarts, milliseconds.
    pub max_delay_ms: u64,
    /// A run this long, milliseconds, forgets earlier failures.
    pub stable_ms: u64,
}

/// When to start a service again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Whatever its exit.
    Always,
    /// After a signal or a code that is not 0.
    OnFailure,
    /// Never.
    Never,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Always,
            limit: 8,
            delay_ms: 500,
            max_delay_ms: 15_000,
            stable_ms: 10_000,
        }
    }
}

/// How a service is stopped: the signal goes to its main process or its group, KILL to all that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Signal name without `SIG`, such as `TERM` or `QUIT`.
    pub signal: String,
    /// Milliseconds before KILL.
    pub timeout_ms: u64,
    /// Whether the signal goes to its whole process group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group: bool,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "TERM".to_owned(), timeout_ms: 2_500, group: false }
    }
}

/// How a service gets the sockets that PID 1 opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sockets {
    /// Not at all.
    #[default]
    None,
    /// The agent: descriptors from 3 on, `LISTEN_FDS` says how many (sd_listen_fds(3), without `LISTEN_PID`).
    Agent,
    /// The front: descriptors from 3 on, `NGINX` lists them as `3;4;`.
    Nginx,
}

/// What `casque-agent serve` needs to know. Owned by the agent's user, mode 0600.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// What the image is.
    pub product: Product,
    /// Path of the status document.
    pub status_path: String,
    /// First word of the User-Agent that opens the details.
    pub status_agent: String,
    /// Token that opens the details.
    pub status_token: String,
    /// Facts an operator must see, such as a start without a named volume.
    pub warnings: Vec<String>,
    /// The other paths it answers.
    #[serde(default)]
    pub probes: Probes,
    /// Which volume this is.
    #[serde(default)]
    pub instance: String,
    /// SHA-256 of what the settings came to.
    #[serde(default)]
    pub configuration: String,
    /// The certificates among the settings.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// What it answers HTTPS with while the front does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Where logs are sent; none means nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Receiver>,
}

/// What HTTPS is served with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// On this of the exposed ports.
    pub port: u16,
    /// Chain and private key, in PEM.
    pub pair: String,
}
