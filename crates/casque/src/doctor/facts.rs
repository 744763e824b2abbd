//! Looking at this host: what explains why something does or does not work.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use casque_sandbox::subids::{self, Lack, Range};
use casque_sandbox::{FileSystem, Refusal, find_program};

/// What was seen of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Such as `6.1.0-18-amd64`.
    pub(crate) kernel: String,
    /// None for root, who needs none of it.
    pub(crate) user: Option<User>,
    /// `user.max_user_namespaces`.
    pub(crate) most_namespaces: Option<u64>,
    /// Debian's `kernel.unprivileged_userns_clone`.
    pub(crate) clone_allowed: Option<u64>,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns`.
    pub(crate) apparmor_restricts: Option<u64>,
    /// This is a container of Docker or Podman.
    pub(crate) container: bool,
    /// `casque` itself.
    pub(crate) program: PathBuf,
    pub(crate) cache: PathBuf,
    /// None where the cache could not even be looked at.
    pub(crate) file_system: Option<FileSystem>,
    /// Static programs that are not beside casque.
    pub(crate) lacking_programs: Vec<String>,
    /// What came of trying it; none when it was not tried.
    pub(crate) trial: Option<Result<(), Refusal>>,
}

/// An ordinary user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) users: Result<Range, Lack>,
    pub(crate) groups: Result<Range, Lack>,
    pub(crate) mappers: [Mapper; 2],
}

/// `newuidmap` or `newgidmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapper {
    pub(crate) name: &'static str,
    /// Where it is, and whether it may do what it is for.
    pub(crate) found: Option<(PathBuf, bool)>,
}

/// Looks at this host.
pub(crate) fn gather(program: &Path, cache: &Path, trial: Option<Result<(), Refusal>>) -> Facts {
    let setting = |name: &str| {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        fs_err::read_to_string(path).ok()?.trim().parse().ok()
    };
    let directory = program.parent().unwrap_or(Path::new("/"));
    let programs = ["casque-init", "casque-agent", "casque-shim"];
    Facts {
        kernel: fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        user: (!casque_sandbox::is_root()).then(user),
        most_namespaces: setting("user.max_user_namespaces"),
        clone_allowed: setting("kernel.unprivileged_userns_clone"),
        apparmor_restricts: setting("kernel.apparmor_restrict_unprivileged_userns"),
        container: ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists()),
        program: program.to_owned(),
        cache: cache.to_owned(),
        // The cache may not be there yet.
        file_system: cache.ancestors().find(|path| path.is_dir()).and_then(|path| FileSystem::of(path).ok()),
        lacking_programs: programs
            .iter()
            .filter(|name| !directory.join(name).is_file())
            .map(|name| (*name).to_owned())
            .collect(),
        trial,
    }
}

fn user() -> User {
    let uid = casque_sandbox::user_number();
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let name = subids::name_of(uid, &read("/etc/passwd"));
    let range = |file: &str| subids::usable(Path::new(file), &read(file), &name, uid);
    let mapper = |name| {
        let found = find_program(name).map(|path| {
            let set_id = fs_err::metadata(&path).is_ok_and(|facts| facts.permissions().mode() & 0o4000 != 0);
            let may = set_id || casque_sandbox::has_capabilities(&path);
            (path, may)
        });
        Mapper { name, found }
    };
    User {
        users: range(subids::USERS),
        groups: range(subids::GROUPS),
        mappers: [mapper("newuidmap"), mapper("newgidmap")],
        name,
    }
}
