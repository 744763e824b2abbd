//! The resolved plan that PID 1 carries out, and the agent's configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::Product;

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
    /// Starts when these are ready, stops before them.
    #[serde(default)]
    pub after: Vec<String>,
    /// How to tell that it serves; none means as soon as it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Milliseconds from spawn to ready (or, of a one-shot, to its end).
    pub start_timeout_ms: u64,
    /// What to do when it exits by itself.
    pub restart: Restart,
    /// How it is stopped.
    pub stop: Stop,
    /// A critical service that cannot be kept running takes the container with it.
    pub critical: bool,
    /// How it gets the sockets that PID 1 opened.
    #[serde(default)]
    pub sockets: Sockets,
    /// Files removed before each start, such as the socket a killed predecessor left.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Directories made before each start, owned by the service's user, mode 0755.
    #[serde(default)]
    pub directories: Vec<String>,
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
}

/// What to do when a service exits by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// When to start it again.
    pub policy: RestartPolicy,
    /// Consecutive failures after which it counts as failed.
    pub limit: u32,
    /// Milliseconds before the second restart; doubles up to `max_delay_ms`. The first is at once after a stable run.
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
}
