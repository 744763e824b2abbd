//! One-shots with a schedule: when the next run is, and what becomes of one whose time has passed.

use std::time::Duration;

use casque_format::cron;

use super::{Service, State};
use crate::exit::Cause;
use crate::supervisor::Action;
use crate::wall::Wall;

/// A run that comes later than this was missed: the machine slept, or its clock was set.
const LATEST: i64 = 60;
/// A clock that was set back by less does not bring runs back that have been.
const SET_BACK: i64 = 3 * 60 * 60;

/// The time of the next run.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    /// When by the clock that never jumps, and by the one on the wall.
    next: Option<(Duration, i64)>,
    /// The time of the newest run by the clock on the wall.
    last: Option<i64>,
    /// Why the newest run has failed.
    failure: Option<String>,
}

impl Timer {
    /// Returns when to look at the clock again.
    pub(super) fn due(&self) -> Option<Duration> {
        self.next.map(|(at, _)| at)
    }

    /// Says whether the run that was due has begun.
    pub(super) fn has_run(&self) -> bool {
        self.next.is_some_and(|(_, due)| self.last == Some(due))
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, outcome: Result<(), Cause>) {
        self.next = None;
        self.failure = outcome.err().map(|cause| cause.to_string());
    }
}

impl Service {
    /// Returns why the newest run of its schedule has failed.
    pub(crate) fn last_run_failed(&self) -> Option<&str> {
        self.timer.failure.as_deref()
    }

    /// Does what the clock on the wall demands of a service with a schedule.
    pub(crate) fn keep_schedule(&mut self, now: Duration, wall: Wall, actions: &mut Vec<Action>) {
        let Some(schedule) = &self.plan.schedule else {
            return;
        };
        if !matches!(self.state, State::Scheduled) || self.ending {
            return;
        }
        let local = wall.local();
        if let Some((at, due)) = self.timer.next {
            if at > now {
                return;
            }
            if (due..due + LATEST).contains(&local) {
                self.timer.last = Some(due);
                self.log("runs now, by its schedule".to_owned(), actions);
                self.start(now, actions);
                return;
            }
            if local >= due {
                self.log(format!("has missed its run of {}", cron::minute(due)), actions);
            }
        }
        let last = self.timer.last.filter(|&last| last > local && last - local < SET_BACK);
        let Some(due) = schedule.next_after(last.unwrap_or(local)) else {
            return;
        };
        if let Some(missed) = self.timer.last.and_then(|last| schedule.next_after(last))
            && self.timer.next.is_none()
            && missed <= local
            && missed > self.timer.last.unwrap_or(missed)
        {
            let left_out = cron::minute(missed);
            self.log(format!("has left out its run of {left_out}: the one before took too long"), actions);
            // Said once.
            self.timer.last = Some(local);
        }
        let wait = Duration::from_secs(wall.until(due).max(1).unsigned_abs());
        self.timer.next = Some((now + wait, due));
        let next = format!("next run at {}", cron::minute(due));
        let message = match &self.timer.failure {
            Some(failure) => format!("{next}; the last has failed: {failure}"),
            None => next,
        };
        self.say(message);
    }

    /// The clock on the wall was set: what is due is another question now.
    pub(crate) fn clock_was_set(&mut self, now: Duration, wall: Wall) {
        if let Some((at, due)) = &mut self.timer.next {
            let wait = wall.until(*due);
            // Either it has passed, or it is farther away, or nearer; and it may be another one now.
            *at = if wait <= 0 { now } else { now + Duration::from_secs(wait.unsigned_abs()) };
            let earlier = self.plan.schedule.as_ref().and_then(|schedule| schedule.next_after(wall.local()));
            if earlier.is_some_and(|earlier| earlier < *due) {
                self.timer.next = None;
            }
        }
    }
}
