//! Readiness probes under way: connections and commands, each with its deadline.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::exit::{Exit, Span};
use crate::net;
use crate::ready::{Check, Dialog, LONGEST_ANSWER, Target, Verdict};
use crate::spawn::{Child, Report, read_report};
use crate::sys;

/// How a probe ended.
pub(super) type Outcome = Result<(), String>;

/// The probes under way, at most one for each service.
#[derive(Debug, Default)]
pub(super) struct Probes {
    running: BTreeMap<usize, Probe>,
}

#[derive(Debug)]
struct Probe {
    deadline: Duration,
    limit: Duration,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Socket(Conversation),
    Exec(Child),
}

/// A socket probe.
#[derive(Debug)]
struct Conversation {
    socket: File,
    target: Target,
    connected: bool,
    dialog: Dialog,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Probes {
    /// Connects for a socket probe; an outcome if it is known at once.
    pub(super) fn connect(
        &mut self,
        id: usize,
        target: &Target,
        dialog: &Dialog,
        now: Duration,
    ) -> Option<Outcome> {
        let socket = match net::connect(target) {
            Ok(socket) => File::from(socket),
            Err(error) => return Some(Err(cannot_connect(target, &error))),
        };
        let conversation = Conversation {
            socket,
            target: target.clone(),
            connected: false,
            request: dialog.request(),
            dialog: dialog.clone(),
            answer: Vec::new(),
        };
        let limit = Check::Socket(target.clone(), dialog.clone()).time_limit();
        self.running.insert(id, Probe { deadline: now + limit, limit, kind: Kind::Socket(conversation) });
        None
    }

    /// Waits for a command that was started.
    pub(super) fn watch(&mut self, id: usize, child: Child, limit: Duration, now: Duration) {
        self.running.insert(id, Probe { deadline: now + limit, limit, kind: Kind::Exec(child) });
    }

    /// Forgets a probe; its command is killed and reaped as a stranger.
    pub(super) fn cancel(&mut self, id: usize) {
        if let Some(Probe { kind: Kind::Exec(child), .. }) = self.running.remove(&id) {
            sys::kill(-child.pid, libc::SIGKILL);
            // Between `fork` and `setsid` it has no group of its own yet.
            sys::kill(child.pid, libc::SIGKILL);
        }
    }

    /// Returns each socket with whether it waits to be writable.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (usize, RawFd, bool)> {
        self.running.iter().filter_map(|(&id, probe)| match &probe.kind {
            Kind::Socket(talk) => {
                let writes = !talk.connected || !talk.request.is_empty();
                Some((id, talk.socket.as_raw_fd(), writes))
            }
            Kind::Exec(_) => None,
        })
    }

    /// Goes on with a socket probe; returns its outcome when that is known.
    pub(super) fn advance(&mut self, id: usize) -> Option<Outcome> {
        let Some(Probe { kind: Kind::Socket(talk), .. }) = self.running.get_mut(&id) else {
            return None;
        };
        let outcome = talk.advance()?;
        self.running.remove(&id);
        Some(outcome)
    }

    /// A child of ours ended; returns the probe that it was.
    pub(super) fn ended(&mut self, pid: i32) -> Option<(usize, OwnedFd)> {
        let id = self.running.iter().find_map(|(&id, probe)| match &probe.kind {
            Kind::Exec(child) if child.pid == pid => Some(id),
            _ => None,
        })?;
        match self.running.remove(&id)?.kind {
            Kind::Exec(child) => Some((id, child.status)),
            Kind::Socket(_) => None,
        }
    }

    /// Ends the probes whose time is over.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(usize, Outcome)> {
        let over: Vec<(usize, Duration)> = self
            .running
            .iter()
            .filter(|(_, probe)| probe.deadline <= now)
            .map(|(&id, probe)| (id, probe.limit))
            .collect();
        over.into_iter()
            .map(|(id, limit)| {
                self.cancel(id);
                (id, Err(format!("no answer within {}", Span(limit))))
            })
            .collect()
    }

    /// Returns when [`Self::due`] has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.running.values().map(|probe| probe.deadline).min()
    }
}

/// Judges a readiness command by how it ended.
pub(super) fn judge_command(
    status: &OwnedFd,
    ended: sys::Status,
    explain: impl FnOnce([i32; 3]) -> String,
) -> Outcome {
    if let Report::Failed(report) = read_report(status) {
        return Err(explain(report));
    }
    match ended {
        sys::Status::Code(0) => Ok(()),
        sys::Status::Code(code) => Err(format!("its readiness command {}", Exit::Code(code))),
        sys::Status::Signal(number) => Err(format!("its readiness command was {}", Exit::Signal(number))),
    }
}

impl Conversation {
    fn advance(&mut self) -> Option<Outcome> {
        if !self.connected {
            if let Err(error) = net::connect_result(&self.socket) {
                return Some(Err(cannot_connect(&self.target, &error)));
            }
            self.connected = true;
        }
        while !self.request.is_empty() {
            match self.socket.write(&self.request) {
                Ok(written) => {
                    self.request.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => return Some(Err(format!("cannot ask: {error}"))),
            }
        }
        loop {
            let mut buffer = [0; 4096];
            let mut ended = false;
            if self.dialog != Dialog::Connect {
                match self.socket.read(&mut buffer) {
                    Ok(0) => ended = true,
                    Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                    Err(error) => return Some(Err(format!("cannot read its answer: {error}"))),
                }
            }
            let full = self.answer.len() >= LONGEST_ANSWER;
            match self.dialog.judge(&self.answer, ended || full) {
                Verdict::Incomplete => {}
                Verdict::Ready => return Some(Ok(())),
                Verdict::NotReady(reason) => return Some(Err(reason)),
            }
        }
    }
}

fn cannot_connect(target: &Target, error: &std::io::Error) -> String {
    match target {
        Target::Tcp(address) => format!("cannot connect to {address}: {error}"),
        Target::Unix(path) => format!("cannot connect to `{}`: {error}", path.display()),
    }
}
