//! The kernel, thinly: clock, signals, poll, pipes, children.
#![expect(unsafe_code, reason = "the standard library has no signalfd, ppoll, waitid or prctl")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;
use std::{mem, ptr};

/// What PID 1 reads through its signal descriptor. Everything here is blocked, so that nothing
/// interrupts a system call and nothing is lost.
const SIGNALS: [i32; 10] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGPWR,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    // A write beyond a limit on the size of files then is an error like any other.
    libc::SIGXFSZ,
];

/// Turns a system call's -1 into an error.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Returns the monotonic clock; it never jumps.
pub(crate) fn clock() -> Duration {
    read_clock(libc::CLOCK_MONOTONIC)
}

/// Returns the time since 1970, for stamps alone; it may jump.
pub(crate) fn wall_clock() -> Duration {
    read_clock(libc::CLOCK_REALTIME)
}

fn read_clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Writes to a socket what it takes at once.
pub(crate) fn send_now(socket: &impl AsRawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the buffer is valid for its length through the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Returns the clock on the wall in seconds since 1970; it may jump.
pub(crate) fn wall() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to; CLOCK_REALTIME exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    time.tv_sec
}

/// Returns how far the container's time zone is ahead of UTC at a moment: that of `TZ`, else of `/etc/localtime`.
pub(crate) fn zone(moment: i64) -> i64 {
    // SAFETY: `tm` is plain data, for which zeros are valid, and localtime_r writes one; PID 1 has one thread, so nobody
    // changes the environment that it reads.
    unsafe {
        let mut local: libc::tm = mem::zeroed();
        if libc::localtime_r(&moment, &mut local).is_null() { 0 } else { local.tm_gmtoff }
    }
}

/// Returns a descriptor that becomes readable when the clock on the wall is set.
pub(crate) fn watch_wall() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: plain numbers; the new descriptor is ours, and the time outlives the call.
    unsafe {
        let fd = OwnedFd::from_raw_fd(check(libc::timerfd_create(libc::CLOCK_REALTIME, flags))?);
        let mut never: libc::itimerspec = mem::zeroed();
        never.it_value.tv_sec = wall() + i64::from(i32::MAX);
        let flags = libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET;
        check(libc::timerfd_settime(fd.as_raw_fd(), flags, &never, ptr::null_mut()))?;
        Ok(fd)
    }
}

/// Returns a number that nobody can foresee, for what should differ from one container to the next.
pub(crate) fn seed() -> u64 {
    let mut seed = 0_u64;
    // SAFETY: the number is as long as it is said to be. Where the kernel has no randomness yet, the clock has to do.
    let read = unsafe { libc::getrandom((&raw mut seed).cast(), size_of::<u64>(), libc::GRND_NONBLOCK) };
    if read < 0 { u64::from(clock().subsec_nanos()) } else { seed }
}

/// Returns how many processors this process may run on.
pub(crate) fn processors() -> u32 {
    // SAFETY: `cpu_set_t` is plain data, for which zeros are valid, and the kernel fills it.
    let count = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        match libc::sched_getaffinity(0, size_of_val(&set), &mut set) {
            0 => libc::CPU_COUNT(&set),
            _ => 1,
        }
    };
    u32::try_from(count).unwrap_or(1).max(1)
}

/// Takes the lock on an open file; with `WouldBlock` somebody else has it.
pub(crate) fn lock(file: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: plain numbers on an open descriptor.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// Takes the lock on an open file, unless somebody else has it.
pub(crate) fn try_lock(file: &impl AsRawFd) -> bool {
    lock(file).is_ok()
}

/// Returns the session of a process, while there is such a process.
pub(crate) fn session_of(pid: i32) -> Option<i32> {
    // SAFETY: plain numbers. 0 would be ourselves; a sender outside this container has that number.
    let session = if pid > 0 { unsafe { libc::getsid(pid) } } else { -1 };
    (session >= 0).then_some(session)
}

/// Blocks [`SIGNALS`] and returns a descriptor to read them from.
pub(crate) fn signal_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before use, and outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in SIGNALS {
            libc::sigaddset(&mut set, signal);
            // Whoever started us may have ignored it; ignoring SIGCHLD would even make ends unseen.
            libc::signal(signal, libc::SIG_DFL);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Reads one pending signal, if there is one.
pub(crate) fn read_signal(fd: &OwnedFd) -> Option<i32> {
    // SAFETY: signalfd_siginfo is plain data, for which zeros are valid.
    let mut info: libc::signalfd_siginfo = unsafe { mem::zeroed() };
    let size = size_of_val(&info);
    // SAFETY: the buffer is `size` bytes long and lives through the call.
    let read = unsafe { libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size) };
    (usize::try_from(read) == Ok(size)).then(|| i32::try_from(info.ssi_signo).unwrap_or_default())
}

/// Makes orphaned descendants our children, which PID 1 has anyway.
pub(crate) fn become_subreaper() -> io::Result<()> {
    // SAFETY: this prctl takes plain numbers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Returns our effective user id.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// Says whether the container engine answers EPERM to `clone3`. Older ones do, and then programs of
/// glibc 2.34 and newer cannot make threads: ENOSYS would have let them fall back.
pub(crate) fn clone3_is_forbidden() -> bool {
    // SAFETY: a size of 0 is refused by every kernel before the pointer is looked at.
    let result = unsafe { libc::syscall(libc::SYS_clone3, ptr::null::<u8>(), 0_usize) };
    result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Waits for the events asked for in `fds`, at most `timeout`; none means for ever.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|span| libc::timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(libc::nfds_t::MAX);
    // SAFETY: `fds` and `timeout` are valid through the call; no signal mask is given.
    let result = unsafe { libc::ppoll(fds.as_mut_ptr(), count, timeout, ptr::null()) };
    match check(result) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        result => result.map(drop),
    }
}

/// Makes a pipe; the end we read from does not block.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [0; 2];
    // SAFETY: the array has the two places that pipe2 fills; both descriptors are new and ours.
    let (read, write) = unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    };
    set_nonblocking(&read)?;
    Ok((read, write))
}

/// Asks for a larger pipe; the kernel may refuse, and the pipe works as well.
pub(crate) fn widen_pipe(fd: &OwnedFd, bytes: i32) {
    // SAFETY: plain numbers on an open descriptor.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// Makes reads and writes on this open file return instead of waiting.
pub(crate) fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain numbers on an open descriptor.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// Closes what PID 1 inherited beyond standard input, output and error. Everything opened later is
/// close-on-exec, so nothing of ours ever reaches a service.
pub(crate) fn close_inherited(fds: impl Iterator<Item = RawFd>) {
    for fd in fds.filter(|&fd| fd > 2) {
        // SAFETY: called first thing in `main`, when nothing in this process owns such a descriptor;
        // closing one that is not open is an error without effect.
        unsafe { libc::close(fd) };
    }
}

/// Sends a signal to a process, or with a negative number to a process group.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: plain numbers. The only failures are that nobody is left to signal, and a process of
    // another user when we are not root; both are seen elsewhere, by who is still there.
    unsafe { libc::kill(pid, signal) };
}

/// The state of our children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Children {
    /// This one has ended and waits for [`reap`].
    Ended(i32),
    /// All are running.
    Busy,
    /// There are none.
    None,
}

/// Looks for a child that has ended without reaping it, so that its number stays taken.
pub(crate) fn ended_child() -> Children {
    // SAFETY: siginfo_t is plain data, for which zeros are valid; waitid fills it.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        if libc::waitid(libc::P_ALL, 0, &mut info, flags) < 0 {
            return Children::None;
        }
        match info.si_pid() {
            0 => Children::Busy,
            pid => Children::Ended(pid),
        }
    }
}

/// Says whether a child that has ended, and is not reaped yet, ended with 0.
pub(crate) fn ended_well(pid: i32) -> bool {
    let id = libc::id_t::try_from(pid).unwrap_or_default();
    // SAFETY: siginfo_t is plain data, for which zeros are valid; waitid fills it.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        libc::waitid(libc::P_PID, id, &mut info, flags) == 0
            && info.si_pid() == pid
            && info.si_code == libc::CLD_EXITED
            && info.si_status() == 0
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Reaps a child that has ended.
pub(crate) fn reap(pid: i32) -> Status {
    let mut status = 0;
    // SAFETY: `status` is a valid place to write to.
    unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) };
    if libc::WIFSIGNALED(status) {
        Status::Signal(libc::WTERMSIG(status))
    } else {
        Status::Code(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviour_24_the_clock_counts_from_the_start_of_the_machine_so_nobody_can_set_it() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // Suspended machines count in the one and not in the other; both are far from the time since 1970.
        assert!(clock() <= Duration::from_secs_f64(uptime + 60.0), "{:?} {uptime}", clock());
    }
}
