//! The first process: from the fork to the exec of the command.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Gid, Pid, Resource, Rlimit, Signal, Uid, chdir, getrlimit, set_parent_process_death_signal, setrlimit,
    setsid, umask,
};
use rustix::thread::{
    CapabilitySet, CpuSet, clear_ambient_capability_set, remove_capability_from_bounding_set,
    sched_getaffinity, sched_setaffinity, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::error::{Doing, Failure};
use crate::protocol::{Request, Trouble};
use crate::root;
use crate::spec::{FirstProcess, Identity, Network, Privileges, Session, Spec};
use crate::sys;

/// Where a command is looked for when its environment has no `PATH`.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How many files a program may have open where nobody set another limit.
const USUAL_FILES: u64 = 1024;

/// What Docker leaves a container's root, but for MKNOD: see [`Privileges::Container`].
const CONTAINER_CAPABILITIES: [CapabilitySet; 13] = [
    CapabilitySet::AUDIT_WRITE,
    CapabilitySet::CHOWN,
    CapabilitySet::DAC_OVERRIDE,
    CapabilitySet::FOWNER,
    CapabilitySet::FSETID,
    CapabilitySet::KILL,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::NET_RAW,
    CapabilitySet::SETFCAP,
    CapabilitySet::SETGID,
    CapabilitySet::SETPCAP,
    CapabilitySet::SETUID,
    CapabilitySet::SYS_CHROOT,
];

/// Becomes the command and does not return, or becomes its reaper and returns the command's number.
pub(crate) fn first_process(request: &Request, alive: &OwnedFd) -> Result<Pid, Trouble> {
    die_with_the_helper()?;
    if !helper_lives(alive)? {
        sys::exit_now(127);
    }
    let (program, first) = match request {
        Request::Spawn(spec) => (Program::of_spec(spec), spec.first_process),
        Request::Join(join) => (
            Program {
                command: &join.command,
                environment: &join.environment,
                working_directory: &join.working_directory,
                identity: join.identity.as_ref(),
                session: join.session,
                no_new_privileges: join.no_new_privileges,
                plain_limits: false,
                processors: None,
            },
            FirstProcess::Command,
        ),
    };
    // Its own group, so that a signal the command sends to its group stays inside.
    own_session(program.session)?;
    match request {
        Request::Spawn(spec) => {
            root::enter(spec)?;
            set_host_name(spec)?;
            drop_privileges(spec.privileges)?;
        }
        Request::Join(join) => drop_privileges(join.privileges)?,
    }
    match first {
        FirstProcess::Command => Err(program.execute()),
        FirstProcess::Reaper => program.execute_below(),
    }
}

/// Returns what a new process says before its command is executed; that closes the pipe.
pub(crate) fn hear(report: OwnedFd) -> Result<Option<Trouble>, Failure> {
    let mut text = Vec::new();
    File::from(report).read_to_end(&mut text).doing("hear the new process")?;
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&text).map(Some).map_err(io::Error::from).doing("hear the new process")
}

/// Says what went wrong into the pipe that [`hear`] reads, and ends.
pub(crate) fn tell_and_exit(report: &OwnedFd, trouble: &Trouble) -> ! {
    let text = serde_json::to_vec(trouble).unwrap_or_default();
    // Nobody hears it when the other side has died, and then this process has no use either.
    let _ = rustix::io::write(report, &text);
    sys::exit_now(127)
}

/// Asks the kernel to kill this process when its parent dies.
fn die_with_the_helper() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).doing("follow the helper")
}

/// Tells whether the helper still holds its end of the pipe: it may have died before the kernel was
/// asked to tell.
fn helper_lives(alive: &OwnedFd) -> Result<bool, Failure> {
    let mut pipe = [PollFd::new(alive, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut pipe, Some(&at_once)).doing("follow the helper")?;
    Ok(!pipe[0].revents().contains(PollFlags::HUP))
}

fn own_session(session: Session) -> Result<(), Failure> {
    if session == Session::Own {
        setsid().doing("start a session")?;
    }
    Ok(())
}

fn set_host_name(spec: &Spec) -> Result<(), Failure> {
    rustix::system::sethostname(spec.hostname.as_bytes()).doing("set the host name")?;
    if spec.network == Network::None {
        sys::loopback_up().doing("switch the loopback device on")?;
    }
    Ok(())
}

/// Takes capabilities away for good: root gets at each exec what the bounding set still has.
fn drop_privileges(privileges: Privileges) -> Result<(), Failure> {
    if privileges == Privileges::Full {
        return Ok(());
    }
    let keep = match privileges {
        Privileges::Nothing => CapabilitySet::empty(),
        _ => CapabilitySet::from_iter(CONTAINER_CAPABILITIES),
    };
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if keep.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // The kernel does not know a capability of this number, nor one of any higher.
            Err(Errno::INVAL) => break,
            other => other.doing("drop capabilities")?,
        }
    }
    clear_ambient_capability_set().doing("drop capabilities")
}

/// What is executed.
struct Program<'a> {
    command: &'a [String],
    environment: &'a [(String, String)],
    working_directory: &'a Path,
    identity: Option<&'a Identity>,
    session: Session,
    no_new_privileges: bool,
    plain_limits: bool,
    processors: Option<usize>,
}

impl<'a> Program<'a> {
    fn of_spec(spec: &'a Spec) -> Self {
        Self {
            command: &spec.command,
            environment: &spec.environment,
            working_directory: &spec.working_directory,
            identity: spec.identity.as_ref(),
            session: spec.session,
            no_new_privileges: spec.no_new_privileges,
            plain_limits: spec.privileges == Privileges::Full,
            processors: spec.processors,
        }
    }

    /// Replaces this process; returns why that does not work.
    fn execute(&self) -> Trouble {
        if let Err(failure) = self.prepare() {
            return failure.into();
        }
        let Some((name, arguments)) = self.command.split_first() else {
            return Trouble::NoCommand;
        };
        let error = match self.find(name) {
            Err(error) => error,
            Ok(path) => Command::new(path)
                .arg0(name)
                .args(arguments)
                .env_clear()
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .exec(),
        };
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        Trouble::Command { command: name.clone(), errno }
    }

    /// Starts a child that is replaced, and returns its number.
    fn execute_below(&self) -> Result<Pid, Trouble> {
        // Before there is a child, so that no signal of its end is lost.
        sys::block_signals();
        let (report, report_there) = pipe_with(PipeFlags::CLOEXEC).doing("make a pipe")?;
        match sys::fork().doing("make a process")? {
            sys::Fork::Child => {
                drop(report);
                let trouble = match own_session(self.session) {
                    Ok(()) => self.execute(),
                    Err(failure) => failure.into(),
                };
                tell_and_exit(&report_there, &trouble)
            }
            sys::Fork::Parent(pid) => {
                drop(report_there);
                match hear(report)? {
                    None => Ok(pid),
                    Some(trouble) => Err(trouble),
                }
            }
        }
    }

    fn prepare(&self) -> Result<(), Failure> {
        umask(Mode::from_raw_mode(0o022));
        if self.plain_limits {
            usual_limit()?;
        }
        if let Some(most) = self.processors {
            use_processors(most)?;
        }
        match self.identity {
            // The caller's groups are those of a person outside.
            None => set_thread_groups(&[]).doing("set the groups")?,
            Some(identity) => {
                become_user(identity)?;
                // The kernel forgets the wish with each change of user.
                die_with_the_helper()?;
            }
        }
        if self.no_new_privileges {
            set_no_new_privs(true).doing("refuse new privileges")?;
        }
        let directory = self.working_directory;
        chdir(directory).doing_to("enter working directory", directory)?;
        sys::default_signals();
        Ok(())
    }

    /// Looks a command up as a shell does, in the `PATH` it will have itself.
    fn find(&self, name: &str) -> io::Result<PathBuf> {
        if name.contains('/') {
            return Ok(PathBuf::from(name));
        }
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(USUAL_PATH, |(_, value)| value);
        std::env::split_paths(path)
            .map(|directory| directory.join(name))
            .find(|candidate| is_executable(candidate))
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }
}

/// Lets a step open as many files as a login does, whatever the caller may: programs write it down, and some
/// take long to close them all.
fn usual_limit() -> Result<(), Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(USUAL_FILES, |maximum| maximum.min(USUAL_FILES)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).doing("set the limit of open files")
}

/// Keeps this process, and what it starts, on the first `most` of its processors.
fn use_processors(most: usize) -> Result<(), Failure> {
    let allowed = sched_getaffinity(None).doing("ask for the processors")?;
    let mut kept = CpuSet::new();
    let numbers = (0..CpuSet::MAX_CPU).filter(|number| allowed.is_set(*number));
    numbers.take(most.max(1)).for_each(|number| kept.set(number));
    sched_setaffinity(None, &kept).doing("choose processors")
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

fn become_user(identity: &Identity) -> Result<(), Failure> {
    let groups: Vec<Gid> = identity.groups.iter().map(|id| Gid::from_raw(*id)).collect();
    let gid = Gid::from_raw(identity.gid);
    let uid = Uid::from_raw(identity.uid);
    set_thread_groups(&groups).doing("set the groups")?;
    set_thread_res_gid(gid, gid, gid).doing("set the group")?;
    set_thread_res_uid(uid, uid, uid).doing("set the user")
}
