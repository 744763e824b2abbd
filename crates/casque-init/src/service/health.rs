//! Health checks of a service that is ready: a question now and then, never two at once.

use std::time::Duration;

use super::{Service, State, Then};
use crate::chance::Chance;
use crate::exit::Cause;
use crate::plan::Health;
use crate::supervisor::Action;

/// Where a ready service is in its round of questions.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// When to ask next; none while one is under way.
    due: Option<Duration>,
    /// Failures in a row.
    failures: u32,
    /// What fails while this is set proves nothing.
    excused: bool,
}

impl Pulse {
    /// Returns the state of a service that has just become ready.
    pub(super) fn new(health: &Health, now: Duration, chance: &mut Chance) -> Self {
        Self { due: Some(now + chance.around(health.interval)), failures: 0, excused: false }
    }

    /// Returns when to ask next.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Says whether it is time to ask, and then takes it that somebody does.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let begins = self.due.is_some_and(|due| due <= now);
        if begins {
            self.due = None;
        }
        begins
    }

    /// Leaves out the round that the gap fell into.
    pub(super) fn excuse(&mut self, gap: Duration) {
        match &mut self.due {
            Some(due) => *due = due.saturating_add(gap),
            None => self.excused = true,
        }
    }
}

impl Service {
    /// Asks whether it still serves, when it is time to.
    pub(super) fn examine(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.pulse.as_mut().is_some_and(|pulse| pulse.begin(now)) {
            actions.push(Action::Examine(self.id));
        }
    }

    /// A health check ended.
    pub(super) fn examined(&mut self, now: Duration, result: Result<(), String>, actions: &mut Vec<Action>) {
        let (Some(health), Some(pulse)) = (&self.plan.health, &mut self.pulse) else {
            return;
        };
        if pulse.due.is_some() {
            return;
        }
        pulse.due = Some(now + self.chance.around(health.interval));
        let excused = std::mem::take(&mut pulse.excused);
        match result {
            Ok(()) => {
                if std::mem::take(&mut pulse.failures) > 0 {
                    self.message = None;
                    self.revision += 1;
                }
            }
            Err(_) if excused => {}
            Err(reason) => {
                pulse.failures += 1;
                let (failures, limit) = (pulse.failures, health.failures);
                if failures < limit {
                    self.say(format!("health check {failures} of {limit} failed: {reason}"));
                    return;
                }
                let cause = Cause::Unhealthy { failures, reason };
                self.log(format!("{cause}; stopping it"), actions);
                self.say(cause.to_string());
                let ready_for = matches!(self.state, State::Ready).then(|| now - self.since);
                let kill_at = now + self.stop_timeout();
                self.stop(now, kill_at, Then::Fail(cause, ready_for), actions);
            }
        }
    }
}
