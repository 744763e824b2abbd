//! Main processes: started, signalled, reaped, and cleaned up after.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::exit::{Exit, StartError};
use crate::process_table;
use crate::spawn::{Child, Command, Report, read_report};
use crate::sys;

/// How long a replacement waits for what its predecessor left behind.
const PATIENCE: Duration = Duration::from_secs(2);
/// When to look again if nobody told us that it is gone: a process whose parent is not us.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The main processes, at most one for each service.
#[derive(Debug, Default)]
pub(super) struct Children {
    running: BTreeMap<usize, Main>,
    leaving: BTreeMap<usize, Leaving>,
}

#[derive(Debug)]
struct Main {
    pid: i32,
    /// Until the program runs.
    status: Option<OwnedFd>,
    failure: Option<StartError>,
    command: Command,
    stream: u64,
}

/// A main process is gone; others of its session are not.
#[derive(Debug)]
struct Leaving {
    session: i32,
    exit: Exit,
    look_again: Duration,
    give_up: Duration,
}

/// A main process was reaped.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whose it was.
    pub(super) id: usize,
    /// Its output.
    pub(super) stream: u64,
    /// Its program ran, and nobody knew yet.
    pub(super) just_ran: bool,
}

impl Children {
    /// Takes a process that was started.
    pub(super) fn add(&mut self, id: usize, child: Child, command: Command, stream: u64) {
        let Child { pid, status } = child;
        let main = Main { pid, status: Some(status), failure: None, command, stream };
        self.running.insert(id, main);
    }

    /// Returns the process numbers by service.
    pub(super) fn pids(&self) -> BTreeMap<usize, i32> {
        self.running.iter().map(|(&id, main)| (id, main.pid)).collect()
    }

    /// Returns the status pipes to poll.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (usize, RawFd)> {
        let open = |main: &Main| main.status.as_ref().map(AsRawFd::as_raw_fd);
        self.running.iter().filter_map(move |(&id, main)| Some((id, open(main)?)))
    }

    /// Reads a status pipe; says whether the program now runs.
    pub(super) fn read_status(&mut self, id: usize) -> bool {
        self.running.get_mut(&id).is_some_and(Main::read_status)
    }

    /// Sends a signal to a main process.
    pub(super) fn signal(&self, id: usize, signal: i32) {
        if let Some(main) = self.running.get(&id) {
            signal_and_wake(main.pid, signal);
        }
    }

    /// Sends a signal to the process group that a main process leads.
    pub(super) fn signal_group(&self, id: usize, signal: i32) {
        if let Some(main) = self.running.get(&id) {
            signal_and_wake(-main.pid, signal);
        }
    }

    /// Kills everything that belongs to a service.
    pub(super) fn kill(&self, id: usize) {
        if let Some(main) = self.running.get(&id) {
            sys::kill(main.pid, libc::SIGKILL);
            kill_session(main.pid);
        } else if let Some(leaving) = self.leaving.get(&id) {
            kill_session(leaving.session);
        }
    }

    /// Handles the end of a child that is not reaped yet, if it is a main process.
    ///
    /// While it is a zombie its number cannot be given to anybody else, so this is the moment to
    /// kill what it leaves behind.
    pub(super) fn ended(
        &mut self,
        pid: i32,
        now: Duration,
        reap: impl FnOnce() -> sys::Status,
    ) -> Option<Ended> {
        let id = self.running.iter().find_map(|(&id, main)| (main.pid == pid).then_some(id))?;
        kill_session(pid);
        let status = reap();
        let mut main = self.running.remove(&id)?;
        let just_ran = main.read_status();
        let exit = match (main.failure.take(), status) {
            (Some(error), _) => Exit::NotStarted(error),
            (None, sys::Status::Code(code)) => Exit::Code(code),
            (None, sys::Status::Signal(number)) => Exit::Signal(number),
        };
        let leaving = Leaving { session: pid, exit, look_again: now, give_up: now + PATIENCE };
        self.leaving.insert(id, leaving);
        Some(Ended { id, stream: main.stream, just_ran })
    }

    /// Returns the services whose leftovers are gone, or would not go.
    pub(super) fn gone(&mut self, now: Duration, reaped: bool) -> Vec<(usize, Exit, Vec<i32>)> {
        let mut gone = Vec::new();
        self.leaving.retain(|&id, leaving| {
            if !reaped && leaving.look_again > now {
                return true;
            }
            let left = kill_session(leaving.session);
            if !left.is_empty() && leaving.give_up > now {
                leaving.look_again = now + LOOK_AGAIN;
                return true;
            }
            gone.push((id, leaving.exit.clone(), left));
            false
        });
        gone
    }

    /// Returns when [`Self::gone`] should look again.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.leaving.values().map(|leaving| leaving.look_again).min()
    }
}

impl Main {
    fn read_status(&mut self) -> bool {
        let Some(status) = &self.status else {
            return false;
        };
        match read_report(status) {
            Report::Pending => false,
            Report::Running => {
                self.status = None;
                true
            }
            Report::Failed(report) => {
                self.status = None;
                self.failure = Some(self.command.explain(report));
                false
            }
        }
    }
}

/// Kills a session and returns who was left of it. The group goes first: that works without /proc.
fn signal_and_wake(target: i32, signal: i32) {
    sys::kill(target, signal);
    if signal != libc::SIGKILL {
        // A process that somebody stopped could not act on it.
        sys::kill(target, libc::SIGCONT);
    }
}

fn kill_session(session: i32) -> Vec<i32> {
    sys::kill(-session, libc::SIGKILL);
    let left = process_table::session(session);
    for &pid in &left {
        sys::kill(pid, libc::SIGKILL);
    }
    left
}
