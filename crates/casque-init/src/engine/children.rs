//! Main processes: started, signalled, reaped, and cleaned up after.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::exit::{Exit, StartError};
use crate::oom::Oom;
use crate::process_table::{self, Process};
use crate::spawn::{Child, Command, Mark, Report, read_report};
use crate::sys;

/// How long a replacement waits for what its predecessor left behind.
const PATIENCE: Duration = Duration::from_secs(2);
/// When to look again if nobody told us that it is gone: a process whose parent is not us.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A main process that ends well within this time and leaves others running has put itself into the background.
const LONGEST_LAUNCH: Duration = Duration::from_secs(60);
/// How long others may take to end after it.
const DOUBT: Duration = Duration::from_millis(100);
/// How long the workers of a front whose master died may take to answer what they have accepted.
const FAREWELL: Duration = Duration::from_millis(80);
/// So many of them are named.
const MOST_TITLES: usize = 3;

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
    mark: Mark,
    began: Duration,
    /// It was told to end: what it does then says nothing about what it is.
    told: bool,
    /// We have killed it ourselves.
    killed: bool,
}

/// A main process is gone; others of its service may not be.
#[derive(Debug)]
struct Leaving {
    belongings: Belongings,
    /// Until then others may end by themselves.
    spared_until: Option<Duration>,
    /// If they do not, it has put itself into the background.
    in_doubt: bool,
    exit: Exit,
    look_again: Duration,
    give_up: Duration,
}

/// How to find what belongs to a service.
#[derive(Debug, Clone, Copy)]
struct Belongings {
    session: i32,
    /// None: whoever left the session is let go.
    mark: Option<Mark>,
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
    /// The kernel killed it for lack of memory.
    pub(super) out_of_memory: bool,
}

impl Children {
    /// Takes a process that was started.
    pub(super) fn add(&mut self, id: usize, child: Child, command: Command, stream: u64, now: Duration) {
        let Child { pid, status, mark } = child;
        let main = Main {
            pid,
            status: Some(status),
            failure: None,
            command,
            stream,
            mark,
            began: now,
            told: false,
            killed: false,
        };
        self.running.insert(id, main);
    }

    /// Returns the process numbers by service.
    pub(super) fn pids(&self) -> BTreeMap<usize, i32> {
        self.running.iter().map(|(&id, main)| (id, main.pid)).collect()
    }

    /// Returns the service whose main process leads a session.
    pub(super) fn with_session(&self, session: i32) -> Option<usize> {
        self.running.iter().find_map(|(&id, main)| (main.pid == session).then_some(id))
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
    pub(super) fn signal(&mut self, id: usize, signal: i32) {
        if let Some(main) = self.running.get_mut(&id) {
            main.told = true;
            signal_and_wake(main.pid, signal);
        }
    }

    /// Sends a signal to the process group that a main process leads.
    pub(super) fn signal_group(&mut self, id: usize, signal: i32) {
        if let Some(main) = self.running.get_mut(&id) {
            main.told = true;
            signal_and_wake(-main.pid, signal);
        }
    }

    /// Kills everything that belongs to a service.
    pub(super) fn kill(&mut self, id: usize) {
        if let Some(main) = self.running.get_mut(&id) {
            main.killed = true;
            sys::kill(main.pid, libc::SIGKILL);
            Belongings { session: main.pid, mark: Some(main.mark) }.kill();
        } else if let Some(leaving) = self.leaving.get_mut(&id) {
            leaving.spared_until = None;
            leaving.belongings.kill();
        }
    }

    /// Handles the end of a child that is not reaped yet, if it is a main process. `stopping`: the whole container
    /// stops, so that whoever left its session will be asked to end like every stray.
    ///
    /// While it is a zombie its number cannot be given to anybody else, so this is the moment to
    /// kill what it leaves behind.
    pub(super) fn ended(
        &mut self,
        pid: i32,
        now: Duration,
        stopping: bool,
        oom: &mut Oom,
        reap: impl FnOnce() -> sys::Status,
    ) -> Option<Ended> {
        let id = self.running.iter().find_map(|(&id, main)| (main.pid == pid).then_some(id))?;
        let well = sys::ended_well(pid);
        let main = self.running.get(&id)?;
        let soon = now.saturating_sub(main.began) < LONGEST_LAUNCH;
        let in_doubt = well && soon && main.command.stays() && !main.told && !stopping;
        // What a one-shot has started and given a session of its own is what it was for.
        let lets_go = stopping || (well && !main.command.stays());
        let belongings = Belongings { session: pid, mark: (!lets_go).then_some(main.mark) };
        let farewell = main.command.farewell().filter(|_| !in_doubt && !stopping && !main.killed);
        let spared_until = match farewell {
            // Its workers are well and have accepted what would be lost with them.
            Some(signal) => {
                sys::kill(-pid, signal);
                Some(now + FAREWELL)
            }
            None if in_doubt => Some(now + DOUBT),
            None => {
                belongings.kill();
                None
            }
        };
        let status = reap();
        let mut main = self.running.remove(&id)?;
        let just_ran = main.read_status();
        let out_of_memory = status == sys::Status::Signal(libc::SIGKILL) && !main.killed && oom.happened();
        let exit = match (main.failure.take(), status) {
            (Some(error), _) => Exit::NotStarted(error),
            (None, sys::Status::Code(code)) => Exit::Code(code),
            (None, sys::Status::Signal(_)) if out_of_memory => Exit::OutOfMemory,
            (None, sys::Status::Signal(number)) => Exit::Signal(number),
        };
        let leaving = Leaving {
            belongings,
            spared_until,
            in_doubt,
            exit,
            look_again: now,
            give_up: now + DOUBT + PATIENCE,
        };
        self.leaving.insert(id, leaving);
        Some(Ended { id, stream: main.stream, just_ran, out_of_memory })
    }

    /// Returns the services whose leftovers are gone, or would not go.
    pub(super) fn gone(&mut self, now: Duration, reaped: bool) -> Vec<(usize, Exit, Vec<i32>)> {
        let mut gone = Vec::new();
        self.leaving.retain(|&id, leaving| {
            if !reaped && leaving.look_again > now {
                return true;
            }
            if let Some(until) = leaving.spared_until {
                let left = leaving.belongings.processes();
                if !left.is_empty() && now < until {
                    leaving.look_again = until;
                    return true;
                }
                leaving.spared_until = None;
                if leaving.in_doubt && !left.is_empty() {
                    let titles = left.iter().take(MOST_TITLES).map(Process::title);
                    leaving.exit = Exit::Background(titles.collect());
                }
            }
            let left = leaving.belongings.kill();
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

fn signal_and_wake(target: i32, signal: i32) {
    sys::kill(target, signal);
    if signal != libc::SIGKILL {
        // A process that somebody stopped could not act on it.
        sys::kill(target, libc::SIGCONT);
    }
}

impl Belongings {
    fn processes(self) -> Vec<Process> {
        match self.mark {
            Some(mark) => process_table::service(self.session, mark),
            None => process_table::session(self.session),
        }
    }

    /// Kills them and returns who was left. The group goes first: that works without /proc.
    fn kill(self) -> Vec<i32> {
        sys::kill(-self.session, libc::SIGKILL);
        let left: Vec<i32> = self.processes().iter().map(|process| process.pid).collect();
        for &pid in &left {
            sys::kill(pid, libc::SIGKILL);
        }
        left
    }
}
