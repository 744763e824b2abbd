//! An ordinary user as root of a user namespace.
//!
//! The program moves into a namespace of its own and executes itself there, as root: it keeps its
//! number, so that whoever watches or kills it need not know. Number 0 inside is the user outside, so
//! that what the program writes is his; the other numbers are his subordinate ones. Only `newuidmap`
//! and `newgidmap` may give those, and only from outside: a child that stays behind calls them.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{getegid, geteuid};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error};
use crate::subids::{self, Range};
use crate::sys;

/// The hidden first argument of the child that stays outside.
pub(crate) const MAPPER_ARGUMENT: &str = "--sandbox-mapper";

/// The map of a process that is in no user namespace: every number is itself.
const EVERYTHING: [u32; 3] = [0, 0, u32::MAX];

/// What the child outside says: nothing when the numbers are given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refusal {
    program: String,
    /// Nothing when it ran and said no.
    errno: Option<i32>,
    /// What it said.
    text: String,
}

/// Whether root here is an ordinary user outside.
pub fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let numbers: Vec<u32> = map.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    !numbers.is_empty() && numbers != EVERYTHING
}

/// Returns which numbers outside the users in here have, as user_namespaces(7) writes it, in plain lines.
pub fn numbers() -> io::Result<String> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
    Ok(map.lines().map(line).collect())
}

/// Whether this process is root, here or in a user namespace.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Returns the number of the user who runs this process.
pub fn user_number() -> u32 {
    geteuid().as_raw()
}

/// Whether a program has file capabilities, the newer form of the set-user-id bit.
pub fn has_capabilities(program: &Path) -> bool {
    rustix::fs::getxattr(program, "security.capability", &mut [0; 64][..]).is_ok_and(|length| length > 0)
}

/// Makes this process root of a user namespace and executes the program again, from its beginning.
///
/// To be called before there is a second thread. Returns only when it does not work. After
/// [`Error::is_before_namespace`] nothing has changed; after any other error this process is in a
/// namespace without numbers, and can do nothing but say so and end.
pub fn become_root() -> Result<Infallible, Error> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = subids::name_of(uid, &passwd);
    let users = own_range(subids::USERS, &user, uid)?;
    let groups = own_range(subids::GROUPS, &user, uid)?;

    for program in ["newuidmap", "newgidmap"] {
        if find_program(program).is_none() {
            let source = Some(io::Error::from_raw_os_error(libc::ENOENT));
            return Err(Error::NumbersRefused { program: program.to_owned(), text: String::new(), source });
        }
    }

    let pid = std::process::id();
    let mut mapper = Command::new("/proc/self/exe");
    mapper.arg0("casque").arg(MAPPER_ARGUMENT);
    mapper.args(words(pid, uid, users)).arg("--").args(words(pid, gid, groups));
    mapper.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut mapper = mapper.spawn().doing("start a process that gives numbers")?;
    sys::unshare(UnshareFlags::NEWUSER).map_err(|source| Error::NoUserNamespace { source })?;

    let mut answer = Vec::new();
    let mut talk = || -> io::Result<()> {
        // It waits for this: before, there is nothing to give numbers to.
        mapper.stdin.take().map_or(Ok(()), |mut ready| ready.write_all(b"\n"))?;
        if let Some(mut said) = mapper.stdout.take() {
            said.read_to_end(&mut answer)?;
        }
        mapper.wait().map(drop)
    };
    talk().doing("talk to the process that gives numbers")?;
    let refusal: Option<Refusal> =
        serde_json::from_slice(&answer).map_err(|source| Error::Protocol { source })?;
    if let Some(Refusal { program, errno, text }) = refusal {
        return Err(Error::NumbersRefused { program, text, source: errno.map(io::Error::from_raw_os_error) });
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    again.arg0(arguments.next().unwrap_or_else(|| "casque".into())).args(arguments);
    Err(again.exec()).doing("execute this program again")?
}

/// Where distributions keep programs that act for ordinary users with root's rights.
const PLACES: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];

/// Returns where a program such as `newuidmap` is.
pub fn find_program(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file())
}

/// Makes what this process creates readable and not writable by others, whatever its user's habits are:
/// directories that are made in passing become part of images.
pub fn usual_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

fn own_range(file: &str, user: &str, uid: u32) -> Result<Range, Error> {
    let path = Path::new(file);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    subids::usable(path, &text, user, uid)
        .map_err(|lack| Error::NoSubordinateIds { user: user.to_owned(), lack })
}

/// Returns the arguments of `newuidmap` or `newgidmap`: the caller's own number becomes 0.
fn words(pid: u32, own: u32, others: Range) -> Vec<String> {
    [pid, 0, own, 1, 1, others.first, others.count.min(subids::NEEDED)].iter().map(u32::to_string).collect()
}

/// Does the work of the child outside when this process is one, and returns the code to exit with.
pub(crate) fn mapper_main() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != MAPPER_ARGUMENT {
        return None;
    }
    let words: Vec<String> = arguments.collect();
    let (users, groups) = words.split_at(words.iter().position(|word| word == "--")?);
    // The end of the pipe without a word: there is no namespace.
    if io::stdin().read(&mut [0]).ok() != Some(1) {
        return Some(ExitCode::FAILURE);
    }
    let refusal = give("newuidmap", users).or_else(|| give("newgidmap", &groups[1..]));
    let text = serde_json::to_vec(&refusal).unwrap_or_default();
    Some(match io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn give(program: &str, words: &[String]) -> Option<Refusal> {
    let refusal = |errno, text: &str| {
        Some(Refusal { program: program.to_owned(), errno, text: text.trim().to_owned() })
    };
    let path = find_program(program).unwrap_or_else(|| PathBuf::from(program));
    match Command::new(path).args(words).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => refusal(None, &String::from_utf8_lossy(&output.stderr)),
        Err(error) => refusal(Some(error.raw_os_error().unwrap_or(libc::EIO)), ""),
    }
}
