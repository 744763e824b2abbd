//! What a service's machine is told, and what it asks for.

use std::time::Duration;

use casque_format::run::RestartPolicy;
use casque_units::Startup;

use crate::sys::Exit;

/// What the decisions depend on, fixed when the service is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How it tells that it runs.
    pub(crate) startup: Startup,
    /// For each command before the start, whether its failure is ignored.
    pub(crate) before: Vec<bool>,
    /// The same for the commands that reload.
    pub(crate) reload: Vec<bool>,
    /// The same for the commands that stop.
    pub(crate) stop: Vec<bool>,
    /// When to start it again.
    pub(crate) policy: RestartPolicy,
    /// How many failures in a row are too many.
    pub(crate) limit: u32,
    /// How long to wait before it is started again.
    pub(crate) delay: Duration,
    /// Longest start.
    pub(crate) start_timeout: Duration,
    /// Longest stop before KILL.
    pub(crate) stop_timeout: Duration,
    /// The stop signal.
    pub(crate) signal: i32,
    /// Whether the stop signal goes to the whole process group.
    pub(crate) signal_group: bool,
    /// Who would run it.
    pub(crate) habits: Habits,
}

/// In what the two managers differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Habits {
    /// A start that fails is final; a clean exit is the end.
    Systemd,
    /// A start counts after some time, is tried again, and the exit code says whether an exit was expected.
    Supervisor {
        /// How long it must stay up.
        start: Duration,
        /// Codes that are expected.
        expected: Vec<i32>,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is wanted.
    Start,
    /// It is not wanted any more.
    Stop,
    /// Its configuration changed.
    Reload,
    /// The process that an action asked for runs.
    Spawned(i32),
    /// It does not, for this reason.
    NotSpawned(String),
    /// One of its processes ended.
    Exited(i32, Exit),
    /// It said that it is ready.
    Ready,
    /// Its main process is this one.
    Main(i32),
    /// Its PID file says nothing yet.
    NoMain,
    /// No process of it is left.
    Gone,
    /// The time asked for has come.
    Due,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Run the service's own command.
    RunMain,
    /// Run a command beside it.
    Run(Beside, usize),
    /// Send the main process, or its group, a signal.
    Signal(i32, i32),
    /// Send every process of the service a signal.
    SignalAll(i32),
    /// Read the PID file.
    ReadPidFile,
    /// Find the main process of a daemon that has no PID file.
    GuessMain,
}

/// Commands beside the service's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Before the start.
    Before,
    /// To read the configuration again.
    Reload,
    /// To stop.
    Stop,
}
