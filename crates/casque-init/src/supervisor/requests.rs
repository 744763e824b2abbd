//! What can be asked of the supervisor, and when that is answered.

use std::time::Duration;

use super::{Action, Phase, Request, Supervisor, UNDER_WAY, Waiter};
use crate::service::{Service, State};

impl Supervisor {
    pub(super) fn ask(
        &mut self,
        now: Duration,
        client: u64,
        request: Request,
        name: &str,
        actions: &mut Vec<Action>,
    ) {
        let refuse = |message: String| Action::Answer { client, result: Err(message) };
        if !matches!(self.phase, Phase::Running) {
            actions.push(refuse("the container is stopping".to_owned()));
            return;
        }
        if self.maintainer().is_some() {
            actions.push(refuse(UNDER_WAY.to_owned()));
            return;
        }
        let Some(id) = self.place_of(name) else {
            let replica = |service: &&Service| {
                let number = service.plan().name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
                number.is_some_and(|number| number.parse::<u32>().is_ok())
            };
            let replicas: Vec<&str> =
                self.services.iter().filter(replica).map(|service| service.plan().name.as_str()).collect();
            let mut message = format!("there is no service `{name}`");
            if !replicas.is_empty() {
                message += &format!(", there are `{}`", replicas.join("`, `"));
            }
            actions.push(refuse(message));
            return;
        };
        let service = &mut self.services[id];
        match request {
            Request::Start => service.ask_start(now, actions),
            Request::Stop => service.ask_stop(now, actions),
            Request::Restart => service.ask_restart(now, actions),
        }
        self.waiters.push(Waiter { client, service: id, up: request != Request::Stop });
    }

    /// Answers the requests whose outcome is known.
    pub(super) fn answer(&mut self, actions: &mut Vec<Action>) {
        let running = matches!(self.phase, Phase::Running);
        let services = &self.services;
        self.waiters.retain(|waiter| {
            let service = &services[waiter.service];
            let name = &service.plan().name;
            let result = match service.state() {
                State::Stopped if !waiter.up => Ok(()),
                State::Failed(_) if !waiter.up => Ok(()),
                _ if !running => Err("the container is stopping".to_owned()),
                State::Scheduled if waiter.up => match service.last_run_failed() {
                    Some(reason) => Err(format!("`{name}` failed: {reason}")),
                    None => Ok(()),
                },
                State::Ready | State::Done if waiter.up => Ok(()),
                State::Ready | State::Done | State::Scheduled => Err(format!("`{name}` was started again")),
                State::Failed(cause) => Err(format!("`{name}` failed: {cause}")),
                State::Stopped => Err(format!("`{name}` was stopped")),
                _ => return true,
            };
            actions.push(Action::Answer { client: waiter.client, result });
            false
        });
    }

    /// Returns the place of a service that the plan has.
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.services.iter().position(|service| service.plan().name == name && !service.is_retired())
    }
}
