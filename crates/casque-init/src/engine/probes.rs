//! Readiness probes under way: connections and commands, each with its deadline.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::exit::{Exit, Span};
use crate::net;
use crate::process_table;
use crate::ready::{Dialog, LONGEST_ANSWER, Target, Verdict};
use crate::spawn::{Child, Command, Report, read_report};
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
    Exec(Box<Asked>),
}

/// A command that asks.
#[derive(Debug)]
pub(super) struct Asked {
    child: Child,
    command: Command,
    /// Until it closes it.
    output: Option<File>,
    tail: Vec<u8>,
    word: &'static str,
}

/// So much of the end of what a command writes is kept.
const TAIL: usize = 2048;
/// So much of its last line is shown.
const LONGEST_LINE: usize = 200;

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
        limit: Duration,
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
        self.running.insert(id, Probe { deadline: now + limit, limit, kind: Kind::Socket(conversation) });
        None
    }

    /// Waits for a command that was started.
    pub(super) fn watch(&mut self, id: usize, asked: Asked, limit: Duration, now: Duration) {
        self.running.insert(id, Probe { deadline: now + limit, limit, kind: Kind::Exec(Box::new(asked)) });
    }

    /// Forgets a probe; its command is killed with all that it has started, and reaped as a stranger.
    pub(super) fn cancel(&mut self, id: usize) {
        if let Some(Probe { kind: Kind::Exec(asked), .. }) = self.running.remove(&id) {
            let child = &asked.child;
            sys::kill(-child.pid, libc::SIGKILL);
            // Between `fork` and `setsid` it has no group of its own yet.
            sys::kill(child.pid, libc::SIGKILL);
            // A check that hangs at each round would leave a process behind each time.
            for process in process_table::service(child.pid, child.mark) {
                sys::kill(process.pid, libc::SIGKILL);
            }
        }
    }

    /// Returns each socket and each command's output, with whether it waits to be writable.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (usize, RawFd, bool)> {
        self.running.iter().filter_map(|(&id, probe)| match &probe.kind {
            Kind::Socket(talk) => {
                let writes = !talk.connected || !talk.request.is_empty();
                Some((id, talk.socket.as_raw_fd(), writes))
            }
            Kind::Exec(asked) => asked.output.as_ref().map(|output| (id, output.as_raw_fd(), false)),
        })
    }

    /// Goes on with a socket probe; returns its outcome when that is known.
    pub(super) fn advance(&mut self, id: usize) -> Option<Outcome> {
        let outcome = match &mut self.running.get_mut(&id)?.kind {
            Kind::Socket(talk) => talk.advance()?,
            Kind::Exec(asked) => {
                asked.read();
                return None;
            }
        };
        self.running.remove(&id);
        Some(outcome)
    }

    /// A child of ours ended; returns the probe that it was.
    pub(super) fn ended(&mut self, pid: i32) -> Option<(usize, Asked)> {
        let id = self.running.iter().find_map(|(&id, probe)| match &probe.kind {
            Kind::Exec(asked) if asked.child.pid == pid => Some(id),
            _ => None,
        })?;
        match self.running.remove(&id)?.kind {
            Kind::Exec(asked) => Some((id, *asked)),
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

impl Asked {
    /// Takes a command that was started, and the pipe that it writes into.
    pub(super) fn new(child: Child, command: Command, output: OwnedFd, word: &'static str) -> Self {
        Self { child, command, output: Some(File::from(output)), tail: Vec::new(), word }
    }

    /// Reads what it has written, and forgets all but the end.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        match self.output.as_mut().map(|output| output.read(&mut buffer)) {
            Some(Ok(count)) if count > 0 => {
                self.tail.extend_from_slice(&buffer[..count]);
                let surplus = self.tail.len().saturating_sub(TAIL);
                self.tail.drain(..surplus);
            }
            Some(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Nothing more will come.
            _ => self.output = None,
        }
    }

    /// Judges it by how it ended.
    pub(super) fn judge(mut self, ended: sys::Status) -> Outcome {
        if let Report::Failed(report) = read_report(&self.child.status) {
            return Err(self.command.explain(report).text);
        }
        // What fits into a pipe.
        for _ in 0..16 {
            self.read();
        }
        let word = self.word;
        let problem = match ended {
            sys::Status::Code(0) => return Ok(()),
            sys::Status::Code(code) => format!("its {word} command {}", Exit::Code(code)),
            sys::Status::Signal(number) => format!("its {word} command was {}", Exit::Signal(number)),
        };
        let text = String::from_utf8_lossy(&self.tail);
        match text.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => {
                let plain = line.chars().filter(|character| !character.is_control());
                Err(format!("{problem}: {}", plain.take(LONGEST_LINE).collect::<String>()))
            }
            None => Err(problem),
        }
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
