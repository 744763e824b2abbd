//! One service: what it is doing and what follows from what happens to it. Pure.

use std::time::Duration;

use casque_format::control::ServiceState;
use casque_format::run::{Kind, RestartPolicy};

use crate::backoff::Backoff;
use crate::exit::{Cause, Exit, Span};
use crate::plan::Planned;
use crate::supervisor::Action;

/// The wait after the first probe that says no; it grows by half each time, up to the longest.
const FIRST_PROBE_WAIT: Duration = Duration::from_millis(50);
const LONGEST_PROBE_WAIT: Duration = Duration::from_secs(1);

/// Begins the message of a service whose probe said no.
const NOT_YET: &str = "not ready yet: ";

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    id: usize,
    plan: Planned,
    state: State,
    since: Duration,
    backoff: Backoff,
    spawned: bool,
    /// The container is stopping: whatever happens, do not start again.
    ending: bool,
    restarts: u32,
    last_exit: Option<String>,
    message: Option<String>,
    revision: u64,
}

/// What a service is doing.
#[derive(Debug)]
pub(crate) enum State {
    /// Waits for what it comes after.
    Waiting,
    /// Has a process, is not ready.
    Starting { since: Duration, deadline: Duration, probe: Probe },
    /// Serves.
    Ready,
    /// A one-shot that ended well.
    Done,
    /// Starts again at this time.
    Backoff { until: Duration },
    /// Has had its signal; KILL follows.
    Stopping { kill_at: Duration, killed: bool, then: Then },
    /// Was stopped on request, or ended as its policy allows.
    Stopped,
    /// Will not be started again by itself.
    Failed(Cause),
}

/// The readiness probe of a starting service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// There is none, or its time has not come.
    Idle,
    /// The next one starts then.
    Due { at: Duration, wait: Duration },
    /// One is under way.
    Running { wait: Duration },
}

/// What follows when a stopping service is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Stay,
    /// It starts again.
    Restart,
    /// It has failed for this reason.
    Fail(Cause),
}

impl Service {
    /// Returns a service that waits for its first start.
    pub(crate) fn new(id: usize, plan: Planned) -> Self {
        Self {
            id,
            backoff: Backoff::new(&plan.spec.restart),
            plan,
            state: State::Waiting,
            since: Duration::ZERO,
            spawned: false,
            ending: false,
            restarts: 0,
            last_exit: None,
            message: None,
            revision: 0,
        }
    }

    pub(crate) fn plan(&self) -> &Planned {
        &self.plan
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.restarts
    }

    pub(crate) fn last_exit(&self) -> Option<&str> {
        self.last_exit.as_deref()
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Counts the changes that a watcher should see.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Says whether it serves, or of a one-shot, has ended well.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready | State::Done)
    }

    /// Says whether it may have a process.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready | State::Stopping { .. })
    }

    /// Returns its state as others see it.
    pub(crate) fn public_state(&self) -> ServiceState {
        match self.state {
            State::Waiting => ServiceState::Waiting,
            State::Starting { .. } => ServiceState::Starting,
            State::Ready | State::Done => ServiceState::Ready,
            State::Backoff { .. } => ServiceState::Backoff,
            State::Stopping { .. } => ServiceState::Stopping,
            State::Stopped => ServiceState::Stopped,
            State::Failed(_) => ServiceState::Failed,
        }
    }

    /// Returns when [`Self::due`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Starting { .. } if self.ending => None,
            State::Starting { deadline, probe: Probe::Due { at, .. }, .. } => Some(*deadline.min(at)),
            State::Starting { deadline, .. } => Some(*deadline),
            State::Backoff { until } => Some(*until),
            State::Stopping { kill_at, killed: false, .. } => Some(*kill_at),
            _ => None,
        }
    }

    /// Starts it.
    pub(crate) fn start(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.restarts += u32::from(self.spawned);
        self.spawned = true;
        let deadline = now.saturating_add(Duration::from_millis(self.plan.spec.start_timeout_ms));
        self.message = None;
        self.enter(now, State::Starting { since: now, deadline, probe: Probe::Idle });
        actions.push(Action::Spawn(self.id));
    }

    /// Its program runs.
    pub(crate) fn running(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let State::Starting { probe, .. } = &mut self.state else {
            return;
        };
        match (self.plan.spec.kind, &self.plan.check) {
            (Kind::Oneshot, _) => {}
            (Kind::Simple, None) => self.become_ready(now, State::Ready, actions),
            (Kind::Simple, Some(_)) => {
                *probe = Probe::Running { wait: FIRST_PROBE_WAIT };
                actions.push(Action::Probe(self.id));
            }
        }
    }

    /// A probe ended.
    pub(crate) fn probed(&mut self, now: Duration, result: Result<(), String>, actions: &mut Vec<Action>) {
        let State::Starting { probe, .. } = &mut self.state else {
            return;
        };
        let Probe::Running { wait } = *probe else {
            return;
        };
        match result {
            Ok(()) => self.become_ready(now, State::Ready, actions),
            Err(reason) => {
                let next = (wait + wait / 2).min(LONGEST_PROBE_WAIT);
                *probe = Probe::Due { at: now + wait, wait: next };
                self.say(format!("{NOT_YET}{reason}"));
            }
        }
    }

    /// Its main process is gone, and so is what that left behind.
    pub(crate) fn exited(&mut self, now: Duration, exit: Exit, actions: &mut Vec<Action>) {
        self.last_exit = Some(exit.to_string());
        let ready_for = matches!(self.state, State::Ready).then(|| now - self.since);
        let then = match &mut self.state {
            State::Starting { .. } => {
                actions.push(Action::CancelProbe(self.id));
                None
            }
            State::Ready => None,
            State::Stopping { then, .. } => Some(then.clone()),
            _ => return,
        };
        let oneshot = self.plan.spec.kind == Kind::Oneshot;
        match then {
            _ if self.ending => self.enter(now, State::Stopped),
            Some(Then::Stay) => self.enter(now, State::Stopped),
            Some(Then::Restart) => self.start(now, actions),
            Some(Then::Fail(cause)) => self.fail(now, cause, None, actions),
            None if oneshot && exit == Exit::Code(0) => {
                self.become_ready(now, State::Done, actions);
            }
            None => self.fail(now, Cause::Exit(exit), ready_for, actions),
        }
    }

    /// Does what the time demands.
    pub(crate) fn due(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match &mut self.state {
            State::Backoff { until } if *until <= now => self.start(now, actions),
            State::Starting { .. } if self.ending => {}
            State::Starting { deadline, .. } if *deadline <= now => {
                let cause = Cause::StartTimeout {
                    limit: Duration::from_millis(self.plan.spec.start_timeout_ms),
                    probe: self.message.take().map(|text| text.trim_start_matches(NOT_YET).to_owned()),
                };
                self.log(format!("{cause}; stopping it"), actions);
                let kill_at = now + self.stop_timeout();
                self.stop(now, kill_at, Then::Fail(cause), actions);
            }
            State::Starting { probe, .. } => {
                if let Probe::Due { at, wait } = *probe
                    && at <= now
                {
                    *probe = Probe::Running { wait };
                    actions.push(Action::Probe(self.id));
                }
            }
            State::Stopping { kill_at, killed, .. } if *kill_at <= now && !*killed => {
                *killed = true;
                let waited = Span(now - self.since);
                self.log(format!("has not stopped within {waited}, killing it"), actions);
                actions.push(Action::Kill(self.id));
            }
            _ => {}
        }
    }

    /// Sends its stop signal, and KILL at `kill_at`; of a stopping one, brings KILL forward.
    pub(crate) fn stop(&mut self, now: Duration, kill_at: Duration, then: Then, actions: &mut Vec<Action>) {
        match &mut self.state {
            State::Starting { .. } | State::Ready => {
                actions.push(Action::CancelProbe(self.id));
                let (id, signal) = (self.id, self.plan.stop_signal);
                actions.push(match self.plan.spec.stop.group {
                    true => Action::SignalGroup(id, signal),
                    false => Action::Signal(id, signal),
                });
                self.enter(now, State::Stopping { kill_at, killed: false, then });
            }
            State::Stopping { kill_at: earlier, then: before, .. } => {
                *earlier = kill_at.min(*earlier);
                *before = then;
                self.revision += 1;
            }
            _ => self.enter(now, State::Stopped),
        }
    }

    /// From now on nothing starts it again. What has no process is stopped already.
    pub(crate) fn end(&mut self, now: Duration) {
        self.ending = true;
        match &mut self.state {
            State::Waiting | State::Backoff { .. } | State::Done => {
                self.enter(now, State::Stopped);
            }
            State::Stopping { then, .. } => *then = Then::Stay,
            State::Starting { .. } | State::Ready | State::Stopped | State::Failed(_) => {}
        }
    }

    /// Carries out a request to start it.
    pub(crate) fn ask_start(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.backoff.forget();
        match &mut self.state {
            State::Stopping { then, .. } => *then = Then::Restart,
            State::Stopped | State::Failed(_) | State::Backoff { .. } if self.spawned => {
                self.start(now, actions);
            }
            State::Stopped | State::Failed(_) | State::Backoff { .. } => {
                self.enter(now, State::Waiting);
            }
            State::Waiting | State::Starting { .. } | State::Ready | State::Done => {}
        }
    }

    /// Carries out a request to stop it.
    pub(crate) fn ask_stop(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let kill_at = now + self.stop_timeout();
        self.stop(now, kill_at, Then::Stay, actions);
    }

    /// Carries out a request to restart it.
    pub(crate) fn ask_restart(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.backoff.forget();
        match self.state {
            State::Starting { .. } | State::Ready | State::Stopping { .. } => {
                let kill_at = now + self.stop_timeout();
                self.stop(now, kill_at, Then::Restart, actions);
            }
            State::Done => self.start(now, actions),
            _ => self.ask_start(now, actions),
        }
    }

    /// Returns how long its stop may take.
    pub(crate) fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.plan.spec.stop.timeout_ms)
    }

    fn fail(&mut self, now: Duration, cause: Cause, ready_for: Option<Duration>, actions: &mut Vec<Action>) {
        let policy = self.plan.spec.restart.policy;
        let well = cause == Cause::Exit(Exit::Code(0));
        let hopeless = cause.is_hopeless();
        if well && policy != RestartPolicy::Always {
            self.log(format!("{cause}"), actions);
            self.enter(now, State::Stopped);
            return;
        }
        let wait = match policy {
            _ if hopeless => None,
            RestartPolicy::Never => None,
            RestartPolicy::Always | RestartPolicy::OnFailure => self.backoff.fail(ready_for),
        };
        match wait {
            Some(Duration::ZERO) => {
                self.log(format!("{cause}; starting it again"), actions);
                self.start(now, actions);
            }
            Some(wait) => {
                self.log(format!("{cause}; starting it again in {}", Span(wait)), actions);
                self.say(cause.to_string());
                self.enter(now, State::Backoff { until: now + wait });
            }
            None => {
                let mut text = cause.to_string();
                if self.backoff.failures() > 1 {
                    text += &format!(", {} failures in a row", self.backoff.failures());
                }
                if well {
                    text += "; a service must stay in the foreground, is it told to?";
                }
                self.log(format!("failed: {text}"), actions);
                self.say(text);
                self.enter(now, State::Failed(cause));
            }
        }
    }

    fn become_ready(&mut self, now: Duration, state: State, actions: &mut Vec<Action>) {
        if let State::Starting { since, .. } = self.state {
            let word = if matches!(state, State::Done) { "done" } else { "ready" };
            self.log(format!("{word} after {}", Span(now - since)), actions);
        }
        self.message = None;
        self.enter(now, state);
    }

    fn enter(&mut self, now: Duration, state: State) {
        self.state = state;
        self.since = now;
        self.revision += 1;
    }

    fn say(&mut self, message: String) {
        if self.message.as_ref() != Some(&message) {
            self.message = Some(message);
            self.revision += 1;
        }
    }

    fn log(&self, text: String, actions: &mut Vec<Action>) {
        actions.push(Action::Log(format!("`{}` {text}", self.plan.name)));
    }
}
