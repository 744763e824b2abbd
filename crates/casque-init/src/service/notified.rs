//! What a service says of itself.

use std::time::Duration;

use super::{Service, State};
use crate::notify::Notification;
use crate::supervisor::Action;

impl Service {
    /// It said something of itself; a stop lasts until `latest` at most.
    pub(crate) fn notified(
        &mut self,
        now: Duration,
        said: &Notification,
        latest: Duration,
        actions: &mut Vec<Action>,
    ) {
        if let Some(pid) = &said.main_pid {
            let why =
                "only the process that was started can be it: tell the program to stay in the foreground";
            self.log(format!("says that its main process is {pid}; {why}"), actions);
        }
        if let Some(span) = said.extend {
            match &mut self.state {
                State::Starting { deadline, .. } => *deadline = now.saturating_add(span).max(*deadline),
                State::Stopping { kill_at, killed: false, .. } => {
                    *kill_at = now.saturating_add(span).min(latest).max(*kill_at);
                }
                _ => {}
            }
        }
        if let Some(status) = &said.status
            && self.is_up()
            && !status.is_empty()
        {
            self.say(status.clone());
        }
        if said.ready && matches!(self.state, State::Starting { .. }) && self.plan.notifies {
            self.become_ready(now, State::Ready, actions);
        }
        if said.stopping && matches!(self.state, State::Starting { .. } | State::Ready) && !self.leaving {
            self.leaving = true;
            self.pulse = None;
            actions.push(Action::CancelProbe(self.id));
            self.log("says that it stops by itself".to_owned(), actions);
        }
    }
}
