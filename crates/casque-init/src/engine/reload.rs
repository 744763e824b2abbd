//! Another plan while everything runs: prepared anew, checked, and only then carried out.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use casque_format::control::{Change, Reply};

use super::Engine;
use crate::exit::{Exit, Span};
use crate::log::Mask;
use crate::plan::{Place, Plan, PlanError, Planned, Tell};
use crate::spawn::{Child, Command};
use crate::supervisor::{Event, UNDER_WAY};
use crate::sys;

/// Stands for the process that prepares the plan, in the place of a service.
pub(super) const PREPARE: usize = usize::MAX;
/// How long that may take while services run.
const LIMIT: Duration = Duration::from_secs(120);

/// Where plans come from.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file.
    pub(crate) path: PathBuf,
    /// What makes it; none when it is there already.
    pub(crate) prepare: Option<Planned>,
    /// Where it is carried out.
    pub(crate) place: Place,
}

/// A plan that is being prepared.
#[derive(Debug)]
pub(super) struct Reloading {
    client: u64,
    /// The newest line of the log when it began.
    began: u64,
    pub(super) deadline: Duration,
    killed: bool,
}

impl Engine {
    /// Reads the plan that was prepared.
    pub(crate) fn load_plan(&self) -> Result<Plan, PlanError> {
        Plan::load(&self.source.path, &self.source.place)
    }

    /// Begins to prepare the plan anew.
    pub(super) fn begin_reload(&mut self, client: u64, now: Duration) {
        let refusal = match &self.reloading {
            Some(_) => Some("another reload is under way".to_owned()),
            None if self.supervisor.maintainer().is_some() => Some(UNDER_WAY.to_owned()),
            None => self.prepare(now).err(),
        };
        if let Some(message) = refusal {
            return self.reply(client, &Reply::Error { message }, now);
        }
        let began = self.log.lines();
        self.reloading = Some(Reloading { client, began, deadline: now + LIMIT, killed: false });
        if self.source.prepare.is_none() {
            self.prepared(Exit::Code(0), now);
        }
    }

    fn prepare(&mut self, now: Duration) -> Result<(), String> {
        let Some(plan) = &self.source.prepare else {
            return Ok(());
        };
        let (mut spec, name) = (plan.spec.clone(), plan.name.clone());
        // What changes under services that run is checked before.
        spec.command.push("--running".to_owned());
        let command = Command::service(&spec, self.own_uid == 0, 0);
        let (child, stream) = self.start_errand(&command, &name)?;
        self.children.add(PREPARE, child, command, stream, now);
        Ok(())
    }

    /// Kills what takes too long to prepare a plan.
    pub(super) fn press_reload(&mut self, now: Duration) {
        if let Some(reloading) = &mut self.reloading
            && reloading.deadline <= now
            && !reloading.killed
        {
            reloading.killed = true;
            self.children.kill(PREPARE);
        }
    }

    /// Returns when [`Self::press_reload`] has something to do.
    pub(super) fn reload_deadline(&self) -> Option<Duration> {
        self.reloading.as_ref().filter(|reloading| !reloading.killed).map(|reloading| reloading.deadline)
    }

    /// The plan is prepared, or could not be.
    pub(super) fn prepared(&mut self, exit: Exit, now: Duration) {
        let Some(reloading) = self.reloading.take() else {
            return;
        };
        let outcome = match exit {
            _ if reloading.killed => Err(format!("the plan was not prepared within {}", Span(LIMIT))),
            Exit::Code(0) => self.change_plan(now),
            exit => Err(format!("the plan could not be prepared: {exit}")),
        };
        let reply = match outcome {
            Ok(changes) => Reply::Reloaded { changes },
            Err(problem) => {
                let message = format!("{problem}; nothing was changed");
                self.log.say(&message);
                let label = self.source.prepare.as_ref().map(|plan| plan.name.as_str());
                let said = label.map(|label| self.log.since(label, reloading.began)).unwrap_or_default();
                let lines: Vec<String> = std::iter::once(message).chain(said).collect();
                Reply::Error { message: lines.join("\n") }
            }
        };
        self.reply(reloading.client, &reply, now);
    }

    fn change_plan(&mut self, now: Duration) -> Result<Vec<Change>, String> {
        let plan = self.load_plan().map_err(|error| error.to_string())?;
        if plan.listen != self.listen {
            return Err("the exposed ports are others, which takes another container".to_owned());
        }
        let (agent_uid, version, mask) = (plan.agent_uid, plan.version.clone(), plan.mask.clone());
        let logs = plan.logs.clone();
        let names: Vec<String> = plan.services.iter().map(|service| service.name.clone()).collect();
        let mut actions = Vec::new();
        let Some(changes) = self.supervisor.change(now, plan, &mut actions) else {
            return Err("the container is stopping".to_owned());
        };
        // Whatever still runs may write what was secret before.
        self.mask.extend(mask);
        self.mask.sort();
        self.mask.dedup();
        self.log.hide(Mask::new(&self.mask));
        self.log.arrange(&logs, names.iter().map(String::as_str));
        (self.agent_uid, self.version) = (agent_uid, version);
        for action in actions {
            self.perform(action, now);
        }
        self.watch_surroundings();
        self.events.push_back(Event::Due);
        Ok(changes)
    }

    /// Tells a service that its files have changed.
    pub(super) fn tell(&mut self, id: usize) {
        let plan = self.supervisor.services()[id].plan();
        let name = plan.name.clone();
        match plan.reload.clone() {
            Some(Tell::Signal(number)) => self.children.signal(id, number),
            Some(Tell::Exec(arguments)) => {
                let command = Command::probe(&arguments, &plan.spec, self.own_uid == 0);
                match self.start_errand(&command, &name) {
                    Ok((child, stream)) => {
                        self.errands.insert(child.pid, (name, stream, child.status));
                    }
                    Err(problem) => self.log.say(&format!("`{name}` cannot be told: {problem}")),
                }
            }
            None => {}
        }
    }

    /// An errand that ended is a line only when it did not end well.
    pub(super) fn errand_ended(&mut self, pid: i32, now: Duration) -> bool {
        let Some((name, stream, _status)) = self.errands.remove(&pid) else {
            return false;
        };
        sys::kill(-pid, libc::SIGKILL);
        let exit = match sys::reap(pid) {
            sys::Status::Code(code) => Exit::Code(code),
            sys::Status::Signal(number) => Exit::Signal(number),
        };
        self.log.finish(stream, now);
        if exit != Exit::Code(0) {
            self.log.say(&format!("`{name}` was told of its changed files, and that {exit}"));
        }
        true
    }

    /// Starts a program beside the services; what it writes is in the log under `label`.
    pub(super) fn start_errand(&mut self, command: &Command, label: &str) -> Result<(Child, u64), String> {
        let (read, write): (OwnedFd, OwnedFd) =
            sys::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
        command.give(&write);
        let child = command.start(&self.null, &write, &[]).map_err(|error| error.text)?;
        Ok((child, self.log.open(label, read)))
    }

    fn reply(&mut self, client: u64, reply: &Reply, now: Duration) {
        if let Some(control) = &mut self.control {
            control.answer(client, reply, now);
        }
    }
}
