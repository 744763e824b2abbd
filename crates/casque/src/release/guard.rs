//! Programs that a release runs, and that do not outlive it.
//!
//! Between a release and a program of the project stands this program once more, as a guard. The guard has a session of its
//! own and reads from a pipe whose other end the release holds. When that closes, because time is up or because the release
//! was killed, even by a signal that nobody can handle, the guard ends the whole process group. Its lock says when it has.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use fs_err::File;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, setsid, waitid};

use super::error::ReleaseError;

/// How long programs have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(10);
/// What somebody who left the process group may still print after the program ended.
const REST: Duration = Duration::from_secs(2);
/// Lines of a program's end that an error shows.
const SHOWN: usize = 20;
/// The program was not found, as a shell says it.
const NOT_FOUND: u8 = 127;
/// Variables that are the release's alone.
const SECRET: [&str; 3] = ["CASQUE_PASSPHRASE", "CASQUE_OLD_PASSPHRASE", "CASQUE_RELEASE_TOKEN"];

/// Runs programs of one project, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    /// This program.
    pub(crate) program: PathBuf,
    /// What a guard holds as long as anything runs.
    pub(crate) lock: PathBuf,
    /// `PATH`, with this program's directory before it.
    pub(crate) path: OsString,
}

/// A program to run.
#[derive(Debug, Clone)]
pub(crate) struct Job<'a> {
    /// Its name and arguments.
    pub(crate) words: Vec<OsString>,
    /// What messages call it.
    pub(crate) shown: String,
    /// Where it runs.
    pub(crate) directory: &'a Path,
    /// Variables beside those of this process.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// How long it may take.
    pub(crate) timeout: Duration,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

enum Message {
    Line(Stream, String),
    Closed,
    Ended(io::Result<std::process::ExitStatus>),
}

impl Runner {
    /// Waits until nothing runs that an earlier run, which was killed, had started.
    pub(crate) fn wait_for_others(&self) -> io::Result<()> {
        let lock = File::options().create(true).truncate(false).write(true).open(&self.lock)?;
        Ok(flock(&lock, FlockOperation::LockExclusive)?)
    }

    /// Runs a program to its end, and hands on what it prints.
    pub(crate) fn run(&self, job: &Job<'_>, line: &mut dyn FnMut(Stream, &str)) -> Result<(), ReleaseError> {
        let failed = |source| ReleaseError::Start { command: job.shown.clone(), source };
        let mut guard = self.spawn(job).map_err(failed)?;
        let (sender, receiver) = mpsc::channel();
        let mut pipe = guard.stdin.take();
        let streams = [
            (Stream::Output, guard.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>)),
            (Stream::Error, guard.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>)),
        ];
        for (stream, pipe) in streams {
            let (sender, pipe) = (sender.clone(), pipe.expect("it was asked for"));
            thread::spawn(move || hand_on(stream, pipe, &sender));
        }
        thread::spawn(move || {
            let _ = sender.send(Message::Ended(guard.wait()));
        });

        let deadline = Instant::now() + job.timeout;
        let mut last: Vec<String> = Vec::new();
        let (mut open, mut ended, mut rest) = (2, None, None);
        while open > 0 || ended.is_none() {
            let message = match (pipe.is_some(), rest) {
                (_, Some(until)) => receiver.recv_timeout(remaining(until)),
                (true, None) => receiver.recv_timeout(remaining(deadline)),
                (false, None) => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Line(stream, text)) => {
                    if last.len() == SHOWN {
                        last.remove(0);
                    }
                    line(stream, &text);
                    last.push(text);
                }
                Ok(Message::Closed) => open -= 1,
                Ok(Message::Ended(status)) => {
                    ended = Some(status);
                    rest = Some(Instant::now() + REST);
                }
                Err(_) if ended.is_some() => break,
                // Time is up: the guard hears of it by the end of the pipe.
                Err(_) => pipe = None,
            }
        }
        let (command, timed_out) = (job.shown.clone(), pipe.is_none());
        let status = ended.expect("the loop waits for it").map_err(failed)?;
        match status.code() {
            _ if timed_out => Err(ReleaseError::Timeout { command, limit: job.timeout, output: last }),
            Some(0) => Ok(()),
            Some(code) => {
                Err(ReleaseError::Command { command, how: format!("exit code {code}"), output: last })
            }
            None => Err(ReleaseError::Command { command, how: status.to_string(), output: last }),
        }
    }

    fn spawn(&self, job: &Job<'_>) -> io::Result<Child> {
        let mut guard = Command::new(&self.program);
        guard.args(["release", "guard", "--lock"]).arg(&self.lock).arg("--").args(&job.words);
        guard.current_dir(job.directory).env("PATH", &self.path);
        for name in SECRET {
            guard.env_remove(name);
        }
        guard.envs(job.variables.iter().map(|(name, value)| (name, value)));
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }
}

fn remaining(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn hand_on(stream: Stream, pipe: impl Read, sender: &Sender<Message>) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    // A line of any length; a program that prints no end of line at all is one that says little.
    while pipe.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        if sender.send(Message::Line(stream, text)).is_err() {
            return;
        }
        bytes.clear();
    }
    let _ = sender.send(Message::Closed);
}

enum Ending {
    Program,
    Release,
}

/// The guard itself: runs `words` until they end, or until its standard input does.
pub(crate) fn guard(lock: &Path, words: &[OsString]) -> io::Result<ExitCode> {
    // Without a terminal nobody can be asked for a password that nobody types.
    let _ = setsid();
    let held = File::options().create(true).truncate(false).write(true).open(lock)?;
    flock(&held, FlockOperation::LockExclusive)?;
    let [program, arguments @ ..] = words else { return Ok(ExitCode::from(NOT_FOUND)) };
    let spawned = Command::new(program).args(arguments).stdin(Stdio::null()).process_group(0).spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ExitCode::from(NOT_FOUND)),
        child => child?,
    };
    let group = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    let release = sender.clone();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = release.send(Ending::Release);
    });
    thread::spawn(move || {
        // Not reaped: as long as it is not, the number of the group is nobody else's.
        let _ = waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let _ = sender.send(Ending::Program);
    });
    if let Ok(Ending::Release) = receiver.recv() {
        let _ = kill_process_group(group, Signal::TERM);
        let _ = receiver.recv_timeout(GRACE);
    }
    // What the program left running in its group ends with it.
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
