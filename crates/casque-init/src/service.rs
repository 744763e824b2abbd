//! One service: what it is doing and what follows from what happens to it. Pure.

use std::time::Duration;

use casque_format::control::ServiceState;
use casque_format::run::Kind;

use self::health::Pulse;
use self::timer::Timer;
use crate::backoff::Backoff;
use crate::chance::Chance;
use crate::exit::{Cause, Exit, Span};
use crate::plan::Planned;
use crate::supervisor::Action;

mod change;
mod cleanup;
mod failure;
mod health;
mod hold;
mod notified;
mod stop;
mod timer;

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
    /// The plan from its next start on.
    next_plan: Option<Planned>,
    /// A later plan does not have it.
    retired: bool,
    state: State,
    since: Duration,
    backoff: Backoff,
    chance: Chance,
    pulse: Option<Pulse>,
    timer: Timer,
    /// It said that it stops by itself.
    leaving: bool,
    /// Its process is gone, and its post-stop command runs.
    cleans_up: bool,
    /// Counts how often it served and then did not any more.
    losses: u64,
    spawned: bool,
    /// The container is stopping: whatever happens, do not start again.
    ending: bool,
    /// The container is in maintenance: do not start before that has ended.
    held: bool,
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
    /// Waits for the next time of its schedule.
    Scheduled,
    /// Starts again at this time.
    Backoff { until: Duration },
    /// Was stopped, or not started, for maintenance, and waits for its end.
    Held,
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
    /// It starts again when what it comes after is ready.
    Wait,
    /// It has failed for this reason, after it was ready for a while.
    Fail(Cause, Option<Duration>),
    /// What its exit means, after it was ready for a while.
    Judge(Option<Duration>),
}

impl Service {
    /// Returns a service that waits for its first start.
    pub(crate) fn new(id: usize, plan: Planned, mut chance: Chance) -> Self {
        Self {
            id,
            backoff: Backoff::new(&plan.spec.restart, chance.split()),
            chance,
            plan,
            next_plan: None,
            retired: false,
            pulse: None,
            timer: Timer::default(),
            leaving: false,
            cleans_up: false,
            losses: 0,
            state: State::Waiting,
            since: Duration::ZERO,
            spawned: false,
            ending: false,
            held: false,
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

    /// Says whether it serves, or of a one-shot, has ended well. One with a schedule is ready while it keeps to that,
    /// whatever becomes of a single run.
    pub(crate) fn is_ready(&self) -> bool {
        match self.state {
            State::Ready | State::Done | State::Scheduled => true,
            State::Starting { .. } => self.plan.schedule.is_some(),
            _ => false,
        }
    }

    /// Says whether those that come after it need not wait any more: for what has failed for good they would wait for ever.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_ready() || matches!(self.state, State::Failed(_))
    }

    /// Returns how often it served and then did not any more.
    pub(crate) fn losses(&self) -> u64 {
        self.losses
    }

    /// Says whether it may have a process.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready | State::Stopping { .. })
    }

    /// Returns its state as others see it.
    pub(crate) fn public_state(&self) -> ServiceState {
        match self.state {
            _ if self.is_ready() => ServiceState::Ready,
            State::Waiting => ServiceState::Waiting,
            State::Starting { .. } => ServiceState::Starting,
            State::Ready | State::Done | State::Scheduled => ServiceState::Ready,
            State::Backoff { .. } => ServiceState::Backoff,
            State::Stopping { .. } => ServiceState::Stopping,
            State::Stopped | State::Held => ServiceState::Stopped,
            State::Failed(_) => ServiceState::Failed,
        }
    }

    /// Returns when [`Self::due`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Starting { .. } if self.ending => None,
            State::Starting { deadline, probe: Probe::Due { at, .. }, .. } => Some(*deadline.min(at)),
            State::Starting { deadline, .. } => Some(*deadline),
            State::Ready if !self.ending => self.pulse.as_ref().and_then(Pulse::due),
            State::Scheduled => self.timer.due(),
            State::Backoff { until } => Some(*until),
            State::Stopping { kill_at, killed: false, .. } => Some(*kill_at),
            _ => None,
        }
    }

    /// What it waited for is there: starts it, or waits for the time of its schedule.
    pub(crate) fn begin(&mut self, now: Duration, actions: &mut Vec<Action>) {
        match self.plan.schedule {
            Some(_) => self.enter(now, State::Scheduled),
            None => self.start(now, actions),
        }
    }

    /// Starts it.
    pub(crate) fn start(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.take_next_plan();
        // The runs of a schedule are none.
        self.restarts += u32::from(self.spawned && self.plan.schedule.is_none());
        self.spawned = true;
        self.leaving = false;
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
            (Kind::Simple, None) if self.plan.notifies => {
                self.say(format!("{NOT_YET}it has not said that it is"));
            }
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
            if matches!(self.state, State::Ready) {
                self.examined(now, result, actions);
            }
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

    /// Its main process need not run: it was done before.
    pub(crate) fn done_before(&mut self, now: Duration, by: &str, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Starting { .. }) {
            self.log(format!("was done before, by version {by}"), actions);
            self.enter(now, State::Done);
        } else if matches!(self.state, State::Stopping { .. }) {
            self.exited(now, Exit::Code(0), actions);
        }
    }

    /// The machine, or PID 1 alone, did not run for a while, so nobody is to blame for what did not happen meanwhile.
    pub(crate) fn slept(&mut self, gap: Duration) {
        if let State::Starting { deadline, .. } = &mut self.state {
            *deadline = deadline.saturating_add(gap);
        }
        if let Some(pulse) = &mut self.pulse {
            pulse.excuse(gap);
        }
    }

    /// Its main process is gone, and so is what that left behind.
    pub(crate) fn exited(&mut self, now: Duration, exit: Exit, actions: &mut Vec<Action>) {
        self.last_exit = Some(exit.to_string());
        self.cleans_up = false;
        let ready_for = matches!(self.state, State::Ready).then(|| now - self.since);
        let then = match &mut self.state {
            State::Starting { .. } => {
                actions.push(Action::CancelProbe(self.id));
                None
            }
            State::Ready => {
                actions.push(Action::CancelProbe(self.id));
                None
            }
            State::Stopping { then, .. } => Some(then.clone()),
            _ => return,
        };
        let oneshot = self.plan.spec.kind == Kind::Oneshot;
        match then {
            _ if self.ending => self.enter(now, State::Stopped),
            _ if self.retired => self.enter(now, State::Stopped),
            Some(Then::Stay) => self.enter(now, State::Stopped),
            _ if self.held => self.enter_hold(now),
            Some(Then::Restart) => self.start(now, actions),
            Some(Then::Wait) => self.enter(now, State::Waiting),
            Some(Then::Fail(cause, ready_for)) => self.fail(now, cause, ready_for, actions),
            Some(Then::Judge(ready_for)) => self.fail(now, Cause::Exit(exit), ready_for, actions),
            None if oneshot && exit == Exit::Code(0) => {
                self.timer.ended(Ok(()));
                let state = if self.plan.schedule.is_some() { State::Scheduled } else { State::Done };
                self.become_ready(now, state, actions);
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
                self.stop(now, kill_at, Then::Fail(cause, None), actions);
            }
            State::Starting { probe, .. } => {
                if let Probe::Due { at, wait } = *probe
                    && at <= now
                {
                    *probe = Probe::Running { wait };
                    actions.push(Action::Probe(self.id));
                }
            }
            State::Ready if !self.ending => self.examine(now, actions),
            State::Stopping { kill_at, killed, .. } if *kill_at <= now && !*killed => {
                *killed = true;
                let waited = Span(now - self.since);
                let text = match self.cleans_up {
                    true => format!("has a post-stop command that has not ended within {waited}, killing it"),
                    false => format!("has not stopped within {waited}, killing it"),
                };
                self.log(text, actions);
                actions.push(Action::Kill(self.id));
            }
            _ => {}
        }
    }

    fn become_ready(&mut self, now: Duration, state: State, actions: &mut Vec<Action>) {
        if let State::Starting { since, .. } = self.state {
            let word = if matches!(state, State::Ready) { "ready" } else { "done" };
            self.log(format!("{word} after {}", Span(now - since)), actions);
        }
        self.message = None;
        if matches!(state, State::Ready) {
            let health = self.plan.health.as_ref();
            self.pulse = health.map(|health| Pulse::new(health, now, &mut self.chance));
        }
        self.enter(now, state);
    }

    fn enter(&mut self, now: Duration, state: State) {
        if matches!(self.state, State::Ready | State::Done) && !matches!(state, State::Ready | State::Done) {
            self.losses += 1;
        }
        if !matches!(state, State::Ready) {
            self.pulse = None;
        }
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
