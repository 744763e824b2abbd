//! Starting a program: everything is made ready before `fork`, so that nothing but plain system
//! calls happens between it and `exec`.

mod mark;
mod sys;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use casque_format::run::{Identity, Kind, Resource, RunDirectory, Service, Sockets};

use crate::exit::StartError;
use crate::signal;

pub(crate) use self::mark::Mark;
pub(crate) use self::sys::{Child, Report, read_report, wait_for_lock};

/// Where a program is looked up when its environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The soft limit on open files is at most this, whatever the engine gives: some programs walk
/// through all possible descriptors, and others cannot work with 1024.
const OPEN_FILES: libc::rlim_t = 65_536;
const MOST_OPEN_FILES: libc::rlim_t = 1 << 20;

/// What `setrlimit` calls a resource; its type is the C library's own.
type ResourceNumber = libc::__rlimit_resource_t;

fn resource_number(resource: Resource) -> ResourceNumber {
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

/// A program ready to start.
#[derive(Debug)]
pub(crate) struct Command {
    program: String,
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: CString,
    umask: libc::mode_t,
    limits: Vec<(ResourceNumber, libc::rlim_t)>,
    nice: Option<libc::c_int>,
    /// What goes into `/proc/self/oom_score_adj`.
    oom_score_adjust: Option<String>,
    identity: Option<Account>,
    remove: Vec<CString>,
    make: Vec<Directory>,
    /// Its main process has to stay: it is no one-shot and no probe.
    stays: bool,
    /// What tells its workers to end when they have answered what they accepted on the ports of all.
    farewell: Option<i32>,
}

/// A user to become.
#[derive(Debug)]
struct Account {
    name: String,
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: Vec<libc::gid_t>,
}

/// A directory to make, after those it lies in.
#[derive(Debug)]
struct Directory {
    parents: Vec<CString>,
    path: CString,
    mode: libc::mode_t,
    owner: Option<(libc::uid_t, libc::gid_t)>,
}

/// A step between `fork` and `exec` that can fail; the number goes through the status pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Stage {
    Session = 1,
    Descriptors,
    Remove,
    Make,
    Groups,
    Group,
    User,
    StillRoot,
    Privileges,
    Enter,
    Execute,
}

impl Stage {
    const ALL: [Self; 11] = [
        Self::Session,
        Self::Descriptors,
        Self::Remove,
        Self::Make,
        Self::Groups,
        Self::Group,
        Self::User,
        Self::StillRoot,
        Self::Privileges,
        Self::Enter,
        Self::Execute,
    ];
}

impl Command {
    /// Prepares a service's main process; `sockets` is how many listening sockets PID 1 has.
    ///
    /// `root`: we may become somebody else. If not, everything runs as whoever we are.
    pub(crate) fn service(service: &Service, root: bool, sockets: usize) -> Self {
        let mut command = Self::new(&service.command, service, root);
        match service.sockets {
            Sockets::None => {}
            Sockets::Agent => command.set("LISTEN_FDS", &sockets.to_string()),
            Sockets::Nginx => {
                let list: String = (3..3 + sockets).map(|fd| format!("{fd};")).collect();
                command.set("NGINX", &list);
            }
        }
        command.remove = service.remove.iter().map(|path| c_string(path)).collect();
        command.farewell = signal::number(&service.stop.signal).filter(|_| service.sockets == Sockets::Nginx);
        command.stays = service.kind == Kind::Simple;
        let own = command.identity.as_ref().map(|account| (account.uid, account.gid));
        command.make = service.directories.iter().map(|made| directory(made, own, root)).collect();
        command
    }

    /// Prepares a service's readiness command.
    pub(crate) fn probe(arguments: &[String], service: &Service, root: bool) -> Self {
        Self::new(arguments, service, root)
    }

    fn new(arguments: &[String], service: &Service, root: bool) -> Self {
        let environment = environment(service);
        let program = arguments.first().cloned().unwrap_or_default();
        let path = environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        Self {
            candidates: candidates(&program, path),
            program,
            arguments: arguments.iter().map(|argument| c_string(argument)).collect(),
            environment: environment
                .iter()
                .map(|(name, value)| c_string(&format!("{name}={value}")))
                .collect(),
            directory: c_string(service.working_directory.as_deref().unwrap_or("/")),
            umask: service.umask.unwrap_or(0o022),
            limits: service
                .limits
                .iter()
                .map(|(resource, limit)| (resource_number(*resource), *limit))
                .collect(),
            nice: service.nice,
            oom_score_adjust: service.oom_score_adjust.map(|score| score.to_string()),
            identity: service.user.as_ref().filter(|_| root).map(account),
            remove: Vec::new(),
            make: Vec::new(),
            stays: false,
            farewell: None,
        }
    }

    /// Returns the signal for workers that are left when their master died.
    pub(crate) fn farewell(&self) -> Option<i32> {
        self.farewell
    }

    /// Says whether its main process has to stay in the foreground.
    pub(crate) fn stays(&self) -> bool {
        self.stays
    }

    /// Sets a variable of its environment.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let prefix = format!("{name}=");
        self.environment.retain(|entry| !entry.as_bytes().starts_with(prefix.as_bytes()));
        self.environment.push(c_string(&format!("{prefix}{value}")));
    }

    /// Gives a pipe to the user the program runs as, so that it can open `/dev/stdout`.
    pub(crate) fn give(&self, pipe: &OwnedFd) {
        if let Some(account) = &self.identity {
            sys::give(pipe, account.uid, account.gid);
        }
    }

    /// Starts the program in a session of its own, its output going to `output` and `sockets`
    /// being its descriptors from 3 on.
    pub(crate) fn start(
        &self,
        null: &OwnedFd,
        output: &OwnedFd,
        sockets: &[OwnedFd],
    ) -> Result<Child, StartError> {
        sys::fork_exec(self, null, output, sockets).map_err(|source| StartError {
            text: format!("cannot make a process: {source}"),
            code: 126,
            permanent: false,
        })
    }

    /// Puts into words what the child reported.
    pub(crate) fn explain(&self, report: [i32; 3]) -> StartError {
        let [stage, index, errno] = report;
        let source = io::Error::from_raw_os_error(errno);
        let stage = Stage::ALL.into_iter().find(|known| *known as i32 == stage);
        let index = usize::try_from(index).unwrap_or_default();
        let user = || self.identity.as_ref().map_or("", |account| account.name.as_str());
        let path = |paths: &[CString]| {
            paths.get(index).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let text = match stage {
            Some(Stage::Remove) => format!("cannot remove `{}`: {source}", path(&self.remove)),
            Some(Stage::Make) => {
                let made = self.make.get(index).map(|directory| directory.path.to_string_lossy());
                format!("cannot make directory `{}`: {source}", made.unwrap_or_default())
            }
            Some(Stage::Groups | Stage::Group | Stage::User) => match errno {
                libc::EPERM => format!(
                    "cannot become user `{}`: {source}; the container lacks CAP_SETUID or CAP_SETGID",
                    user()
                ),
                _ => format!("cannot become user `{}`: {source}", user()),
            },
            Some(Stage::StillRoot) => {
                format!("becoming user `{}` did not take the way back to root", user())
            }
            Some(Stage::Enter) => {
                format!("cannot enter directory `{}`: {source}", self.directory.to_string_lossy())
            }
            Some(Stage::Execute) => self.explain_exec(errno, &source),
            Some(Stage::Session | Stage::Descriptors | Stage::Privileges) | None => {
                format!("cannot set up its process: {source}")
            }
        };
        StartError {
            text,
            code: if errno == libc::ENOENT && stage == Some(Stage::Execute) { 127 } else { 126 },
            permanent: !matches!(
                errno,
                libc::EAGAIN
                    | libc::ENOMEM
                    | libc::ETXTBSY
                    | libc::EMFILE
                    | libc::ENFILE
                    | libc::EINTR
                    | libc::EIO
            ),
        }
    }

    fn explain_exec(&self, errno: i32, source: &io::Error) -> String {
        let program = &self.program;
        let there = self
            .candidates
            .iter()
            .any(|path| std::path::Path::new(std::ffi::OsStr::new(&*path.to_string_lossy())).exists());
        match errno {
            libc::ENOENT if there => {
                format!("cannot execute `{program}`: the interpreter it names does not exist")
            }
            libc::ENOENT if self.candidates.len() > 1 => {
                format!("cannot execute `{program}`: it is in no directory of PATH")
            }
            libc::ENOEXEC => format!(
                "cannot execute `{program}`: it is no program for this machine, and no script that \
                 begins with `#!`"
            ),
            _ => format!("cannot execute `{program}`: {source}"),
        }
    }
}

/// Returns a service's whole environment.
fn environment(service: &Service) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    if let Some(user) = &service.user {
        environment.insert("HOME".to_owned(), user.home.clone());
        environment.insert("USER".to_owned(), user.name.clone());
        environment.insert("LOGNAME".to_owned(), user.name.clone());
    } else {
        // PID 1's own user: root, or a number without a name, and programs end over a missing one.
        let (name, home) = if crate::sys::effective_uid() == 0 { ("root", "/root") } else { ("casque", "/") };
        environment.insert("HOME".to_owned(), home.to_owned());
        environment.insert("USER".to_owned(), name.to_owned());
        environment.insert("LOGNAME".to_owned(), name.to_owned());
    }
    environment.extend(service.environment.clone());
    environment
}

fn account(identity: &Identity) -> Account {
    Account {
        name: identity.name.clone(),
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups.clone(),
    }
}

fn candidates(program: &str, path: &str) -> Vec<CString> {
    if program.contains('/') {
        return vec![c_string(program)];
    }
    let directories = path.split(':').map(|directory| match directory {
        "" => ".",
        directory => directory,
    });
    directories.map(|directory| c_string(&format!("{directory}/{program}"))).collect()
}

fn directory(made: &RunDirectory, own: Option<(u32, u32)>, root: bool) -> Directory {
    let path = made.path.as_str();
    let slashes = path.match_indices('/').map(|(at, _)| at).filter(|&at| at > 0);
    let parents = slashes.map(|at| &path[..at]).filter(|parent| !parent.ends_with('/'));
    Directory {
        parents: parents.map(c_string).collect(),
        path: c_string(path),
        mode: made.mode,
        owner: made.owner.filter(|_| root).or(own),
    }
}

/// The plan's check refuses NUL bytes, so nothing is ever cut here; PID 1 must not end over one.
fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(change: serde_json::Value) -> Service {
        let mut service = json!({
            "kind": "simple", "command": ["web", "-x"], "start_timeout_ms": 1000,
            "restart": { "policy": "always", "limit": 8, "delay_ms": 500, "max_delay_ms": 15000, "stable_ms": 10000 },
            "stop": { "signal": "TERM", "timeout_ms": 2500 }, "critical": true,
        });
        for (key, value) in change.as_object().unwrap() {
            service[key] = value.clone();
        }
        serde_json::from_value(service).unwrap()
    }

    fn texts(strings: &[CString]) -> Vec<&str> {
        strings.iter().map(|text| text.to_str().unwrap()).collect()
    }

    #[test]
    fn the_environment_is_the_plan_s_and_what_every_program_expects() {
        let web = service(json!({
            "user": { "name": "web", "uid": 900, "gid": 901, "home": "/srv" },
            "environment": { "A": "1", "HOME": "/elsewhere" },
        }));
        let command = Command::service(&web, true, 0);
        assert_eq!(
            texts(&command.environment),
            ["A=1", "HOME=/elsewhere", "LOGNAME=web", &format!("PATH={DEFAULT_PATH}"), "USER=web"]
        );
    }

    #[test]
    fn a_name_is_looked_up_in_the_service_s_own_path() {
        let web = service(json!({ "environment": { "PATH": "/opt/bin::/bin" } }));
        let command = Command::service(&web, true, 0);
        assert_eq!(texts(&command.candidates), ["/opt/bin/web", "./web", "/bin/web"]);
        let absolute = service(json!({ "command": ["/opt/web"] }));
        assert_eq!(texts(&Command::service(&absolute, true, 0).candidates), ["/opt/web"]);
    }

    #[test]
    fn each_kind_of_heir_learns_of_its_sockets_in_its_own_way() {
        let nginx = service(json!({ "sockets": "nginx", "environment": { "NGINX": "9;" } }));
        let nginx = Command::service(&nginx, true, 2);
        let has = |command: &Command, entry| texts(&command.environment).contains(&entry);
        assert!(has(&nginx, "NGINX=3;4;") && !has(&nginx, "NGINX=9;"));
        let agent = Command::service(&service(json!({ "sockets": "agent" })), true, 2);
        assert!(has(&agent, "LISTEN_FDS=2"));
    }

    #[test]
    fn a_directory_is_made_after_its_parents() {
        let made = directory(&RunDirectory::new("/run//web/cache"), None, true);
        assert_eq!(texts(&made.parents), ["/run", "/run//web"]);
        assert_eq!(made.path.to_str(), Ok("/run//web/cache"));
    }

    #[test]
    fn reports_read_well_and_tell_hopeless_from_passing() {
        let web = service(json!({
            "command": ["/missing/web"], "working_directory": "/gone",
            "user": { "name": "web", "uid": 900, "gid": 901, "home": "/srv" },
            "directories": [{ "path": "/run/web", "mode": 0o755 }],
        }));
        let command = Command::service(&web, true, 0);
        let explain = |stage: Stage, errno| command.explain([stage as i32, 0, errno]);
        let missing = explain(Stage::Execute, libc::ENOENT);
        assert_eq!(missing.text, "cannot execute `/missing/web`: No such file or directory (os error 2)");
        assert_eq!((missing.code, missing.permanent), (127, true));
        assert_eq!(
            explain(Stage::User, libc::EPERM).text,
            "cannot become user `web`: Operation not permitted (os error 1); the container lacks \
             CAP_SETUID or CAP_SETGID"
        );
        assert_eq!(
            explain(Stage::Make, libc::EROFS).text,
            "cannot make directory `/run/web`: Read-only file system (os error 30)"
        );
        assert_eq!(
            explain(Stage::Enter, libc::ENOENT).text,
            "cannot enter directory `/gone`: No such file or directory (os error 2)"
        );
        let busy = explain(Stage::Execute, libc::ETXTBSY);
        assert_eq!((busy.code, busy.permanent), (126, false));
    }
}
