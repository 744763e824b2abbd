//! System calls that the compiler cannot check.
//!
//! Everything here is a thin, safe wrapper; callers hold the rules each one states.

#![expect(unsafe_code, reason = "the one file of this crate with raw system calls")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, and the number of the new one.
    Parent(Pid),
}

/// Splits the process in two. Only for a process with one thread: the helper.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the helper has one thread, so the child may use everything the parent may.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent))
}

/// Ends this process without running what the parent registered for its own end.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any code and does not return.
    unsafe { libc::_exit(code) }
}

/// Moves this thread (and what it starts later) into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES), "descriptors stay shared between threads");
    // SAFETY: unsafe only for `CLONE_FILES`, which no caller passes.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Closes every descriptor from `first` on. Only for a helper that has opened nothing yet.
pub(crate) fn close_from(first: RawFd) {
    let first = first.unsigned_abs();
    // SAFETY: nothing in this process owns a descriptor from `first` on, by this function's rule.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if result == 0 {
        return;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    for number in first..u32::try_from(limit.rlim_cur).unwrap_or(u32::MAX).min(1 << 20) {
        // SAFETY: as above; closing a number that is not open only fails.
        unsafe { libc::close(number.cast_signed()) };
    }
}

/// Makes `command` start with a copy of `descriptor` as number `number`.
pub(crate) fn pass_descriptor(command: &mut Command, descriptor: OwnedFd, number: RawFd) {
    let pass = move || {
        let from = descriptor.as_raw_fd();
        let result = if from == number {
            // SAFETY: only clears the close-on-exec flag of a descriptor this closure owns.
            unsafe { libc::fcntl(from, libc::F_SETFD, 0) }
        } else {
            // SAFETY: the child has just been forked and executes next; `number` is not used by it.
            unsafe { libc::dup2(from, number) }
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure makes one async-signal-safe call and allocates nothing.
    unsafe { command.pre_exec(pass) };
}

/// Takes over an inherited descriptor, closed on exec from now on. Only once per number.
pub(crate) fn take_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks for flags; a number that is not open only fails.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, was inherited, and nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Ignores a signal in this process.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives every signal its default meaning and blocks none, as a new program expects.
pub(crate) fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL runs no code of ours; KILL, STOP and the C library's own only fail.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_mask(Fill::Nothing);
}

/// Blocks every signal, so that [`next_signal`] gets them one by one.
pub(crate) fn block_signals() {
    set_mask(Fill::Everything);
}

/// Blocks these signals in the calling thread and those it starts later.
pub(crate) fn block(signals: &[i32]) {
    let set = set_of(signals);
    // SAFETY: `set` is initialised; the old mask is not wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Waits for one of these signals, which are blocked, and returns its number.
pub(crate) fn next_of(signals: &[i32]) -> i32 {
    wait_for(set_of(signals))
}

/// Waits for a blocked signal and returns its number.
pub(crate) fn next_signal() -> i32 {
    wait_for(signal_set(Fill::Everything))
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = signal_set(Fill::Nothing);
    for signal in signals {
        // SAFETY: `set` is initialised; an unknown number only fails.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

fn wait_for(set: libc::sigset_t) -> i32 {
    loop {
        // SAFETY: `set` is initialised; the details are not wanted.
        let signal = unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) };
        if signal > 0 {
            return signal;
        }
    }
}

/// Switches the loopback device of this network namespace on.
pub(crate) fn loopback_up() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all zero bytes are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = byte.cast_signed();
    }
    // SAFETY: the socket is open and `request` names a device; the kernel fills in its flags.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above filled this member.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: as above; the kernel only reads.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What a signal set holds.
#[derive(Clone, Copy)]
enum Fill {
    Nothing,
    Everything,
}

fn signal_set(fill: Fill) -> libc::sigset_t {
    // SAFETY: all zero bytes are a valid place for a set, which the next call initialises.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    match fill {
        // SAFETY: `set` is a valid place.
        Fill::Nothing => unsafe { libc::sigemptyset(&raw mut set) },
        // SAFETY: `set` is a valid place.
        Fill::Everything => unsafe { libc::sigfillset(&raw mut set) },
    };
    set
}

fn set_mask(fill: Fill) {
    let set = signal_set(fill);
    // SAFETY: `set` is initialised; the old mask is not wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}
