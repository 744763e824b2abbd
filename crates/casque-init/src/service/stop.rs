//! Its stop, and what somebody asks for: to start it, to stop it, to do both.

use std::time::Duration;

use super::{Service, State, Then};
use crate::supervisor::Action;

impl Service {
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
            State::Waiting | State::Backoff { .. } | State::Done | State::Scheduled | State::Held => {
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
            // A schedule does not keep anybody from running it now.
            State::Scheduled => self.start(now, actions),
            State::Stopped | State::Failed(_) | State::Backoff { .. }
                if self.spawned && self.plan.schedule.is_none() =>
            {
                self.start(now, actions);
            }
            State::Stopped | State::Failed(_) | State::Backoff { .. } => {
                self.enter(now, State::Waiting);
            }
            State::Waiting | State::Starting { .. } | State::Ready | State::Done | State::Held => {}
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
}
