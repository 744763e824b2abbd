//! What becomes of a service that has ended and should not have.

use std::time::Duration;

use casque_format::run::RestartPolicy;

use super::{Service, State};
use crate::exit::{Cause, Exit, Span};
use crate::supervisor::Action;

impl Service {
    /// Starts it again, later or at once, or gives it up.
    pub(super) fn fail(
        &mut self,
        now: Duration,
        cause: Cause,
        ready_for: Option<Duration>,
        actions: &mut Vec<Action>,
    ) {
        if self.plan.schedule.is_some() {
            self.log(format!("{cause}; this run has failed"), actions);
            self.timer.ended(Err(cause));
            self.enter(now, State::Scheduled);
            return;
        }
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
            _ if matches!(cause, Cause::Needs { .. }) => None,
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
}
