//! `fork`, `exec`, and the few plain system calls between them.
//!
//! PID 1 has one thread, yet the child keeps to what is async-signal-safe: it allocates nothing,
//! and everything it needs was made before.
#![expect(unsafe_code, reason = "the standard library cannot set all this between fork and exec")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::{mem, ptr};

use super::{Command, Directory, MOST_OPEN_FILES, Mark, OPEN_FILES, ResourceNumber, Stage};
use crate::sys::{self, check};

/// A process between `fork` and `exec`, or after it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its number; it leads a session of this number.
    pub(crate) pid: i32,
    /// Ends without a word when the program runs; else see [`read_report`].
    pub(crate) status: OwnedFd,
    /// What all its descendants have.
    pub(crate) mark: Mark,
}

/// The kernel's own `struct sigaction`, all zeros: SIG_DFL, no flags, no restorer, an empty mask. Four
/// words are its size or more on every architecture.
static DEFAULT_ACTION: [u64; 4] = [0; 4];

/// What the status pipe said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Nothing yet.
    Pending,
    /// The program runs, or its process ended before saying anything.
    Running,
    /// A step failed: which, on which item, and the error number.
    Failed([i32; 3]),
}

/// Reads the status pipe.
pub(crate) fn read_report(status: &OwnedFd) -> Report {
    let mut report = [0_i32; 3];
    let size = size_of_val(&report);
    // SAFETY: the array is `size` bytes long and lives through the call.
    let read = unsafe { libc::read(status.as_raw_fd(), report.as_mut_ptr().cast(), size) };
    match usize::try_from(read) {
        Ok(read) if read == size => Report::Failed(report),
        Ok(_) => Report::Running,
        Err(_) => Report::Pending,
    }
}

/// Gives a pipe to a service's user: opening `/dev/stdout` asks for permission like any file.
pub(super) fn give(pipe: &OwnedFd, uid: libc::uid_t, gid: libc::gid_t) {
    // SAFETY: plain numbers on an open descriptor. Without CAP_CHOWN it fails, and then a service
    // that opens `/dev/stdout` reports that itself.
    unsafe { libc::fchown(pipe.as_raw_fd(), uid, gid) };
}

/// Everything the child needs, in the form the kernel takes it.
struct Prepared<'a> {
    command: &'a Command,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    null: RawFd,
    output: RawFd,
    /// Room to move the sockets out of the way of their places.
    sockets: Vec<RawFd>,
    status: RawFd,
    open_files: libc::rlimit,
    mark: Option<libc::rlimit>,
}

/// Starts a program; errors after `fork` come through the status pipe.
pub(super) fn fork_exec(
    command: &Command,
    null: &OwnedFd,
    output: &OwnedFd,
    sockets: &[OwnedFd],
) -> io::Result<Child> {
    let (status, report) = sys::pipe()?;
    let mut open_files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `open_files` is a valid place to write to.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut open_files) })?;
    let mut real_time = open_files;
    // SAFETY: `real_time` is a valid place to write to.
    check(unsafe { libc::getrlimit(libc::RLIMIT_RTTIME, &mut real_time) })?;
    let mark = Mark::next(real_time.rlim_max);
    open_files.rlim_max = open_files.rlim_max.min(MOST_OPEN_FILES);
    open_files.rlim_cur = open_files.rlim_max.min(OPEN_FILES);
    let mut prepared = Prepared {
        command,
        arguments: pointers(&command.arguments),
        environment: pointers(&command.environment),
        null: null.as_raw_fd(),
        output: output.as_raw_fd(),
        sockets: sockets.iter().map(AsRawFd::as_raw_fd).collect(),
        status: report.as_raw_fd(),
        open_files,
        mark: mark.limit().map(|limit| libc::rlimit { rlim_cur: limit, rlim_max: limit }),
    };
    // SAFETY: this process has one thread, and the child only makes system calls on what
    // `prepared` holds, until it executes the program or ends.
    match check(unsafe { libc::fork() })? {
        0 => {
            // SAFETY: we are the child of `fork`, and the pointers in `prepared` are valid.
            unsafe { child(&mut prepared) }
        }
        pid => Ok(Child { pid, status, mark }),
    }
}

/// Starts a process that ends well once it has the lock on an open file, which is then ours.
pub(crate) fn wait_for_lock(lock: &impl AsRawFd) -> io::Result<Child> {
    let (status, report) = sys::pipe()?;
    // SAFETY: this process has one thread, and the child makes system calls on plain numbers only, until it ends.
    unsafe {
        match check(libc::fork())? {
            0 => {
                libc::setsid();
                let mut none: libc::sigset_t = mem::zeroed();
                libc::sigemptyset(&mut none);
                libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
                libc::close(report.as_raw_fd());
                let locked = libc::flock(lock.as_raw_fd(), libc::LOCK_EX) == 0;
                libc::_exit(if locked { 0 } else { 1 })
            }
            pid => Ok(Child { pid, status, mark: Mark::none() }),
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// Turns this process into the service.
///
/// # Safety
///
/// Only in the child of a `fork` by a process with one thread.
unsafe fn child(prepared: &mut Prepared<'_>) -> ! {
    // SAFETY: as promised by the caller; every pointer comes from `prepared`.
    let (stage, index) = unsafe { become_service(prepared) };
    let report = [stage as i32, index, io::Error::last_os_error().raw_os_error().unwrap_or(0)];
    // SAFETY: the array lives through the call; `_exit` runs nothing of this process's own.
    unsafe {
        libc::write(prepared.status, report.as_ptr().cast(), size_of_val(&report));
        libc::_exit(126)
    }
}

/// Returns the stage that failed, with errno saying why; on success it does not return.
unsafe fn become_service(prepared: &mut Prepared<'_>) -> (Stage, i32) {
    let command = prepared.command;
    // SAFETY: system calls on plain numbers and on NUL-terminated strings that outlive them.
    unsafe {
        if libc::setsid() < 0 {
            return (Stage::Session, 0);
        }
        for signal in 1..=64_i32 {
            // The C library would leave out those it keeps for itself, which whoever started us may
            // have ignored. KILL and STOP refuse, which is as well.
            let size = size_of::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, &DEFAULT_ACTION, ptr::null::<u8>(), size);
        }
        if place_descriptors(prepared) < 0 {
            return (Stage::Descriptors, 0);
        }
        // A limit that cannot be set stays as it was.
        libc::setrlimit(libc::RLIMIT_NOFILE, &prepared.open_files);
        if let Some(mark) = &prepared.mark {
            libc::setrlimit(libc::RLIMIT_RTTIME, mark);
        }
        for (resource, wanted) in &command.limits {
            limit(*resource, *wanted);
        }
        // Lowering either is a privilege; without it they stay as they were.
        if let Some(nice) = command.nice {
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        }
        if let Some(score) = &command.oom_score_adjust {
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            libc::write(file, score.as_ptr().cast(), score.len());
            libc::close(file);
        }
        libc::umask(0o022);
        for (index, path) in (0..).zip(&command.remove) {
            if libc::unlink(path.as_ptr()) < 0 && *libc::__errno_location() != libc::ENOENT {
                return (Stage::Remove, index);
            }
        }
        for (index, directory) in (0..).zip(&command.make) {
            if make(directory) < 0 {
                return (Stage::Make, index);
            }
        }
        libc::umask(command.umask);
        if let Some(account) = &command.identity {
            if libc::setgroups(account.groups.len(), account.groups.as_ptr()) < 0 {
                return (Stage::Groups, 0);
            }
            if libc::setresgid(account.gid, account.gid, account.gid) < 0 {
                return (Stage::Group, 0);
            }
            if libc::setresuid(account.uid, account.uid, account.uid) < 0 {
                return (Stage::User, 0);
            }
            if account.uid != 0 && libc::setuid(0) == 0 {
                return (Stage::StillRoot, 0);
            }
        }
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 {
            return (Stage::Privileges, 0);
        }
        if libc::chdir(command.directory.as_ptr()) < 0 {
            return (Stage::Enter, 0);
        }
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        execute(prepared);
    }
    (Stage::Execute, 0)
}

/// Sets both limits of a resource, at most to what the container allows.
unsafe fn limit(resource: ResourceNumber, wanted: libc::rlim_t) {
    let mut limit = libc::rlimit { rlim_cur: wanted, rlim_max: wanted };
    // SAFETY: system calls on plain numbers and on one place that outlives them.
    unsafe {
        if libc::setrlimit(resource, &limit) < 0 && libc::getrlimit(resource, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(wanted);
            libc::setrlimit(resource, &limit);
        }
    }
}

/// Puts every descriptor in its place. All of PID 1's own are close-on-exec; `dup2` takes that
/// mark off the copies.
unsafe fn place_descriptors(prepared: &mut Prepared<'_>) -> libc::c_int {
    let first_free = 3 + prepared.sockets.len() as libc::c_int;
    // SAFETY: system calls on plain numbers.
    unsafe {
        let status = libc::fcntl(prepared.status, libc::F_DUPFD_CLOEXEC, first_free);
        if status < 0 {
            return -1;
        }
        prepared.status = status;
        for socket in &mut prepared.sockets {
            *socket = libc::fcntl(*socket, libc::F_DUPFD_CLOEXEC, first_free);
            if *socket < 0 {
                return -1;
            }
        }
        // Both are above 2, because PID 1 always has something open at 0, 1 and 2.
        for (from, to) in [(prepared.null, 0), (prepared.output, 1), (prepared.output, 2)] {
            if libc::dup2(from, to) < 0 {
                return -1;
            }
        }
        for (to, from) in (3..).zip(&prepared.sockets) {
            if libc::dup2(*from, to) < 0 {
                return -1;
            }
        }
    }
    0
}

/// Makes a directory and those it lies in; the last gets its mode and its owner, whoever made it.
unsafe fn make(directory: &Directory) -> libc::c_int {
    // SAFETY: system calls on plain numbers and on NUL-terminated strings that outlive them.
    unsafe {
        for parent in &directory.parents {
            // If this fails the last one fails too.
            libc::mkdir(parent.as_ptr(), 0o755);
        }
        let path = directory.path.as_ptr();
        let made = libc::mkdir(path, 0o755) == 0;
        if !made && *libc::__errno_location() != libc::EEXIST {
            return -1;
        }
        // Never through a link: its owner could have pointed it elsewhere since the last start.
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_RDONLY | libc::O_CLOEXEC;
        let opened = libc::open(path, flags);
        if opened < 0 {
            return -1;
        }
        if let Some((uid, gid)) = directory.owner
            && libc::fchown(opened, uid, gid) < 0
        {
            return -1;
        }
        // Without an owner to give it to, one that was there may be somebody else's.
        if libc::fchmod(opened, directory.mode) < 0 && (made || directory.owner.is_some()) { -1 } else { 0 }
    }
}

/// Tries each place the program may be, as a shell would.
unsafe fn execute(prepared: &Prepared<'_>) {
    let mut denied = false;
    for path in &prepared.command.candidates {
        // SAFETY: both arrays end with a null pointer and hold NUL-terminated strings.
        unsafe {
            libc::execve(path.as_ptr(), prepared.arguments.as_ptr(), prepared.environment.as_ptr());
            match *libc::__errno_location() {
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR => {}
                _ => return,
            }
        }
    }
    let errno = if denied { libc::EACCES } else { libc::ENOENT };
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__errno_location() = errno };
}
