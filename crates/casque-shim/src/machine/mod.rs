//! The life of one service: pure decisions, carried out by the manager.

mod rules;
#[cfg(test)]
mod tests;

use std::time::Duration;

use casque_format::run::RestartPolicy;
use casque_units::{Startup, signal_name};

pub(crate) use self::rules::{Action, Beside, Event, Habits, Rules};
use crate::protocol::State;
use crate::sys::{Exit, signal_number};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Inactive,
    Before(usize),
    Starting { deadline: Duration },
    Running,
    Exited,
    Reloading(usize),
    Backoff,
    StopCommand(usize),
    Stopping,
    Killing,
    Failed,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Machine {
    rules: Rules,
    phase: Phase,
    main: Option<i32>,
    beside: Option<i32>,
    failures: u32,
    since: Duration,
    due: Option<Duration>,
    message: Option<String>,
}

/// How long a PID file may take between two looks at it.
const PID_FILE_PAUSE: Duration = Duration::from_millis(50);
/// How long KILL may take.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

impl Machine {
    /// Returns a service that does not run.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            phase: Phase::Inactive,
            main: None,
            beside: None,
            failures: 0,
            since: Duration::ZERO,
            due: None,
            message: None,
        }
    }

    /// Returns its rules.
    pub(crate) fn into_rules(self) -> Rules {
        self.rules
    }

    /// Returns its state.
    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Inactive => State::Inactive,
            Phase::Before(_) | Phase::Starting { .. } => State::Starting,
            Phase::Running => State::Running,
            Phase::Exited => State::Exited,
            Phase::Reloading(_) => State::Reloading,
            Phase::Backoff => State::Backoff,
            Phase::StopCommand(_) | Phase::Stopping | Phase::Killing => State::Stopping,
            Phase::Failed => State::Failed,
        }
    }

    /// Says whether a start, stop or reload is under way.
    pub(crate) fn is_changing(&self) -> bool {
        matches!(self.state(), State::Starting | State::Stopping | State::Reloading)
    }

    /// Returns its main process.
    pub(crate) fn main(&self) -> Option<i32> {
        self.main
    }

    /// Says whether `pid` is one of its processes that the manager started or was told of.
    pub(crate) fn owns(&self, pid: i32) -> bool {
        self.main == Some(pid) || self.beside == Some(pid)
    }

    /// Says whether its stop waits for processes that the manager does not know one by one.
    pub(crate) fn waits_for_all(&self) -> bool {
        matches!(self.phase, Phase::Stopping | Phase::Killing) && self.main.is_none()
    }

    /// Returns when [`Event::Due`] is to be given.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Returns when it began to run.
    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    /// Returns why it does not run.
    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Decides what to do about `event`.
    pub(crate) fn step(&mut self, now: Duration, event: &Event) -> Vec<Action> {
        match event {
            Event::Start => self.start(now),
            Event::Stop => self.stop(now),
            Event::Reload => self.reload(),
            Event::Spawned(pid) => self.spawned(now, *pid),
            Event::NotSpawned(reason) => self.not_spawned(now, reason),
            Event::Exited(pid, exit) if self.beside == Some(*pid) => self.beside_exited(now, *exit),
            Event::Exited(pid, exit) if self.main == Some(*pid) => self.main_exited(now, *exit),
            Event::Exited(..) => Vec::new(),
            Event::Ready => self.ready(now),
            Event::Main(pid) => self.main_is(now, *pid),
            Event::NoMain => self.no_main(now),
            Event::Gone if self.waits_for_all() => self.settle(Phase::Inactive),
            Event::Gone => Vec::new(),
            Event::Due => self.due_now(now),
        }
    }

    fn start(&mut self, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Inactive | Phase::Exited | Phase::Failed | Phase::Backoff => {
                self.failures = 0;
                self.begin(now)
            }
            _ => Vec::new(),
        }
    }

    fn begin(&mut self, now: Duration) -> Vec<Action> {
        self.message = None;
        self.main = None;
        if self.rules.before.is_empty() {
            return self.run_main(now);
        }
        self.phase = Phase::Before(0);
        self.due = Some(now + self.rules.start_timeout);
        vec![Action::Run(Beside::Before, 0)]
    }

    fn run_main(&mut self, now: Duration) -> Vec<Action> {
        let deadline = now + self.rules.start_timeout;
        self.phase = Phase::Starting { deadline };
        self.due = Some(deadline);
        vec![Action::RunMain]
    }

    fn spawned(&mut self, now: Duration, pid: i32) -> Vec<Action> {
        if !matches!(self.phase, Phase::Starting { .. }) {
            self.beside = Some(pid);
            return Vec::new();
        }
        self.since = now;
        match (&self.rules.startup, &self.rules.habits) {
            (Startup::Forking { .. }, _) => self.beside = Some(pid),
            (Startup::Simple, Habits::Supervisor { start, .. }) if !start.is_zero() => {
                self.main = Some(pid);
                self.due = Some(now + *start);
            }
            // A one-shot of supervisor counts as running at once, one of systemd when it is done.
            (Startup::Simple, _) | (Startup::Oneshot { .. }, Habits::Supervisor { .. }) => {
                self.main = Some(pid);
                self.runs();
            }
            (Startup::Oneshot { .. } | Startup::Notify, _) => self.main = Some(pid),
        }
        Vec::new()
    }

    fn runs(&mut self) {
        self.phase = Phase::Running;
        self.due = None;
    }

    fn not_spawned(&mut self, now: Duration, reason: &str) -> Vec<Action> {
        match self.phase {
            Phase::StopCommand(_) => self.signal_main(now),
            Phase::Reloading(_) => {
                self.message = Some(reason.to_owned());
                self.runs();
                Vec::new()
            }
            _ => self.start_failed(now, reason.to_owned()),
        }
    }

    fn ready(&mut self, now: Duration) -> Vec<Action> {
        if matches!(self.phase, Phase::Starting { .. }) && self.rules.startup == Startup::Notify {
            self.since = now;
            self.runs();
        }
        Vec::new()
    }

    fn main_is(&mut self, now: Duration, pid: i32) -> Vec<Action> {
        match self.phase {
            Phase::Starting { .. } if matches!(self.rules.startup, Startup::Forking { .. }) => {
                self.main = Some(pid);
                self.since = now;
                self.runs();
            }
            Phase::Starting { .. } | Phase::Running | Phase::Reloading(_) => self.main = Some(pid),
            _ => {}
        }
        Vec::new()
    }

    fn no_main(&mut self, now: Duration) -> Vec<Action> {
        if let Phase::Starting { deadline } = self.phase {
            self.due = Some(deadline.min(now + PID_FILE_PAUSE));
        }
        Vec::new()
    }

    fn beside_exited(&mut self, now: Duration, exit: Exit) -> Vec<Action> {
        self.beside = None;
        let failed = exit != Exit::Code(0);
        match self.phase {
            Phase::Before(index) if failed && !self.rules.before[index] => {
                self.start_failed(now, format!("the command before its start {}", describe(exit)))
            }
            Phase::Before(index) if index + 1 < self.rules.before.len() => {
                self.phase = Phase::Before(index + 1);
                vec![Action::Run(Beside::Before, index + 1)]
            }
            Phase::Before(_) => self.run_main(now),
            Phase::Starting { .. } if failed => self.start_failed(now, format!("it {}", describe(exit))),
            Phase::Starting { .. } => match &self.rules.startup {
                Startup::Forking { pid_file: Some(_) } => vec![Action::ReadPidFile],
                _ => {
                    self.runs();
                    vec![Action::GuessMain]
                }
            },
            Phase::Reloading(index) => {
                if failed && !self.rules.reload[index] {
                    self.message = Some(format!("the command that reloads it {}", describe(exit)));
                } else if index + 1 < self.rules.reload.len() {
                    self.phase = Phase::Reloading(index + 1);
                    return vec![Action::Run(Beside::Reload, index + 1)];
                }
                self.runs();
                Vec::new()
            }
            Phase::StopCommand(index) if index + 1 < self.rules.stop.len() => {
                self.phase = Phase::StopCommand(index + 1);
                vec![Action::Run(Beside::Stop, index + 1)]
            }
            Phase::StopCommand(_) => self.signal_main(now),
            _ => Vec::new(),
        }
    }

    fn main_exited(&mut self, now: Duration, exit: Exit) -> Vec<Action> {
        self.main = None;
        match self.phase {
            Phase::Starting { .. } => match self.rules.startup {
                Startup::Oneshot { remains } if exit == Exit::Code(0) => {
                    self.settle(if remains { Phase::Exited } else { Phase::Inactive })
                }
                _ => self.start_failed(now, format!("it {}", describe(exit))),
            },
            Phase::Running | Phase::Reloading(_) => self.exited_by_itself(now, exit),
            Phase::Stopping | Phase::Killing => self.settle_stop(),
            _ => Vec::new(),
        }
    }

    fn exited_by_itself(&mut self, now: Duration, exit: Exit) -> Vec<Action> {
        let clean = exit == Exit::Code(0);
        self.message = Some(format!("it {}", describe(exit)));
        let again = match &self.rules.habits {
            Habits::Systemd => !clean && self.rules.policy != RestartPolicy::Never,
            Habits::Supervisor { expected, .. } => match self.rules.policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => !matches!(exit, Exit::Code(code) if expected.contains(&code)),
                RestartPolicy::Never => false,
            },
        };
        if again {
            return self.try_again(now, self.rules.delay);
        }
        let end = match self.rules.habits {
            Habits::Supervisor { .. } => Phase::Exited,
            Habits::Systemd if clean => Phase::Inactive,
            Habits::Systemd => Phase::Failed,
        };
        self.settle(end)
    }

    fn start_failed(&mut self, now: Duration, message: String) -> Vec<Action> {
        self.message = Some(message);
        match self.rules.habits {
            Habits::Systemd => self.settle(Phase::Failed),
            Habits::Supervisor { .. } => {
                let pause = Duration::from_secs(u64::from(self.failures) + 1);
                self.try_again(now, pause)
            }
        }
    }

    fn try_again(&mut self, now: Duration, pause: Duration) -> Vec<Action> {
        self.failures += 1;
        if self.failures > self.rules.limit {
            return self.settle(Phase::Failed);
        }
        let actions = self.settle(Phase::Backoff);
        self.due = Some(now + pause);
        actions
    }

    /// Ends in `phase`, with nothing of the service left behind.
    fn settle(&mut self, phase: Phase) -> Vec<Action> {
        self.phase = phase;
        self.due = None;
        self.main = None;
        self.beside = None;
        if phase == Phase::Exited && matches!(self.rules.startup, Startup::Oneshot { .. }) {
            return Vec::new();
        }
        vec![Action::SignalAll(libc::SIGKILL)]
    }

    fn settle_stop(&mut self) -> Vec<Action> {
        self.message = None;
        self.settle(Phase::Inactive)
    }

    fn stop(&mut self, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Running | Phase::Reloading(_) if !self.rules.stop.is_empty() => {
                self.phase = Phase::StopCommand(0);
                self.due = Some(now + self.rules.stop_timeout);
                vec![Action::Run(Beside::Stop, 0)]
            }
            Phase::Running | Phase::Reloading(_) | Phase::Before(_) | Phase::Starting { .. } => {
                self.signal_main(now)
            }
            Phase::Exited | Phase::Backoff => self.settle_stop(),
            _ => Vec::new(),
        }
    }

    fn signal_main(&mut self, now: Duration) -> Vec<Action> {
        self.phase = Phase::Stopping;
        self.due = Some(now + self.rules.stop_timeout);
        self.beside = None;
        match self.main {
            // supervisor knows the group it made, systemd every process of the service.
            Some(pid)
                if self.rules.signal_group && matches!(self.rules.habits, Habits::Supervisor { .. }) =>
            {
                vec![Action::Signal(-pid, self.rules.signal)]
            }
            Some(_) if self.rules.signal_group => vec![Action::SignalAll(self.rules.signal)],
            Some(pid) => vec![Action::Signal(pid, self.rules.signal)],
            None => vec![Action::SignalAll(self.rules.signal)],
        }
    }

    fn reload(&mut self) -> Vec<Action> {
        if self.phase != Phase::Running || self.rules.reload.is_empty() {
            return Vec::new();
        }
        self.message = None;
        self.phase = Phase::Reloading(0);
        vec![Action::Run(Beside::Reload, 0)]
    }

    fn due_now(&mut self, now: Duration) -> Vec<Action> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        match self.phase {
            Phase::Starting { deadline } if now < deadline => match self.rules.startup {
                Startup::Forking { .. } => vec![Action::ReadPidFile],
                _ => {
                    self.failures = 0;
                    self.runs();
                    Vec::new()
                }
            },
            Phase::Before(_) | Phase::Starting { .. } => {
                let limit = self.rules.start_timeout.as_secs();
                self.start_failed(now, format!("it did not say within {limit} s that it runs"))
            }
            Phase::Backoff => self.begin(now),
            Phase::StopCommand(_) => self.signal_main(now),
            Phase::Stopping => {
                self.phase = Phase::Killing;
                self.due = Some(now + KILL_TIMEOUT);
                let mut actions: Vec<Action> =
                    self.main.map(|pid| Action::Signal(pid, libc::SIGKILL)).into_iter().collect();
                actions.push(Action::SignalAll(libc::SIGKILL));
                actions
            }
            Phase::Killing => self.settle_stop(),
            _ => {
                self.due = None;
                Vec::new()
            }
        }
    }
}

/// Returns the number of a signal that [`signal_name`] knows, TERM for any other.
pub(crate) fn number_of(name: &str) -> i32 {
    signal_name(name).and_then(signal_number).unwrap_or(libc::SIGTERM)
}

/// Returns how a process ended, for people.
pub(crate) fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with {code}"),
        Exit::Signal(number) => match signal_name(&number.to_string()) {
            Some(name) => format!("was killed by SIG{name}"),
            None => format!("was killed by signal {number}"),
        },
    }
}
