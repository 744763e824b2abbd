//! What the supervisor decided, done.

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
                    self.release(id);
                    self.events.push_back(Event::Exited(id, Exit::NotStarted(error)));
                }
            }
            Action::Probe(id) => {
                let check = self.supervisor.services()[id].plan().check.clone();
                if let Some(check) = check {
                    let limit = check.time_limit();
                    self.ask(id, &check, limit, "readiness", now);
                }
            }
            Action::Examine(id) => {
                let health = self.supervisor.services()[id].plan().health.clone();
                if let Some(health) = health {
                    self.ask(id, &health.check, health.timeout, "health", now);
                }
            }
            Action::Tell(id) => self.tell(id),
            Action::CancelProbe(id) => self.probes.cancel(id),
            Action::Signal(id, number) => self.children.signal(id, number),
            Action::SignalGroup(id, number) => self.children.signal_group(id, number),
            Action::Kill(id) => {
                self.children.kill(id);
                self.cleanups.kill(id);
            }
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
        if !self.may_run_once(id, now)? {
            return Ok(());
        }
        let plan = self.supervisor.services()[id].plan();
        let mut command = Command::service(&plan.spec, self.own_uid == 0, self.sockets.len());
        if plan.notifies {
            let address = self.notices.address(id).map_err(|source| StartError {
                text: format!("cannot open a socket for it to notify: {source}"),
                code: 126,
                permanent: false,
            })?;
            command.set("NOTIFY_SOCKET", address);
        }
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

    /// Asks a service something; `word` says what for.
    fn ask(&mut self, id: usize, check: &Check, limit: Duration, word: &'static str, now: Duration) {
        let outcome = match check {
            Check::Socket(target, dialog) => self.probes.connect(id, target, dialog, limit, now),
            Check::Exec(arguments) => self.ask_command(id, arguments, limit, word, now).err().map(Err),
        };
        if let Some(outcome) = outcome {
            self.events.push_back(Event::Probed(id, outcome));
        }
    }

    fn ask_command(
        &mut self,
        id: usize,
        arguments: &[String],
        limit: Duration,
        word: &'static str,
        now: Duration,
    ) -> Result<(), String> {
        let plan = self.supervisor.services()[id].plan();
        let command = Command::probe(arguments, &plan.spec, self.own_uid == 0);
        let (read, write) = sys::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
        command.give(&write);
        let child = command.start(&self.null, &write, &[]).map_err(|error| error.text)?;
        self.probes.watch(id, probes::Asked::new(child, command, read, word), limit, now);
        Ok(())
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
