//! What clients of the control socket ask for.

use casque_format::control::{self, Reply, Request as Asked};

use super::Engine;
use super::told::snapshot;
use crate::control::Rights;
use crate::log::stamp;
use crate::supervisor::{Event, Request};
use crate::sys;

impl Engine {
    /// Returns that whoever asked for maintenance is gone, when that is so.
    pub(super) fn hang_up(&self) -> Option<Event> {
        let client = self.supervisor.maintainer()?;
        let is_there = self.control.as_ref().is_some_and(|control| control.knows(client));
        (!is_there).then_some(Event::HungUp(client))
    }

    pub(super) fn take_requests(&mut self) {
        let now = self.now();
        let rights = Rights { own_uid: self.own_uid, agent_uid: self.agent_uid };
        let Some(control) = &mut self.control else {
            return;
        };
        let mut asked = Vec::new();
        let mut reloads = Vec::new();
        for client in control.asking() {
            while let Some(request) = control.next_request(client, rights, now) {
                let (request, service) = match request {
                    Asked::Status => {
                        let pids = self.children.pids();
                        let snapshot = snapshot(&self.supervisor, &self.log, &self.oom_kills, now, &pids);
                        control.answer(client, &Reply::Status { snapshot }, now);
                        continue;
                    }
                    Asked::Watch => {
                        control.watch(client);
                        break;
                    }
                    Asked::Logs { service, lines } => {
                        let reply = match self.log.newest(service.as_deref(), lines) {
                            Some(lines) => Reply::Logs { lines },
                            None => no_service(service),
                        };
                        control.answer(client, &reply, now);
                        continue;
                    }
                    Asked::Follow { service, lines } => {
                        match self.log.newest(service.as_deref(), lines) {
                            Some(lines) => {
                                control.answer(client, &Reply::Logs { lines }, now);
                                control.follow(client, service);
                                self.log.follow(true);
                            }
                            None => control.answer(client, &no_service(service), now),
                        }
                        continue;
                    }
                    Asked::Events => {
                        let pids = self.children.pids();
                        let told = snapshot(&self.supervisor, &self.log, &self.oom_kills, now, &pids);
                        let (time, container) = (stamp(sys::wall_clock()), Some(told.state));
                        let event = control::Event { time, container, service: None };
                        control.answer(client, &Reply::Event { event }, now);
                        control.tell_events(client);
                        self.told.get_or_insert(told);
                        continue;
                    }
                    Asked::Reload => {
                        reloads.push(client);
                        break;
                    }
                    Asked::Maintain if self.reloading.is_some() => {
                        let message = "settings are being taken over; ask again when that is done".to_owned();
                        control.answer(client, &Reply::Error { message }, now);
                        continue;
                    }
                    Asked::Maintain => {
                        control.hold(client);
                        asked.push(Event::Maintain(client));
                        break;
                    }
                    Asked::Restart { service } => (Request::Restart, service),
                    Asked::Stop { service } => (Request::Stop, service),
                    Asked::Start { service } => (Request::Start, service),
                };
                asked.push(Event::Asked { client, request, service });
            }
        }
        self.events.extend(asked);
        for client in reloads {
            self.begin_reload(client, now);
        }
    }
}

fn no_service(name: Option<String>) -> Reply {
    Reply::Error { message: format!("there is no service `{}`", name.unwrap_or_default()) }
}
