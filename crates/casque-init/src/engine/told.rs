//! What clients of the control socket are told without asking again: new lines, changes of state.

use std::collections::BTreeMap;
use std::time::Duration;

use casque_format::control::{self, ServiceStatus, Snapshot};

use super::Engine;
use crate::log::{Log, stamp};
use crate::supervisor::Supervisor;
use crate::sys;

impl Engine {
    /// Sends new lines to whoever follows them.
    pub(super) fn feed_followers(&mut self, now: Duration) {
        let Some(control) = &mut self.control else {
            return;
        };
        self.log.follow(control.has_followers());
        for (label, block) in self.log.fresh() {
            let text = String::from_utf8_lossy(&block);
            let lines: Vec<String> = text.lines().map(|line| format!("{label} | {line}")).collect();
            control.send_lines(&label, &lines, now);
        }
    }

    /// Sends what has changed to whoever wants to know.
    pub(super) fn tell_events(&mut self, now: Duration) {
        let Some(control) = self.control.as_mut().filter(|control| control.has_listeners()) else {
            self.told = None;
            return;
        };
        let pids = self.children.pids();
        let new = snapshot(&self.supervisor, &self.log, &self.oom_kills, now, &pids);
        if let Some(old) = self.told.replace(new.clone()) {
            for event in changes(&old, &new, &stamp(sys::wall_clock())) {
                control.send_event(&event, now);
            }
        }
    }
}

/// Returns what is different in `new`.
fn changes(old: &Snapshot, new: &Snapshot, time: &str) -> Vec<control::Event> {
    let event = |container, service| control::Event { time: time.to_owned(), container, service };
    // Time alone is no change.
    let facts = |service: &ServiceStatus| ServiceStatus { since_ms: 0, ..service.clone() };
    let before: BTreeMap<&str, ServiceStatus> =
        old.services.iter().map(|service| (service.name.as_str(), facts(service))).collect();
    let services =
        new.services.iter().filter(|service| before.get(service.name.as_str()) != Some(&facts(service)));
    let mut all: Vec<control::Event> = services.map(|service| event(None, Some(service.clone()))).collect();
    if old.state != new.state {
        all.push(event(Some(new.state), None));
    }
    all
}

/// Returns the state of everything, what the supervisor does not know of included.
pub(super) fn snapshot(
    supervisor: &Supervisor,
    log: &Log,
    oom_kills: &BTreeMap<usize, u32>,
    now: Duration,
    pids: &BTreeMap<usize, i32>,
) -> Snapshot {
    let mut snapshot = supervisor.snapshot(now, pids);
    for (id, service) in snapshot.services.iter_mut().enumerate() {
        let losses = log.losses(&service.name);
        service.dropped_lines = losses.dropped;
        service.unfiled_lines = losses.unfiled;
        service.log_problem = losses.problem;
        service.oom_kills = oom_kills.get(&id).copied().unwrap_or_default();
    }
    snapshot
}
