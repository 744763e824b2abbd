//! What follows for a service from what becomes of those it comes after.

use std::time::Duration;

use casque_format::run::WhenLost;

use super::{Action, Supervisor};
use crate::service::{State, Then};

impl Supervisor {
    /// Lets those follow that cannot be without a service which has failed for good.
    pub(super) fn follow_failures(&mut self, now: Duration, actions: &mut Vec<Action>) {
        loop {
            let failed: Vec<Option<(String, i32)>> = self
                .services
                .iter()
                .map(|service| match service.state() {
                    State::Failed(cause) => Some((service.plan().name.clone(), cause.code())),
                    _ => None,
                })
                .collect();
            let before = actions.len();
            for service in &mut self.services {
                let needed = service.plan().requires.iter().find_map(|&needed| failed[needed].as_ref());
                if let Some((name, code)) = needed {
                    service.cannot_be_without(now, name, *code, actions);
                }
            }
            if actions.len() == before {
                return;
            }
        }
    }

    /// Lets those follow that come after a service which was ready and is not any more.
    pub(super) fn follow_losses(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let lost: Vec<usize> = (0..self.services.len())
            .filter(|&id| {
                self.services[id].losses()
                    > std::mem::replace(&mut self.losses[id], self.services[id].losses())
            })
            .collect();
        for id in lost {
            let name = self.services[id].plan().name.clone();
            for service in &mut self.services {
                let policy = service.plan().when_lost.iter().find(|(needed, _)| *needed == id);
                match policy.map(|(_, policy)| *policy) {
                    Some(WhenLost::Restart) => {
                        let why = format!("is stopped until `{name}` is ready again");
                        service.leave(now, Then::Wait, &why, actions);
                    }
                    Some(WhenLost::Stop) => {
                        let why = format!("is stopped, since `{name}` is not ready any more");
                        service.leave(now, Then::Stay, &why, actions);
                    }
                    Some(WhenLost::None) | None
                        if service.plan().after.contains(&id) && service.is_ready() =>
                    {
                        let own = &service.plan().name;
                        actions.push(Action::Log(format!(
                            "`{own}` comes after `{name}`, which is not ready any more; it goes on"
                        )));
                    }
                    Some(WhenLost::None) | None => {}
                }
            }
        }
    }
}
