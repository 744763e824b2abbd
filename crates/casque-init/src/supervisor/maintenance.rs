//! Maintenance: every service but the agent is stopped for as long as somebody holds the line.
//!
//! It ends when that one hangs up, and the kernel hangs up for whoever dies: nothing that happens to a backup leaves the
//! services down.

use std::time::Duration;

use super::{Action, Phase, Supervisor};
use crate::service::Service;

/// What is answered to other requests meanwhile.
pub(crate) const UNDER_WAY: &str =
    "the container is in maintenance, as for a backup; ask again when that has ended";

/// Who holds the line.
#[derive(Debug)]
pub(super) struct Maintenance {
    client: u64,
    /// It knows that everything has stopped.
    told: bool,
}

impl Supervisor {
    /// Begins it, or says why not.
    pub(super) fn maintain(&mut self, now: Duration, client: u64, actions: &mut Vec<Action>) {
        let refusal = match (&self.phase, &self.maintenance) {
            (Phase::Running, None) => self.at_work().map(|name| {
                format!("`{name}` is at work, which must not be interrupted; ask again when it is done")
            }),
            (Phase::Running, Some(_)) => Some(UNDER_WAY.to_owned()),
            _ => Some("the container is stopping".to_owned()),
        };
        if let Some(message) = refusal {
            actions.push(Action::Answer { client, result: Err(message) });
            return;
        }
        let text = "maintenance begins: every service but the agent is stopped until it has ended";
        actions.push(Action::Log(text.to_owned()));
        self.maintenance = Some(Maintenance { client, told: false });
        self.phases += 1;
        for service in self.services.iter_mut().filter(|service| !service.goes_on()) {
            service.hold(now);
        }
    }

    /// Ends it, if `client` is the one that holds the line.
    pub(super) fn hung_up(&mut self, now: Duration, client: u64, actions: &mut Vec<Action>) {
        if self.maintainer() != Some(client) {
            return;
        }
        self.maintenance = None;
        actions.push(Action::Log("maintenance has ended: services start again".to_owned()));
        // What follows is a start: nothing is missing until it should be there.
        self.was_ready = false;
        self.phases += 1;
        for service in &mut self.services {
            service.release(now);
        }
    }

    /// Returns who holds the line.
    pub(crate) fn maintainer(&self) -> Option<u64> {
        self.maintenance.as_ref().map(|maintenance| maintenance.client)
    }

    /// Stops what nothing running needs any more, and says when everything is gone.
    pub(super) fn hold_next(&mut self, now: Duration, actions: &mut Vec<Action>) {
        // These losses are wanted: nobody has to follow them.
        for (seen, service) in self.losses.iter_mut().zip(&self.services) {
            *seen = service.losses();
        }
        let needed = self.needed();
        for id in self.unsignalled().collect::<Vec<_>>() {
            let service = &mut self.services[id];
            if !needed[id] && !service.goes_on() {
                service.pause(now, actions);
            }
        }
        let is_left = |service: &Service| service.is_up() && !service.goes_on();
        let all_gone = !self.services.iter().any(is_left);
        if let Some(maintenance) = self.maintenance.as_mut().filter(|one| all_gone && !one.told) {
            maintenance.told = true;
            actions.push(Action::Answer { client: maintenance.client, result: Ok(()) });
        }
    }

    /// The container stops, and that is more urgent.
    pub(super) fn break_off_maintenance(&mut self, actions: &mut Vec<Action>) {
        if let Some(maintenance) = self.maintenance.take() {
            let result = Err("the container is stopping".to_owned());
            actions.push(Action::Answer { client: maintenance.client, result });
        }
    }

    fn at_work(&self) -> Option<&str> {
        let one = self.services.iter().find(|service| service.is_at_work())?;
        Some(&one.plan().name)
    }
}
