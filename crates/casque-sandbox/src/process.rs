//! Processes by number, told apart from later ones of the same number.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Doing, Error};

/// Returns when a process began, in the kernel's ticks since boot; nothing when there is no such
/// process, or only what is left of one that ended.
pub fn start_time(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold spaces and parentheses.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A process of somebody else's, held so that its number cannot pass to another one.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: i32,
    descriptor: OwnedFd,
}

impl ProcessHandle {
    /// Takes hold of process `pid` if it is still the one that began at `started`.
    pub fn open(pid: i32, started: u64) -> Result<Self, Error> {
        let number = Pid::from_raw(pid).ok_or(Error::Gone { pid })?;
        let descriptor = match pidfd_open(number, PidfdFlags::empty()) {
            Err(Errno::SRCH | Errno::INVAL) => return Err(Error::Gone { pid }),
            other => other.doing("watch a process")?,
        };
        // Checked after the process is held: before, the number could still change hands.
        if start_time(pid) != Some(started) {
            return Err(Error::Gone { pid });
        }
        Ok(Self { pid, descriptor })
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        let signal = Signal::from_named_raw(signal).ok_or(Errno::INVAL).doing("send the signal")?;
        match pidfd_send_signal(&self.descriptor, signal) {
            Err(Errno::SRCH) => Err(Error::Gone { pid: self.pid }),
            other => Ok(other.doing("send the signal")?),
        }
    }

    /// Waits for its end, at most this long; tells whether it has ended.
    pub fn wait(&self, at_most: Duration) -> Result<bool, Error> {
        let deadline = std::time::Instant::now() + at_most;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let timeout = Timespec::try_from(left).map_err(|_| Errno::INVAL).doing("wait")?;
            let mut handle = [PollFd::new(&self.descriptor, PollFlags::IN)];
            match poll(&mut handle, Some(&timeout)) {
                Err(Errno::INTR) => {}
                other => return Ok(other.doing("wait for a process")? > 0),
            }
        }
    }
}
