//! What the supervisor decided, done.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::time::Duration;

use casque_format::control::Reply;
use casque_format::run::Sockets;

use super::{Engine, probes};
use crate::exit::{Exit, StartError};
use crate::log::PIPE_BYTES;
use crate::process_table;
use crate::ready::Check;
use crate::spawn::Command;
use crate::supervisor::{Action, Event};
use crate::sys;

impl Engine {
    pub(super) fn perform(&mut self, action: Action, now: Duration) {
        match action {
            Action::Spawn(id) => {
                if let Err(error) = self.spawn(id, now) {
                    self.events.push_back(Event::Exited(id, Exit::NotStarted(error)));
                }
            }
            Action::Probe(id) => {
                if let Some(outcome) = self.probe(id, now) {
                    self.events.push_back(Event::Probed(id, outcome));
                }
            }
            Action::CancelProbe(id) => self.probes.cancel(id),
            Action::Signal(id, number) => self.children.signal(id, number),
            Action::SignalGroup(id, number) => self.children.signal_group(id, number),
            Action::Kill(id) => self.children.kill(id),
            Action::TerminateStrays => {
                self.watches_strays = true;
                signal_strays(libc::SIGTERM);
                self.reap();
            }
            Action::KillStrays => {
                self.kills_strays = true;
                self.reap();
            }
            Action::Log(text) => self.log.say(&text),
            Action::Quote(id) => {
                let name = self.name(id).to_owned();
                self.log.quote(&name);
            }
            Action::Answer { client, result } => {
                let reply = match result {
                    Ok(()) => Reply::Done,
                    Err(message) => Reply::Error { message },
                };
                if let Some(control) = &mut self.control {
                    control.answer(client, &reply, now);
                }
            }
            Action::Exit(code) => self.code = Some(code),
        }
    }

    fn spawn(&mut self, id: usize, now: Duration) -> Result<(), StartError> {
        let plan = self.supervisor.services()[id].plan();
        let command = Command::service(&plan.spec, self.own_uid == 0, self.sockets.len());
        let inherits = plan.spec.sockets != Sockets::None;
        let sockets = if inherits { self.sockets.as_slice() } else { &[] };
        let (read, write) = sys::pipe().map_err(|source| StartError {
            text: format!("cannot make a pipe: {source}"),
            code: 126,
            permanent: false,
        })?;
        sys::widen_pipe(&write, PIPE_BYTES);
        command.give(&write);
        let child = command.start(&self.null, &write, sockets)?;
        let stream = self.log.open(&plan.name, read);
        self.children.add(id, child, command, stream, now);
        Ok(())
    }

    fn probe(&mut self, id: usize, now: Duration) -> Option<probes::Outcome> {
        let command = match self.supervisor.services()[id].plan().check.clone()? {
            Check::Socket(target, dialog) => {
                return self.probes.connect(id, &target, &dialog, now);
            }
            Check::Exec(_) => self.probe_command(id)?,
        };
        let limit = self.supervisor.services()[id].plan().check.as_ref()?.time_limit();
        let null = OpenOptions::new().write(true).open("/dev/null").map(OwnedFd::from);
        let child = null
            .map_err(|source| format!("cannot open `/dev/null`: {source}"))
            .and_then(|null| command.start(&null, &null, &[]).map_err(|error| error.text));
        match child {
            Ok(child) => self.probes.watch(id, child, limit, now),
            Err(problem) => return Some(Err(problem)),
        }
        None
    }

    pub(super) fn probe_command(&self, id: usize) -> Option<Command> {
        let plan = self.supervisor.services()[id].plan();
        match &plan.check {
            Some(Check::Exec(arguments)) => Some(Command::probe(arguments, &plan.spec, self.own_uid == 0)),
            _ => None,
        }
    }
}

/// Signals all our descendants. As PID 1 without a /proc, everybody.
pub(super) fn signal_strays(signal: i32) {
    let strays = process_table::descendants();
    if strays.is_empty() && std::process::id() == 1 {
        sys::kill(-1, signal);
    }
    for pid in strays {
        sys::kill(pid, signal);
    }
}
