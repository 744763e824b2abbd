//! The program's side of a sandbox.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::error::{Doing, Error};
use crate::helper::HELPER_ARGUMENT;
use crate::protocol::{CONTROL, Exit, Order, Report, Request, Trouble};
use crate::spec::{Join, Spec};
use crate::sys;

/// The program that is executed as a helper; its `main` calls [`crate::helper_main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    /// Its path.
    pub program: PathBuf,
}

impl Helper {
    /// Returns the program that runs now, even if its file was replaced or removed meanwhile.
    pub fn this_program() -> Self {
        Self { program: PathBuf::from("/proc/self/exe") }
    }
}

/// What a command reads and writes.
#[derive(Debug)]
pub struct Streams {
    /// Its descriptor 0.
    pub stdin: Stdio,
    /// Its descriptor 1.
    pub stdout: Stdio,
    /// Its descriptor 2.
    pub stderr: Stdio,
}

impl Streams {
    /// Returns this program's own streams.
    pub fn inherit() -> Self {
        Self { stdin: Stdio::inherit(), stdout: Stdio::inherit(), stderr: Stdio::inherit() }
    }
}

/// Starts commands in namespaces of their own.
#[derive(Debug, Clone)]
pub struct Sandbox {
    helper: Helper,
}

impl Sandbox {
    /// Returns a sandbox that starts its helpers in this way.
    pub fn new(helper: Helper) -> Self {
        Self { helper }
    }

    /// Starts a command with nothing to read. Returns once it is executed, with everything mounted.
    pub fn spawn(&self, spec: &Spec, stdout: Stdio, stderr: Stdio) -> Result<Running, Error> {
        self.spawn_with(spec, Streams { stdin: Stdio::null(), stdout, stderr })
    }

    /// Starts a command. Returns once it is executed, with everything mounted.
    pub fn spawn_with(&self, spec: &Spec, streams: Streams) -> Result<Running, Error> {
        self.start(&Request::Spawn(spec.clone()), streams)
    }

    /// Starts one more command inside a container that runs. Returns once it is executed.
    pub fn join(&self, join: &Join, streams: Streams) -> Result<Running, Error> {
        self.start(&Request::Join(join.clone()), streams)
    }

    fn start(&self, request: &Request, streams: Streams) -> Result<Running, Error> {
        if matches!(request, Request::Spawn(_)) && !rustix::process::geteuid().is_root() {
            return Err(Error::NeedsRoot);
        }
        let (control, theirs) = UnixStream::pair().doing("make a socket")?;
        let mut command = Command::new(&self.helper.program);
        command.arg0("casque").arg(HELPER_ARGUMENT);
        command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr);
        sys::pass_descriptor(&mut command, OwnedFd::from(theirs), CONTROL);
        let child = command.spawn().doing_to("start", &self.helper.program)?;
        // Holds the other end of the socket, whose closing must be seen here, and the caller's streams.
        drop(command);
        let reports = BufReader::new(control.try_clone().doing("make a socket")?);
        let mut running = Running { helper: child, control, reports, pid: 0, ended: None };
        say(&running.control, request)?;
        match running.hear()? {
            Report::Started(pid) => {
                running.pid = pid;
                Ok(running)
            }
            Report::NotStarted(trouble) => Err(trouble.into()),
            Report::Ended(_) => Err(Error::HelperLost),
        }
    }
}

/// A command that was started. Dropped before it has ended, it is killed with all it started.
#[derive(Debug)]
pub struct Running {
    helper: Child,
    control: UnixStream,
    reports: BufReader<UnixStream>,
    pid: i32,
    ended: Option<Exit>,
}

impl Running {
    /// Returns the number of process 1 (of a joined command: of that command), as seen here.
    pub fn pid_of_first(&self) -> i32 {
        self.pid
    }

    /// Waits for its end, and that of everything it started unless it was joined.
    pub fn wait(&mut self) -> Result<Exit, Error> {
        if let Some(exit) = self.ended {
            return Ok(exit);
        }
        let exit = match self.hear()? {
            Report::Ended(exit) => exit,
            Report::Started(_) | Report::NotStarted(_) => return Err(Error::HelperLost),
        };
        self.ended = Some(exit);
        self.helper.wait().doing("wait for the helper")?;
        Ok(exit)
    }

    /// Sends a signal to it. That it has just ended is no error.
    pub fn terminate(&self, signal: i32) -> Result<(), Error> {
        order(&self.control, signal)
    }

    /// Kills it, and with process 1 everything inside.
    pub fn kill(&self) -> Result<(), Error> {
        self.terminate(libc::SIGKILL)
    }

    /// Returns something that sends signals while another thread waits.
    pub fn signaller(&self) -> Result<Signaller, Error> {
        Ok(Signaller { control: self.control.try_clone().doing("make a socket")? })
    }

    fn hear(&mut self) -> Result<Report, Error> {
        let mut line = String::new();
        match self.reports.read_line(&mut line) {
            Ok(length) if length > 0 => {
                serde_json::from_str(&line).map_err(|source| Error::Protocol { source })
            }
            _ => Err(Error::HelperLost),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        // Every copy of the socket, a signaller's too, is closed by this, and the helper kills.
        let _ = self.control.shutdown(Shutdown::Both);
        let _ = self.helper.wait();
    }
}

/// Sends signals to a command while another thread waits for it.
#[derive(Debug)]
pub struct Signaller {
    control: UnixStream,
}

impl Signaller {
    /// Sends a signal. That the command has just ended is no error.
    pub fn send(&self, signal: i32) -> Result<(), Error> {
        order(&self.control, signal)
    }
}

fn order(control: &UnixStream, signal: i32) -> Result<(), Error> {
    match say(control, &Order::Signal(signal)) {
        Err(Error::Step { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn say<T: serde::Serialize>(mut control: &UnixStream, message: &T) -> Result<(), Error> {
    let mut line = serde_json::to_vec(message).map_err(|source| Error::Protocol { source })?;
    line.push(b'\n');
    Ok(control.write_all(&line).doing("talk to the helper")?)
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Step(failure) => failure.into(),
            Trouble::Command { command, errno } => {
                Self::Command { command, source: io::Error::from_raw_os_error(errno) }
            }
            Trouble::NoCommand => Self::NoCommand,
            Trouble::Gone(pid) => Self::Gone { pid },
        }
    }
}
