//! What can go wrong in making a sandbox.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::subids::{Lack, NEEDED};
use crate::user::in_user_namespace;

/// Why a sandbox could not be made or used.
#[derive(Debug, Error)]
pub enum Error {
    /// The calling user is not root.
    #[error("mounts and namespaces of one's own need root here")]
    NeedsRoot,
    /// An ordinary user has no numbers for the users of a distribution.
    #[error("{}", lack_text(user, lack))]
    NoSubordinateIds {
        /// His name, or his number when he has none.
        user: String,
        /// What is missing.
        lack: Lack,
    },
    /// The kernel lets this user have no namespace.
    #[error("this kernel gives ordinary users no user namespace")]
    NoUserNamespace {
        /// What it said.
        source: io::Error,
    },
    /// `newuidmap` or `newgidmap` is not there, or says no.
    #[error("`{program}` gives no numbers{}", if text.is_empty() { String::new() } else { format!(": {text}") })]
    NumbersRefused {
        /// Which.
        program: String,
        /// What it said.
        text: String,
        /// Why it could not run.
        source: Option<io::Error>,
    },
    /// The kernel refused a step, in this process or in the helper.
    #[error("cannot {failure}")]
    Step {
        /// What was being done, and to what.
        failure: Failure,
        /// What the kernel said.
        source: io::Error,
    },
    /// Everything was prepared, and then the command could not be executed.
    #[error("cannot run `{command}`")]
    Command {
        /// Its first word.
        command: String,
        /// Usually that it does not exist.
        source: io::Error,
    },
    /// The helper ended without an answer, for example because it was killed.
    #[error("the process that watches over the sandbox ended unexpectedly")]
    HelperLost,
    /// The helper and this program do not understand each other.
    #[error("cannot understand the process that watches over the sandbox")]
    Protocol {
        /// What is wrong with the message.
        source: serde_json::Error,
    },
    /// The specification names no command.
    #[error("the command to run is empty")]
    NoCommand,
    /// The process is gone, or its number belongs to another one now.
    #[error("process {pid} has ended")]
    Gone {
        /// Its number.
        pid: i32,
    },
}

fn lack_text(user: &str, lack: &Lack) -> String {
    match lack {
        Lack::None { file } => format!("`{}` gives user `{user}` no numbers", file.display()),
        Lack::Few { file, count } => format!(
            "`{}` gives user `{user}` {count} numbers in a row, and {NEEDED} are needed",
            file.display()
        ),
    }
}

impl Error {
    /// Whether [`crate::become_root`] stopped while this process was still what it had been.
    pub fn is_before_namespace(&self) -> bool {
        match self {
            Self::NoSubordinateIds { .. } | Self::NoUserNamespace { .. } => true,
            Self::NumbersRefused { source, .. } => source.is_some(),
            _ => false,
        }
    }

    /// Says what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Step { .. } if in_user_namespace() => {
                Some("`casque doctor` says what is missing here, and what to do".to_owned())
            }
            Self::NeedsRoot => Some("run this command with sudo".to_owned()),
            Self::Step { source, .. } if source.raw_os_error() == Some(libc::EPERM) => Some(
                "inside a container this needs `--privileged`, or at least CAP_SYS_ADMIN and no seccomp filter"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// A step that did not work, in a form that travels between processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was being done, such as `mount`, so that "cannot mount" reads well.
    pub action: String,
    /// To what.
    pub path: Option<PathBuf>,
    /// The kernel's error number.
    pub errno: i32,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.action)?;
        match &self.path {
            Some(path) => write!(formatter, " `{}`", path.display()),
            None => Ok(()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let source = io::Error::from_raw_os_error(failure.errno);
        Self::Step { failure, source }
    }
}

/// Names the step that a kernel error belongs to.
pub(crate) trait Doing<T> {
    /// Says what was being done.
    fn doing(self, action: &str) -> Result<T, Failure>;
    /// Says what was being done to which path.
    fn doing_to(self, action: &str, path: &Path) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, action: &str) -> Result<T, Failure> {
        self.map_err(|error| failure(action, None, error.into()))
    }

    fn doing_to(self, action: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| failure(action, Some(path), error.into()))
    }
}

fn failure(action: &str, path: Option<&Path>, error: io::Error) -> Failure {
    Failure {
        action: action.to_owned(),
        path: path.map(Path::to_path_buf),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    }
}
