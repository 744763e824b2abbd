//! A service while the container is in maintenance: it stops, and waits for the end of that.

use std::time::Duration;

use casque_format::run::{Kind, Sockets};

use super::{Service, State, Then};
use crate::supervisor::Action;

/// Its message meanwhile.
const HELD: &str = "is stopped for maintenance and starts again afterwards";

impl Service {
    /// Says whether it goes on during maintenance: the agent, which tells others of it.
    pub(crate) fn goes_on(&self) -> bool {
        self.plan.spec.sockets == Sockets::Agent
    }

    /// Says whether it does something that must not be interrupted, such as a migration.
    pub(crate) fn is_at_work(&self) -> bool {
        let once = self.plan.spec.kind == Kind::Oneshot && self.plan.schedule.is_none();
        once && matches!(self.state, State::Starting { .. } | State::Stopping { .. })
    }

    /// From now on it does not start. What has no process waits already; what runs goes on until [`Self::pause`].
    pub(crate) fn hold(&mut self, now: Duration) {
        self.held = true;
        match self.state {
            State::Waiting | State::Backoff { .. } | State::Done | State::Scheduled => self.enter_hold(now),
            State::Starting { .. } | State::Ready | State::Stopping { .. } => {}
            // Whoever stopped it may start it, and what has failed for good did so for a reason.
            State::Stopped | State::Failed(_) | State::Held => {}
        }
    }

    /// Stops it, with all the time that it may take: no engine waits.
    pub(crate) fn pause(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let kill_at = now + self.stop_timeout();
        self.stop(now, kill_at, Then::Wait, actions);
    }

    /// Lets it start again after those that it comes after.
    pub(crate) fn release(&mut self, now: Duration) {
        self.held = false;
        if matches!(self.state, State::Held) {
            self.backoff.forget();
            self.message = None;
            self.enter(now, State::Waiting);
        }
    }

    pub(super) fn enter_hold(&mut self, now: Duration) {
        if self.plan.schedule.is_some() && self.timer.has_run() {
            self.timer.ended(Ok(()));
        }
        self.say(HELD.to_owned());
        self.enter(now, State::Held);
    }
}
