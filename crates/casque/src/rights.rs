//! Root's rights for the commands that need them: an ordinary user gets them over his own files, in a namespace.

use std::io::ErrorKind;
use std::path::Path;

use casque_sandbox::Error;

use crate::cli::Command;
use crate::error::Failure;

/// Whose rights a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The caller's own.
    Own,
    /// Root's, to remove what a killed build left; where they cannot be had, nothing was ever built.
    RootWherePossible,
    /// Root's.
    Root,
}

impl Command {
    pub(crate) fn rights(&self) -> Rights {
        match self {
            Self::Build(_) | Self::Run(_) => Rights::Root,
            Self::Lock(_) | Self::Fetch(_) | Self::Cache(_) => Rights::RootWherePossible,
            // `exec` goes into the namespace of the container that runs.
            Self::Doctor(arguments) if arguments.trial => Rights::Root,
            Self::Doctor(_)
            | Self::Init(_)
            | Self::Check(_)
            | Self::Inspect(_)
            | Self::Sbom(_)
            | Self::Docs(_)
            | Self::Diff(_)
            | Self::Stop(_)
            | Self::Exec(_)
            | Self::Logs(_)
            | Self::Keygen(_)
            | Self::Sign(_)
            | Self::Verify(_)
            // What the project's commands need they take themselves.
            | Self::Release(_) => Rights::Own,
        }
    }
}

impl Command {
    /// Whether it works in the cache on files of more than one user.
    pub(crate) fn keeps_trees(&self) -> bool {
        self.rights() != Rights::Own && !matches!(self, Self::Doctor(_))
    }
}

/// Takes these rights. Where the program is started again to have them this does not return.
pub(crate) fn take(rights: Rights) -> Result<(), Error> {
    if rights == Rights::Own {
        return Ok(());
    }
    casque_sandbox::usual_umask();
    if casque_sandbox::is_root() {
        return Ok(());
    }
    match casque_sandbox::become_root() {
        Ok(never) => match never {},
        Err(error) if rights == Rights::RootWherePossible && error.is_before_namespace() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file of a cache that says whose numbers of users its trees hold.
const NUMBERS: &str = "numbers";

/// Refuses a cache whose trees were made with other numbers of users: a build would take root's files for
/// somebody else's. Marks a new one.
pub(crate) fn claim(cache: &Path) -> Result<(), Failure> {
    let what = || format!("cannot use cache `{}`", cache.display());
    let failed = |error: std::io::Error| Failure::new(what(), &error);
    let here = casque_sandbox::numbers().map_err(failed)?;
    let mark = cache.join(NUMBERS);
    let there = match fs_err::read_to_string(&mark) {
        Err(error) if error.kind() == ErrorKind::NotFound => first(cache, &mark, &here),
        other => other,
    };
    match there.map_err(failed)? {
        there if there == here => Ok(()),
        there => {
            let name = |map: &str| match map.split_whitespace().nth(1) {
                Some("0") => "root".to_owned(),
                Some(number) => format!("user {number}"),
                None => "nobody".to_owned(),
            };
            let cause = match name(&there) == name(&here) {
                true => "what is in it was made when this user had other subordinate ids".to_owned(),
                false => format!("what is in it was made by {}, and you are {}", name(&there), name(&here)),
            };
            let hint = "use another directory with `--cache`; whoever made this one may remove it".to_owned();
            Err(Failure::usage(what(), cause, Some(hint)))
        }
    }
}

/// Marks a cache that has no mark, and returns what it then says: of several at once, the first one's. A mark appears
/// whole, so nobody reads half of one.
fn first(cache: &Path, mark: &Path, here: &str) -> std::io::Result<String> {
    fs_err::create_dir_all(cache)?;
    let own = cache.join(format!(".{NUMBERS}.{}", std::process::id()));
    fs_err::write(&own, here)?;
    let linked = fs_err::hard_link(&own, mark);
    fs_err::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => fs_err::read_to_string(mark),
    }
}
