//! What can go wrong with a container.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why a container could not be started, stopped, entered or read.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// A file of the state directory or the user; `fs_err` puts its path in the message.
    #[error(transparent)]
    File(io::Error),
    /// The system refused a mount, a namespace or the command.
    #[error(transparent)]
    Sandbox(#[from] casque_sandbox::Error),
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] casque_image::read::ReadError),
    /// The image could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] casque_image::unpack::UnpackError),
    /// The image has neither an entrypoint nor a command, and none was given.
    #[error("image `{image}` does not say what to run")]
    NoCommand { image: String },
    /// The image wants a user by name.
    #[error("image `{image}` runs as user `{user}`; only numbers such as `900:900` are known here")]
    UserName { image: String, user: String },
    /// A container of that name runs.
    #[error("a container named `{name}` runs already")]
    NameTaken { name: String },
    /// Somebody listens there.
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    /// There is no such container.
    #[error("no container named `{name}` is known")]
    Unknown { name: String, running: Vec<String> },
    /// It has ended.
    #[error("container `{name}` does not run: it ended with code {code}")]
    Ended { name: String, code: i32 },
    /// It does not run yet.
    #[error("container `{name}` is being started")]
    Starting { name: String },
    /// Whoever supervised it was killed, and the container with it.
    #[error("container `{name}` was killed together with the program that supervised it")]
    Lost { name: String },
    /// A state file of another version, or a damaged one.
    #[error("cannot understand `{}`", path.display())]
    State { path: PathBuf, source: serde_json::Error },
    /// A line of an environment file.
    #[error("`{}` line {line}: expected NAME=VALUE", path.display())]
    EnvironmentLine { path: PathBuf, line: usize },
}

impl RunError {
    /// Says what the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Sandbox(error) => error.hint(),
            Self::NameTaken { name } => {
                Some(format!("stop it with `casque stop {name}`, or choose another name with `--name`"))
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("choose another host port, as in `--publish 8081:80`".to_owned())
            }
            Self::Unknown { running, .. } if running.is_empty() => Some("no container runs".to_owned()),
            Self::Unknown { running, .. } => Some(format!("running now: {}", running.join(", "))),
            Self::Ended { name, .. } | Self::Lost { name } => {
                Some(format!("`casque logs {name}` shows what it wrote"))
            }
            Self::Starting { .. } => Some("try again in a moment".to_owned()),
            Self::State { .. } => Some("it belongs to another version of casque; remove it".to_owned()),
            _ => None,
        }
    }

    /// Tells whether the arguments are to blame.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::NameTaken { .. }
            | Self::Listen { .. }
            | Self::Unknown { .. }
            | Self::Ended { .. }
            | Self::EnvironmentLine { .. } => true,
            Self::Sandbox(error) => matches!(error, casque_sandbox::Error::NeedsRoot),
            _ => false,
        }
    }

    /// Tells whether the image is not what its digests say.
    pub(crate) fn is_damage(&self) -> bool {
        use casque_image::unpack::UnpackError;
        let (Self::Image(error) | Self::Unpack(UnpackError::Archive(error))) = self else { return false };
        error.is_damage()
    }

    /// Tells whether a command could not be run because there is no such file.
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Self::Sandbox(casque_sandbox::Error::Command { source, .. }) => {
                source.kind() == io::ErrorKind::NotFound
            }
            _ => false,
        }
    }
}
