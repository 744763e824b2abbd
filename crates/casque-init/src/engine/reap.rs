//! The one place that reaps: whose child has ended, and what follows from that.

use std::time::Duration;

use super::once::Ended;
use super::reload::PREPARE;
use super::{Engine, actions};
use crate::supervisor::{Action, Event};
use crate::sys;

impl Engine {
    /// Reaps every child that has ended: ours, probes, strangers. One signal may stand for many.
    pub(super) fn reap(&mut self) {
        let now = self.now();
        loop {
            let pid = match sys::ended_child() {
                sys::Children::Ended(pid) => pid,
                sys::Children::Busy => {
                    if self.kills_strays {
                        // They may have forked while they were counted.
                        actions::signal_strays(libc::SIGKILL);
                    }
                    break;
                }
                sys::Children::None => {
                    if self.watches_strays {
                        self.events.push_back(Event::StraysGone);
                    }
                    break;
                }
            };
            let (stopping, oom) = (self.supervisor.is_stopping(), &mut self.oom);
            if let Some(ended) = self.children.ended(pid, now, stopping, oom, || sys::reap(pid)) {
                if ended.out_of_memory {
                    *self.oom_kills.entry(ended.id).or_default() += 1;
                }
                self.log.finish(ended.stream, now);
                if ended.just_ran && ended.id != PREPARE {
                    self.events.push_back(Event::Running(ended.id));
                }
            } else if let Some((id, asked)) = self.probes.ended(pid) {
                sys::kill(-pid, libc::SIGKILL);
                let outcome = asked.judge(sys::reap(pid)).map_err(|problem| self.log.masked(&problem));
                self.events.push_back(Event::Probed(id, outcome));
            } else if !self.cleanup_ended(pid, now) && !self.errand_ended(pid, now) {
                sys::reap(pid);
            }
        }
        self.look_for_leavers(now, true);
    }

    pub(super) fn look_for_leavers(&mut self, now: Duration, reaped: bool) {
        for (id, exit, left) in self.children.gone(now, reaped) {
            if !left.is_empty() {
                let name = self.name(id).to_owned();
                self.log.say(&format!("`{name}` left processes that do not die: {left:?}"));
            }
            if id == PREPARE {
                self.prepared(exit, now);
                continue;
            }
            if self.clean_up(id, &exit) {
                continue;
            }
            match self.ended_once(id, exit) {
                Ended::Of(exit) => self.events.push_back(Event::Exited(id, exit)),
                Ended::Locked => self.perform(Action::Spawn(id), now),
            }
        }
    }
}
