//! System calls: signals, children, and what is set between fork and exec.
#![expect(unsafe_code, reason = "signalfd, waitpid, prctl and credentials have no safe form in std")]

use std::collections::BTreeMap;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;

use casque_format::run::Resource;

use crate::accounts::Identity;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What a child sets for itself before it becomes the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Whose ids it takes.
    pub(crate) identity: Option<Identity>,
    /// Its file mode creation mask.
    pub(crate) umask: Option<u32>,
    /// Limits of its resources.
    pub(crate) limits: BTreeMap<Resource, u64>,
    /// Whether it leads a session of its own.
    pub(crate) own_session: bool,
}

fn resource_number(resource: Resource) -> libc::__rlimit_resource_t {
    match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Stack => libc::RLIMIT_STACK,
    }
}

/// Makes this process the one that orphans of its descendants are handed to.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes one integer and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Sets the name in `/proc/PID/comm`; Ansible takes the service manager from that of process 1.
pub(crate) fn set_name(name: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: PR_SET_NAME reads up to 16 bytes of a string that ends in zero.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) }).map(drop)
}

/// Returns the effective user id.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: geteuid always succeeds.
    unsafe { libc::geteuid() }
}

/// A descriptor that delivers CHLD, TERM, INT and HUP, which are blocked otherwise.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals and opens the descriptor.
    pub(crate) fn open() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set; the others read it and give a new descriptor.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            check(libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()))?;
            let fd = check(libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Returns the next signal that came, if any.
    pub(crate) fn next(&self) -> Option<i32> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has the size that is given; it is read only when it was filled.
        unsafe {
            let read = libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size);
            (usize::try_from(read) == Ok(size)).then(|| i32::try_from(info.assume_init().ssi_signo).ok())?
        }
    }

    /// Returns the descriptor to wait for.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Waits until one of the descriptors can be read, at most `timeout` milliseconds; says which can.
pub(crate) fn poll(fds: &[RawFd], timeout: Option<i32>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 }).collect();
    let count = libc::nfds_t::try_from(polled.len()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the count describe one vector.
    match check(unsafe { libc::poll(polled.as_mut_ptr(), count, timeout.unwrap_or(-1)) }) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(polled.iter().map(|entry| entry.revents != 0).collect())
}

/// Returns a child that has ended and how, or none when every child lives.
pub(crate) fn reap() -> Option<(i32, Exit)> {
    let mut status = 0;
    // SAFETY: waitpid writes one integer.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    Some((pid, exit))
}

/// Says whether any child is left, one that has ended and was not taken note of too.
pub(crate) fn has_children() -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid writes one siginfo, which is not read.
    unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) == 0 }
}

/// Sends a signal to a process, or with a negative number to a process group; one that is gone is no error.
pub(crate) fn kill(pid: i32, signal: i32) {
    // -1 would be every process, 0 the own group; neither is ever meant.
    if !(-1..=0).contains(&pid) {
        // SAFETY: kill takes two integers.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Returns the number of a signal by its name without `SIG`.
pub(crate) fn signal_number(name: &str) -> Option<i32> {
    Some(match name {
        "HUP" => libc::SIGHUP,
        "INT" => libc::SIGINT,
        "QUIT" => libc::SIGQUIT,
        "ABRT" => libc::SIGABRT,
        "KILL" => libc::SIGKILL,
        "USR1" => libc::SIGUSR1,
        "USR2" => libc::SIGUSR2,
        "PIPE" => libc::SIGPIPE,
        "ALRM" => libc::SIGALRM,
        "TERM" => libc::SIGTERM,
        "CONT" => libc::SIGCONT,
        "STOP" => libc::SIGSTOP,
        "TTIN" => libc::SIGTTIN,
        "TTOU" => libc::SIGTTOU,
        "WINCH" => libc::SIGWINCH,
        "IO" => libc::SIGIO,
        "PWR" => libc::SIGPWR,
        _ => return None,
    })
}

/// Returns the user id at the other end of a connection.
pub(crate) fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(io::Error::other)?;
    // SAFETY: the buffer has the size that is given.
    check(unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut size,
        )
    })?;
    Ok(credentials.uid)
}

/// Makes the command's child take `settings` and an empty signal mask.
pub(crate) fn prepare(command: &mut Command, settings: Settings) {
    // SAFETY: between fork and exec only system calls are made, on memory that was made before the fork.
    unsafe {
        command.pre_exec(move || settings.apply());
    }
}

impl Settings {
    fn apply(&self) -> io::Result<()> {
        // SAFETY: plain system calls on integers and on memory that this borrows.
        unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            check(libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut()))?;
            if self.own_session {
                check(libc::setsid())?;
            }
            for (resource, limit) in &self.limits {
                let (resource, limit) = (resource_number(*resource), *limit);
                let mut current = MaybeUninit::<libc::rlimit>::uninit();
                check(libc::getrlimit(resource, current.as_mut_ptr()))?;
                let mut wanted = libc::rlimit { rlim_cur: limit, rlim_max: limit };
                // Where the hard limit may not be raised, the soft one goes as far as it can.
                if libc::setrlimit(resource, &raw const wanted) < 0 {
                    wanted.rlim_max = current.assume_init().rlim_max;
                    wanted.rlim_cur = limit.min(wanted.rlim_max);
                    check(libc::setrlimit(resource, &raw const wanted))?;
                }
            }
            if let Some(umask) = self.umask {
                libc::umask(umask);
            }
            if let Some(identity) = &self.identity {
                check(libc::setgroups(identity.groups.len(), identity.groups.as_ptr()))?;
                check(libc::setgid(identity.gid))?;
                check(libc::setuid(identity.uid))?;
            }
        }
        Ok(())
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
