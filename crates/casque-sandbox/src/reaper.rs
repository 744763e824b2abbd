//! The tiny init that is process 1 when the command itself is not.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use crate::protocol::Exit;
use crate::sys;

/// Waits for `command`, reaps whatever else ends and passes signals on. Every signal is blocked, and
/// was before `command` was started, so that none is lost.
pub(crate) fn reap_until(command: Pid) -> Exit {
    loop {
        let signal = sys::next_signal();
        if signal != libc::SIGCHLD {
            pass_on(signal, command);
            continue;
        }
        // One SIGCHLD may stand for several ends.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == command {
                return exit(status);
            }
        }
    }
}

/// Passes on what asks the command to do something; the rest is the kernel's talk with process 1.
fn pass_on(signal: i32, command: Pid) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // The command may have ended just now; its SIGCHLD follows.
        let _ = kill_process(command, signal);
    }
}

/// Returns what the kernel says of a process that ended.
pub(crate) fn exit(status: rustix::process::WaitStatus) -> Exit {
    match status.terminating_signal() {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Code(status.exit_status().unwrap_or_default()),
    }
}
