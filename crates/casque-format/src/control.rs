//! What is said on PID 1's control socket: one JSON document per line, each way.

use serde::{Deserialize, Serialize};

/// The version of this protocol, in every snapshot.
pub const VERSION: u32 = 1;

/// A request, one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Answered with one [`Reply::Status`].
    Status,
    /// Answered with a [`Reply::Status`] now and after each change, until the peer hangs up.
    Watch,
    /// Stops and starts a service; answered when it is ready again or cannot be.
    Restart {
        /// Which.
        service: String,
    },
    /// Stops a service until it is started again.
    Stop {
        /// Which.
        service: String,
    },
    /// Starts a stopped or failed service, its failures forgotten.
    Start {
        /// Which.
        service: String,
    },
    /// Prepares the plan anew and carries out what is different in it; answered with [`Reply::Reloaded`] when that has begun, or
    /// with why nothing was changed: the first line says it, those after it are what the preparation wrote.
    Reload,
    /// Answered with the newest captured lines.
    Logs {
        /// Which; none means all, in the order they were written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// How many lines at most.
        lines: u32,
    },
    /// Answered with the newest captured lines as [`Request::Logs`] is, and then with each that comes, until the peer hangs
    /// up. Whoever reads too slowly gets a [`Reply::Error`] at the end.
    Follow {
        /// Which; none means all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// How many lines at most at the beginning.
        lines: u32,
    },
    /// Stops every service but the agent, in order, and answers with [`Reply::Done`] when all are gone. They start again when
    /// the peer hangs up, for whatever reason it does; until then, nothing else is started, stopped or changed.
    Maintain,
    /// Answered with a [`Reply::Event`] about the container now, and then with one for each change, until the peer hangs up.
    Events,
}

/// A reply, one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// The state of everything.
    Status {
        /// That state.
        snapshot: Snapshot,
    },
    /// The command was carried out.
    Done,
    /// Another plan is being carried out.
    Reloaded {
        /// The services that it touches, sorted by name.
        changes: Vec<Change>,
    },
    /// Captured lines, oldest first, labelled as on stdout, secrets masked.
    Logs {
        /// Those lines.
        lines: Vec<String>,
    },
    /// Something has changed.
    Event {
        /// What.
        event: Event,
    },
    /// The command was not carried out.
    Error {
        /// Why, for people.
        message: String,
    },
}

/// What another plan does to one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub service: String,
    /// What happens to it.
    pub touched: Touched,
}

/// What happens to a service whose plan or files are others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Touched {
    /// It is told, and runs on.
    Told,
    /// It is started, anew or for the first time.
    Started,
    /// It is stopped.
    Stopped,
}

/// A change of state, of the container or of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in UTC, as RFC 3339 with milliseconds.
    pub time: String,
    /// The new state of all services together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Overall>,
    /// The new state of one service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceStatus>,
}

/// The state of everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`VERSION`].
    pub version: u32,
    /// All services together.
    pub state: Overall,
    /// Milliseconds since PID 1 began.
    pub uptime_ms: u64,
    /// The service that inherited the sockets serves them now.
    pub front_ready: bool,
    /// Each service, sorted by name.
    pub services: Vec<ServiceStatus>,
}

/// All services together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overall {
    /// Not everything has been ready yet.
    Starting,
    /// Everything is ready.
    Ready,
    /// Everything was ready once, and something is not now.
    Degraded,
    /// Every service but the agent is stopped on purpose, as for a backup, and starts again afterwards.
    Maintenance,
    /// The ordered stop is under way.
    Stopping,
}

/// One service at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: ServiceState,
    /// Its main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Starts after the first.
    pub restarts: u32,
    /// Milliseconds in this state.
    pub since_ms: u64,
    /// How its last run ended, such as `killed by SIGKILL` or `exited with 3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
    /// What an operator should know, such as why it cannot start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How often it was killed because the container had no memory left.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub oom_kills: u32,
    /// Lines of it that nobody read from standard output in time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_lines: u64,
    /// Lines of it that its log file did not take.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unfiled_lines: u64,
    /// Why its log file takes none now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_problem: Option<String>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// The state of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Waits for what it comes after.
    Waiting,
    /// Runs, not ready yet.
    Starting,
    /// Serves; of a one-shot: done.
    Ready,
    /// Died; its next start waits for its backoff.
    Backoff,
    /// Is being stopped.
    Stopping,
    /// Was stopped on request.
    Stopped,
    /// Will not be started again by itself.
    Failed,
}
