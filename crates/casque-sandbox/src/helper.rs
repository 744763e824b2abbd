//! The helper: the process between the program and the first process of a sandbox.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, setsid, waitpid};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces};

use crate::error::Doing;
use crate::first;
use crate::process::start_time;
use crate::protocol::{CONTROL, Exit, Order, Report, Request, Trouble};
use crate::reaper;
use crate::spec::{Join, Network, Session, Spec};
use crate::sys;
use crate::user::mapper_main;

/// The hidden first argument that makes a program a helper.
pub(crate) const HELPER_ARGUMENT: &str = "--sandbox-helper";

/// Does the helper's work when this process was started as one, and returns the code to exit with.
///
/// The program calls this at the top of `main`, before it starts a thread or opens a file. What goes
/// wrong is told to the program that started this one, never printed.
pub fn helper_main() -> Option<ExitCode> {
    if let Some(code) = mapper_main() {
        return Some(code);
    }
    if std::env::args_os().nth(1).is_none_or(|argument| argument != HELPER_ARGUMENT) {
        return None;
    }
    sys::close_from(CONTROL + 1);
    let Ok(control) = sys::take_descriptor(CONTROL) else {
        return Some(ExitCode::from(2));
    };
    match serve(UnixStream::from(control)) {
        Ok(()) => Some(ExitCode::SUCCESS),
        // The program is gone: nobody is left to be told.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

fn serve(control: UnixStream) -> io::Result<()> {
    let mut orders = BufReader::new(control.try_clone()?);
    let mut line = String::new();
    orders.read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    let session = match &request {
        Request::Spawn(spec) => spec.session,
        Request::Join(join) => join.session,
    };
    // What a terminal says is for the program and the command, not for what stands between them.
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGTSTP] {
        sys::ignore_signal(signal);
    }
    if session == Session::Own {
        setsid()?;
    }
    match start(&request) {
        Ok(first) => {
            say(&control, &Report::Started(first.pid.as_raw_nonzero().get()))?;
            let exit = first.watch(orders)?;
            say(&control, &Report::Ended(exit))
        }
        Err(trouble) => say(&control, &Report::NotStarted(trouble)),
    }
}

fn say(mut control: &UnixStream, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    control.write_all(&line)
}

/// The process that executes (or, as a reaper, looks after) the command.
struct First {
    pid: Pid,
    handle: OwnedFd,
    /// Its other end, held by the first process alone, tells it that the helper lives.
    _alive: OwnedFd,
}

fn start(request: &Request) -> Result<First, Trouble> {
    match request {
        Request::Spawn(spec) => make_namespaces(spec)?,
        Request::Join(join) => enter_namespaces(join)?,
    }
    let (alive, alive_here) = pipe_with(PipeFlags::CLOEXEC).doing("make a pipe")?;
    let (report, report_there) = pipe_with(PipeFlags::CLOEXEC).doing("make a pipe")?;
    match sys::fork().doing("make a process")? {
        sys::Fork::Child => {
            drop((alive_here, report));
            match first::first_process(request, &alive) {
                Ok(command) => {
                    drop(report_there);
                    sys::exit_now(reaper::reap_until(command).code())
                }
                Err(trouble) => first::tell_and_exit(&report_there, &trouble),
            }
        }
        sys::Fork::Parent(pid) => {
            drop((alive, report_there));
            let handle = pidfd_open(pid, PidfdFlags::empty()).doing("watch the first process")?;
            match first::hear(report)? {
                None => Ok(First { pid, handle, _alive: alive_here }),
                Some(trouble) => Err(trouble),
            }
        }
    }
}

impl First {
    /// Waits for its end; follows orders until then, and kills it when nobody gives any more.
    fn watch(&self, mut orders: BufReader<UnixStream>) -> io::Result<Exit> {
        loop {
            // An order that came together with the last one is in the buffer, and poll would not tell of it.
            if orders.buffer().is_empty() && self.ends_before(orders.get_ref())? {
                return self.reap();
            }
            let mut line = String::new();
            match orders.read_line(&mut line) {
                Ok(length) if length > 0 => self.obey(serde_json::from_str(&line)?)?,
                // The program closed the socket, or died.
                _ => {
                    pidfd_send_signal(&self.handle, Signal::KILL)?;
                    return self.reap();
                }
            }
        }
    }

    /// Waits for its end or an order, and tells whether it was its end.
    fn ends_before(&self, orders: &UnixStream) -> io::Result<bool> {
        loop {
            let mut both = [PollFd::new(&self.handle, PollFlags::IN), PollFd::new(orders, PollFlags::IN)];
            match poll(&mut both, None) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(!both[0].revents().is_empty()),
            }
        }
    }

    fn obey(&self, Order::Signal(signal): Order) -> io::Result<()> {
        let Some(signal) = Signal::from_named_raw(signal) else { return Ok(()) };
        match pidfd_send_signal(&self.handle, signal) {
            // It has ended just now, which the next poll tells.
            Err(Errno::SRCH) => Ok(()),
            other => Ok(other?),
        }
    }

    fn reap(&self) -> io::Result<Exit> {
        loop {
            match waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(reaper::exit(status)),
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn make_namespaces(spec: &Spec) -> Result<(), Trouble> {
    let mut flags = UnshareFlags::NEWPID | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    if spec.network == Network::None {
        flags |= UnshareFlags::NEWNET;
    }
    Ok(sys::unshare(flags).doing("make namespaces")?)
}

fn enter_namespaces(join: &Join) -> Result<(), Trouble> {
    let gone = || Trouble::Gone(join.pid);
    let pid = Pid::from_raw(join.pid).ok_or_else(gone)?;
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Err(gone()),
        other => other.doing("watch the container")?,
    };
    // The number is checked after the process is held, so that it cannot change hands in between.
    if start_time(join.pid) != Some(join.start_time) {
        return Err(gone());
    }
    let mut all = ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::NETWORK;
    // An ordinary user is root in the namespaces of his own containers once he is in their user namespace.
    if !rustix::process::geteuid().is_root() {
        all |= ThreadNameSpaceType::USER;
    }
    match move_into_thread_name_spaces(handle.as_fd(), all) {
        Err(Errno::SRCH) => Err(gone()),
        other => Ok(other.doing("enter the container")?),
    }
}
