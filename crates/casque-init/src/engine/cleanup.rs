//! Post-stop commands: what runs when a service has ended and nothing of it is left, before it may start again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Engine;
use crate::exit::Exit;
use crate::process_table;
use crate::service::State;
use crate::spawn::{Child, Command, Report, read_report};
use crate::supervisor::Event;
use crate::sys;

/// The commands that run, at most one for each service.
#[derive(Debug, Default)]
pub(super) struct Cleanups(BTreeMap<usize, Cleanup>);

#[derive(Debug)]
struct Cleanup {
    child: Child,
    command: Command,
    stream: u64,
    /// What follows when it has ended.
    exit: Exit,
}

impl Cleanups {
    /// Kills the command of a service, with all that it has started.
    pub(super) fn kill(&self, id: usize) {
        if let Some(cleanup) = self.0.get(&id) {
            cleanup.kill();
        }
    }
}

impl Cleanup {
    fn kill(&self) {
        sys::kill(-self.child.pid, libc::SIGKILL);
        // Between `fork` and `setsid` it has no group of its own yet.
        sys::kill(self.child.pid, libc::SIGKILL);
        for process in process_table::service(self.child.pid, self.child.mark) {
            sys::kill(process.pid, libc::SIGKILL);
        }
    }
}

impl Engine {
    /// A service has ended: starts its post-stop command, where it has one, and says whether its exit has to wait for that.
    pub(super) fn clean_up(&mut self, id: usize, exit: &Exit) -> bool {
        let service = &self.supervisor.services()[id];
        let (plan, told) = (service.plan(), matches!(service.state(), State::Stopping { .. }));
        let Some(arguments) = plan.spec.post_stop.as_ref().filter(|_| !matches!(exit, Exit::NotStarted(_)))
        else {
            return false;
        };
        let name = plan.name.clone();
        let mut command = Command::probe(arguments, &plan.spec, self.own_uid == 0);
        for (variable, value) in exit.variables(told) {
            command.set(variable, &value);
        }
        match self.start_errand(&command, &name) {
            Ok((child, stream)) => {
                self.cleanups.0.insert(id, Cleanup { child, command, stream, exit: exit.clone() });
                self.events.push_back(Event::CleansUp(id));
                true
            }
            Err(problem) => {
                self.log.say(&format!("`{name}` has a post-stop command that could not start: {problem}"));
                false
            }
        }
    }

    /// Handles the end of a post-stop command, if it is one. How it ended changes nothing.
    pub(super) fn cleanup_ended(&mut self, pid: i32, now: Duration) -> bool {
        let id = self.cleanups.0.iter().find_map(|(&id, cleanup)| (cleanup.child.pid == pid).then_some(id));
        let Some((id, cleanup)) = id.and_then(|id| Some((id, self.cleanups.0.remove(&id)?))) else {
            return false;
        };
        // While it is a zombie its number is its own.
        cleanup.kill();
        let ended = sys::reap(pid);
        self.log.finish(cleanup.stream, now);
        let problem = match (read_report(&cleanup.child.status), ended) {
            (Report::Failed(report), _) => {
                Some(format!("could not start: {}", cleanup.command.explain(report).text))
            }
            (_, sys::Status::Code(0)) => None,
            (_, sys::Status::Code(code)) => Some(Exit::Code(code).to_string()),
            (_, sys::Status::Signal(number)) => Some(format!("was {}", Exit::Signal(number))),
        };
        if let Some(problem) = problem {
            let name = self.name(id).to_owned();
            self.log.say(&format!("`{name}` has a post-stop command that {problem}"));
        }
        self.events.push_back(Event::Exited(id, cleanup.exit));
        true
    }
}
