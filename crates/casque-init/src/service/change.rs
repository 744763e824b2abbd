//! A service whose plan is another from now on.

use std::time::Duration;

use casque_format::control::Touched;

use super::{Service, State, Then};
use crate::backoff::Backoff;
use crate::exit::Cause;
use crate::plan::Planned;
use crate::supervisor::Action;

impl Service {
    /// Says whether the plan does not have it any more.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired
    }

    /// Takes the plan that is valid from now on, and starts anew or is told, if it is different. Says which.
    pub(crate) fn replace(
        &mut self,
        now: Duration,
        plan: Planned,
        actions: &mut Vec<Action>,
    ) -> Option<Touched> {
        let came_back = std::mem::take(&mut self.retired);
        let newest = self.next_plan.as_ref().unwrap_or(&self.plan);
        let same_program = newest.name == plan.name && newest.spec == plan.spec;
        let same = same_program && newest.content == plan.content;
        let told = same_program && plan.reload.is_some() && matches!(self.state, State::Ready);
        match &self.state {
            _ if same && !came_back => {
                // The places of those it comes after may be others.
                match &mut self.next_plan {
                    Some(next) => *next = plan,
                    None => self.plan = plan,
                }
                None
            }
            _ if told && self.next_plan.is_none() => {
                self.log("is told of its changed files".to_owned(), actions);
                self.plan = plan;
                actions.push(Action::Tell(self.id));
                Some(Touched::Told)
            }
            State::Starting { .. } | State::Ready => {
                self.log("is started anew, its plan or its files have changed".to_owned(), actions);
                self.next_plan = Some(plan);
                let kill_at = now + self.stop_timeout();
                self.stop(now, kill_at, Then::Wait, actions);
                Some(Touched::Started)
            }
            State::Stopping { .. } => {
                self.next_plan = Some(plan);
                Some(Touched::Started)
            }
            // It ran as often as it may: nobody needs another run with other files.
            State::Done if plan.spec.once.is_some() => {
                self.next_plan = Some(plan);
                self.take_next_plan();
                None
            }
            State::Held => {
                self.next_plan = Some(plan);
                self.take_next_plan();
                Some(Touched::Started)
            }
            State::Waiting | State::Backoff { .. } | State::Done | State::Scheduled | State::Failed(_) => {
                self.next_plan = Some(plan);
                self.take_next_plan();
                self.backoff.forget();
                self.enter(now, State::Waiting);
                Some(Touched::Started)
            }
            // Whoever stopped it may start it.
            State::Stopped if came_back => {
                self.next_plan = Some(plan);
                self.take_next_plan();
                self.enter(now, State::Waiting);
                Some(Touched::Started)
            }
            State::Stopped => {
                self.next_plan = Some(plan);
                self.take_next_plan();
                None
            }
        }
    }

    /// Stops for good: the plan does not have it any more. Says whether it did until now.
    pub(crate) fn retire(&mut self, now: Duration, actions: &mut Vec<Action>) -> bool {
        if std::mem::replace(&mut self.retired, true) {
            return false;
        }
        self.log("is stopped, the plan does not have it any more".to_owned(), actions);
        let kill_at = now + self.stop_timeout();
        self.stop(now, kill_at, Then::Stay, actions);
        true
    }

    pub(super) fn take_next_plan(&mut self) {
        if let Some(plan) = self.next_plan.take() {
            self.backoff = Backoff::new(&plan.spec.restart, self.chance.split());
            self.timer = super::Timer::default();
            self.plan = plan;
        }
    }

    /// One that it comes after has been lost: it stops, and waits for that one or does not.
    pub(crate) fn leave(&mut self, now: Duration, then: Then, why: &str, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Starting { .. } | State::Ready) {
            self.log(why.to_owned(), actions);
            let kill_at = now + self.stop_timeout();
            self.stop(now, kill_at, then, actions);
            self.say(why.to_owned());
        }
    }

    /// One that it requires has failed for good.
    pub(crate) fn cannot_be_without(
        &mut self,
        now: Duration,
        name: &str,
        code: i32,
        actions: &mut Vec<Action>,
    ) {
        let cause = Cause::Needs { name: name.to_owned(), code };
        match &self.state {
            State::Starting { .. } | State::Ready => {
                self.log(format!("{cause}; stopping it"), actions);
                let kill_at = now + self.stop_timeout();
                self.stop(now, kill_at, Then::Fail(cause, None), actions);
            }
            State::Waiting | State::Backoff { .. } => self.fail(now, cause, None, actions),
            _ => {}
        }
    }
}
