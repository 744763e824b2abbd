//! After the end of a service: its post-stop command runs before anything else becomes of it.

use std::time::Duration;

use super::{Service, State, Then};
use crate::supervisor::Action;

/// Its post-stop command has at least this long, however late the service itself has ended. What others need of the budget is
/// not touched by it: they are told to stop at their own time.
const LEAST: Duration = Duration::from_millis(200);

impl Service {
    /// Its main process is gone, and its post-stop command runs: as long as a stop may take, at most until `latest`.
    pub(crate) fn cleans_up(&mut self, now: Duration, latest: Duration, actions: &mut Vec<Action>) {
        let then = match &self.state {
            State::Starting { .. } => Then::Judge(None),
            State::Ready => Then::Judge(Some(now - self.since)),
            State::Stopping { then, .. } => then.clone(),
            _ => return,
        };
        actions.push(Action::CancelProbe(self.id));
        self.cleans_up = true;
        let kill_at = now.saturating_add(self.stop_timeout()).min(latest).max(now + LEAST);
        self.enter(now, State::Stopping { kill_at, killed: false, then });
    }
}
