//! What the clients and the step's first process say to each other: one JSON document each way.

use serde::{Deserialize, Serialize};

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Answered with [`Reply::Services`].
    Services,
    /// Names something that a build cannot give.
    Note(String),
    /// A unit that is no service was started or stopped, which does nothing here.
    Mark {
        /// Its full name.
        unit: String,
        /// Whether it counts as active.
        active: bool,
    },
    /// Something about one unit.
    Unit {
        /// What to do.
        verb: UnitVerb,
        /// Its full name.
        unit: String,
    },
    /// Sends a signal to a unit's main process.
    Kill {
        /// Its full name.
        unit: String,
        /// Name of the signal.
        signal: String,
    },
    /// Reads supervisor's configuration; answered with [`Reply::Changes`].
    Changes,
    /// Answered with [`Reply::Programs`]: what is configured, in use or not.
    Available,
    /// Makes a configured group part of the running supervisor.
    AddGroup(String),
    /// Forgets a group that does not run.
    RemoveGroup(String),
    /// Starts, stops or signals programs; answered with [`Reply::Results`].
    Programs {
        /// What to do.
        verb: ProgramVerb,
        /// Which.
        which: Selection,
    },
    /// Starts supervisor with the configuration as it is now, or does so again.
    StartSupervisor,
    /// Stops supervisor and every program.
    StopSupervisor,
}

impl Request {
    /// Says whether anybody may ask.
    pub(crate) fn is_harmless(&self) -> bool {
        matches!(self, Self::Note(_) | Self::Services | Self::Changes | Self::Available)
    }
}

/// What can be done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UnitVerb {
    /// Starts it unless it runs.
    Start,
    /// Stops it.
    Stop,
    /// Stops and starts it.
    Restart,
    /// Makes it read its configuration again.
    Reload,
}

/// What can be done to programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProgramVerb {
    /// Starts them.
    Start,
    /// Stops them.
    Stop,
    /// Sends this signal.
    Signal(String),
}

/// Which programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Selection {
    /// All that the running supervisor has.
    All,
    /// Those of a group.
    Group(String),
    /// One.
    One {
        /// Its group.
        group: String,
        /// Its own name.
        name: String,
    },
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It was done.
    Done,
    /// It was not done.
    Failed {
        /// Why.
        message: String,
        /// The last lines the service wrote.
        log: Vec<String>,
    },
    /// The asker is not root.
    Denied,
    /// Every service that was ever started in this step.
    Services {
        /// Units.
        services: Vec<ServiceInfo>,
        /// Whether supervisor counts as running.
        supervisor: bool,
        /// Units that are no services and count as active.
        marked: Vec<String>,
    },
    /// How the configuration differs from what runs; names of groups, sorted.
    Changes {
        /// New ones.
        added: Vec<String>,
        /// Those with other contents.
        changed: Vec<String>,
        /// Those that are gone.
        removed: Vec<String>,
    },
    /// Programs, by group and name.
    Programs(Vec<ProgramInfo>),
    /// What became of each program; empty for a group that is unknown.
    Results(Vec<ProgramResult>),
}

/// Where a service is between stopped and running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Does not run.
    Inactive,
    /// Is being started.
    Starting,
    /// Runs.
    Running,
    /// Is done, and counts as active for systemd or as exited for supervisor.
    Exited,
    /// Reads its configuration again.
    Reloading,
    /// Died and will be started again.
    Backoff,
    /// Is being stopped.
    Stopping,
    /// Could not be started or kept running.
    Failed,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceInfo {
    /// Full name.
    pub(crate) unit: String,
    /// Its state.
    pub(crate) state: State,
    /// Main process.
    pub(crate) pid: Option<i32>,
    /// Why it failed.
    pub(crate) message: Option<String>,
    /// The last lines it wrote.
    pub(crate) log: Vec<String>,
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgramInfo {
    /// Its group.
    pub(crate) group: String,
    /// Its own name.
    pub(crate) name: String,
    /// Whether the running supervisor has it.
    pub(crate) in_use: bool,
    /// Whether it starts by itself.
    pub(crate) autostart: bool,
    /// Lower starts earlier.
    pub(crate) priority: i64,
    /// Its state.
    pub(crate) state: State,
    /// Main process.
    pub(crate) pid: Option<i32>,
    /// Seconds it has run.
    pub(crate) uptime: u64,
    /// Why it does not run.
    pub(crate) message: Option<String>,
    /// The file with its output.
    pub(crate) log: String,
}

/// What became of one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgramResult {
    /// Its group.
    pub(crate) group: String,
    /// Its own name.
    pub(crate) name: String,
    /// The outcome.
    pub(crate) outcome: Outcome,
}

/// An outcome, in supervisor's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It is not configured, or not added yet.
    NoSuchProcess,
    /// It runs already.
    AlreadyStarted,
    /// It does not run.
    NotRunning,
    /// Its program does not exist.
    NoSuchFile,
    /// It ended at once.
    SpawnError,
    /// No such signal.
    BadSignal,
}
