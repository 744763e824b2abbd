//! Backups: the volume as one stream, and back.

mod archive;
mod frames;
#[cfg(test)]
mod fuzz;
mod keys;
mod owners;
mod read;
mod stage;
mod sums;
mod volume;
mod walk;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use self::archive::{Contents, measure, write};
pub use self::keys::{KeyError, Keys, Lock, PASSPHRASE};
pub use self::owners::Owners;
pub use self::read::Backup;
pub use self::stage::Stage;
pub use self::volume::{Room, check_room, is_unfinished};

/// Why a backup is not used.
#[derive(Debug, Error)]
pub enum Unusable {
    /// There was nothing on stdin.
    #[error(
        "stdin is empty: give the backup there, as in `docker run --rm -i -v NAME:/data IMAGE restore < FILE`"
    )]
    Empty,
    /// Something else.
    #[error("this is no backup: {0}")]
    Foreign(&'static str),
    /// It needs a passphrase or a key.
    #[error("the backup is encrypted {0}")]
    Locked(&'static str),
    /// What was given does not open it.
    #[error("cannot decrypt the backup: {0}")]
    WrongKey(String),
    /// Bytes of it are missing or others.
    #[error("the backup is damaged or was changed: {0}; nothing was restored")]
    Damaged(String),
    /// It breaks off.
    #[error("the backup is not whole, it ends too early; nothing was restored")]
    Truncated,
    /// A newer image made it.
    #[error("the backup has format {0}, this image knows format {known}; restore it with the image that made it, or a newer one", known = casque_format::backup::VERSION)]
    NewerFormat(u32),
    /// Another product's.
    #[error("the backup is one of `{found}` {version}, this is `{own}`")]
    OtherProduct {
        /// Whose.
        found: String,
        /// Of which version.
        version: String,
        /// What this image is.
        own: String,
    },
    /// A newer version's.
    #[error(
        "the backup has data of version {found}, this is {own}; restore it with version {found} or newer"
    )]
    NewerData {
        /// That version.
        found: String,
        /// The version of this image.
        own: String,
    },
}

impl Unusable {
    /// Returns what an error while reading says of the backup.
    fn because(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// Why a backup is not made, or not restored.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The backup is at fault.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// A file cannot be read or made.
    #[error("cannot {what} `{path}`: {source}")]
    File {
        /// What was being done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that no backup carries.
    #[error("`{0}` is a device or a named pipe, which a backup cannot carry; remove it")]
    Special(PathBuf),
    /// A file that became shorter meanwhile.
    #[error("`{0}` was changed while it was read")]
    Changed(PathBuf),
    /// The stream cannot be written.
    #[error("cannot write the backup to stdout: {0}; what was written is no backup, remove it")]
    Output(io::Error),
    /// The volume has something in it.
    #[error("volume `/data` is not empty, it has `{0}`; restore into a new volume")]
    NotEmpty(String),
    /// The volume is too small.
    #[error("volume `/data` has {free} MiB free, the backup needs {needed} MiB; restore into a larger one")]
    NoRoom {
        /// What there is.
        free: u64,
        /// What is needed.
        needed: u64,
    },
    /// Somebody else restores into the volume.
    #[error("another restore into this volume is under way")]
    Busy,
    /// Root who may not give files away.
    #[error(
        "root without the capability CHOWN cannot give each service its files; restore without `--cap-drop`, with `--cap-add CHOWN`, or with the `--user` of the container that is to run"
    )]
    MayNotGive,
}

/// Returns a maker of errors for what was being done with a file.
fn file<E: Into<io::Error>>(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Trouble {
    let path = path.into();
    move |source| Trouble::File { what, path, source: crate::prepare::bare(source.into()) }
}

/// Told how many bytes of files have passed.
pub type Progress<'a> = dyn FnMut(u64) + 'a;

#[cfg(test)]
mod tests;
