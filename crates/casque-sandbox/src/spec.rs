//! What to run, and what it sees.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A command and everything around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Directory that becomes `/`. Usually a mounted overlay; never changed itself beyond empty
    /// mount points (`/proc`, `/sys`, `/dev`) where they are missing.
    pub root: PathBuf,
    /// Makes `/` read-only; binds and tmpfs stay as they say.
    pub read_only_root: bool,
    /// Files and directories of the host, mounted in this order.
    pub binds: Vec<Bind>,
    /// Empty file systems in memory, mounted before the binds.
    pub tmpfs: Vec<Tmpfs>,
    /// The network it sees.
    pub network: Network,
    /// Its host name.
    pub hostname: String,
    /// Argument vector; the first is a path, or a name looked up in the `PATH` of `environment`.
    pub command: Vec<String>,
    /// The whole environment. Without `PATH` the usual one is used to find the command.
    pub environment: Vec<(String, String)>,
    /// Where it starts; must exist.
    pub working_directory: PathBuf,
    /// Who runs it; none means root.
    pub identity: Option<Identity>,
    /// What root may do inside.
    pub privileges: Privileges,
    /// Nothing it executes gets more rights than it has, as by a set-user-id bit.
    pub no_new_privileges: bool,
    /// What process 1 is.
    pub first_process: FirstProcess,
    /// Which session it belongs to.
    pub session: Session,
    /// It may use so many of the processors that this program may use; none means all of them.
    pub processors: Option<usize>,
}

impl Spec {
    /// Returns a specification of `command` in `root` with nothing else.
    pub fn new(root: impl Into<PathBuf>, command: Vec<String>) -> Self {
        Self {
            root: root.into(),
            read_only_root: false,
            binds: Vec::new(),
            tmpfs: Vec::new(),
            network: Network::None,
            hostname: "localhost".to_owned(),
            command,
            environment: Vec::new(),
            working_directory: PathBuf::from("/"),
            identity: None,
            privileges: Privileges::Full,
            no_new_privileges: false,
            first_process: FirstProcess::Reaper,
            session: Session::Own,
            processors: None,
        }
    }
}

/// A file or directory of the host that is seen inside, with what is mounted below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Path on the host.
    pub from: PathBuf,
    /// Path inside, which must exist and be of the same kind. Links in it are resolved inside.
    pub to: PathBuf,
    /// Refuses writing through this mount (not through what is mounted below it).
    pub read_only: bool,
}

/// An empty file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Directory inside, which must exist. Links in it are resolved inside.
    pub at: PathBuf,
    /// Permission bits of its root.
    pub mode: u32,
    /// Most bytes it may hold; none means the kernel's default, half of the memory.
    pub size: Option<u64>,
}

/// The network a sandbox sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A network of its own with a loopback device and nothing else.
    None,
    /// The network of the thread that starts it, which is the host's unless that thread went elsewhere.
    Host,
}

/// Who runs a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}

/// What root may do inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privileges {
    /// Everything: for build steps, which come from the vendor as the build itself does.
    Full,
    /// What Docker leaves a container by default, except making device nodes, which Docker can
    /// allow because it filters them later. Kernel settings in `/proc` are read-only or hidden, and
    /// no device node of the root file system opens. `no_new_privs` is not set: it is the
    /// container's own choice. There is no seccomp filter and no user namespace.
    Container,
    /// The same without any capability.
    Nothing,
}

/// What process 1 of a sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstProcess {
    /// The command itself, which then has an init's duties.
    Command,
    /// A tiny init that runs the command, reaps, passes signals on and ends with the command's
    /// code, or 128 and the number of the signal that killed it.
    Reaper,
}

/// Which session a command belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Session {
    /// A new one without a terminal; Ctrl-C does not reach it.
    Own,
    /// The caller's, so that the terminal works inside; Ctrl-C reaches it directly.
    Caller,
}

/// One more command inside a container that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Number of the container's first process, as seen here.
    pub pid: i32,
    /// When that process began, from [`crate::start_time`]: the number alone may have been reused.
    pub start_time: u64,
    /// Argument vector, as in [`Spec`].
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Where it starts, inside.
    pub working_directory: PathBuf,
    /// Who runs it; none means root.
    pub identity: Option<Identity>,
    /// What root may do inside.
    pub privileges: Privileges,
    /// As in [`Spec`].
    pub no_new_privileges: bool,
    /// Which session it belongs to.
    pub session: Session,
}
