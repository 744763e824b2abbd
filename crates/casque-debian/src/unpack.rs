//! Unpacking packages straight into a root directory, with the records dpkg keeps.
//!
//! Afterwards `dpkg --configure` in the root finds what `dpkg --unpack` would have left: files, `info/`, stanzas with
//! the status `unpacked`, triggers. It is done here because dpkg needs a working root to do it, is sequential, and
//! syncs each file.

mod database;
mod filter;
mod overrides;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use thiserror::Error;

use crate::control::{Control, ControlError};
use crate::deb::{Deb, DebError};
use database::Database;
use tree::Tree;

pub use database::installed_packages;
pub use filter::forget_left_out;

/// Why packages cannot be unpacked. A root in which unpacking failed is of no use.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The root could not be written or read; the path is in the message.
    #[error("cannot write the root filesystem")]
    Disk(#[source] io::Error),
    /// A package file cannot be read.
    #[error("cannot read package `{package}`")]
    Deb {
        /// The package.
        package: String,
        /// Why.
        source: DebError,
    },
    /// A package's relations cannot be read.
    #[error(transparent)]
    Control(ControlError),
    /// An entry would end up outside of the root.
    #[error("package `{package}` has an entry `{entry}`, which is not inside the root")]
    Escape {
        /// The package.
        package: String,
        /// The entry.
        entry: String,
    },
    /// Links in the root lead in a circle.
    #[error("the links at `{}` lead in a circle", path.display())]
    Circle {
        /// Where it began.
        path: PathBuf,
    },
    /// An entry is neither file, directory nor link.
    #[error("package `{package}` has an entry `{entry}` of a kind that is not supported")]
    Kind {
        /// The package.
        package: String,
        /// The entry.
        entry: String,
    },
    /// Two packages have the same file, and neither says that it replaces the other.
    #[error("packages `{package}` and `{owner}` both have `{entry}`")]
    Overwrite {
        /// The package being unpacked.
        package: String,
        /// The package that has the file already.
        owner: String,
        /// The file.
        entry: String,
    },
    /// An administrator's owner and mode for a file cannot be read.
    #[error("dpkg's `statoverride` has the line `{line}`, whose user, group or mode is not known")]
    Override {
        /// The line.
        line: String,
    },
    /// The package is there already; replacing one is for dpkg itself.
    #[error("package `{package}` is installed already, in version {version}")]
    Installed {
        /// The package.
        package: String,
        /// The version that is there.
        version: String,
    },
}

/// Makes `root` a directory into which the first packages can be unpacked: merged `/usr` and an empty dpkg database.
pub fn prepare_root(root: &Path, architecture: &str) -> Result<(), UnpackError> {
    let tree = Tree::new(root);
    tree.make_directory(Path::new(""))?;
    let wide = if architecture == "amd64" { &["lib64"][..] } else { &[] };
    for name in ["bin", "sbin", "lib"].iter().chain(wide) {
        tree.make_directory(&Path::new("usr").join(name))?;
        tree.make_link(Path::new(name), &Path::new("usr").join(name))?;
    }
    Database::create(&tree)
}

/// Writes the control files of packages alone, so that each `preinst` can run before its package's files appear.
///
/// For packages added to a root that works already; [`unpack`] follows.
pub fn add_control(root: &Path, debs: &[Deb]) -> Result<(), UnpackError> {
    let mut database = Database::open(Tree::new(root))?;
    for deb in debs {
        database.check_absent(&deb.control)?;
        database.write_control_files(deb)?;
    }
    Ok(())
}

/// Unpacks packages into `root`; up to `threads` are being decompressed at a time.
///
/// The result does not depend on the order in which they are given. Owners are set, so this needs to be root, or root
/// in a user namespace.
pub fn unpack(root: &Path, debs: &[Deb], threads: usize) -> Result<(), UnpackError> {
    let mut database = Database::open(Tree::new(root))?;
    let mut ordered: Vec<&Deb> = debs.iter().collect();
    // A directory belongs to whom it came with first, and base-files knows best what the common ones should be.
    ordered.sort_by_key(|deb| (deb.control.name != "base-files", &deb.control.name));
    for deb in &ordered {
        database.check_absent(&deb.control)?;
    }
    let threads = threads.clamp(1, ordered.len().max(1));
    thread::scope(|scope| {
        // Each thread decompresses every so-manieth package and waits with it, so the packages arrive in order and
        // few of them are in memory.
        let arriving: Vec<_> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(0);
                let ordered = &ordered;
                scope.spawn(move || {
                    for deb in ordered.iter().skip(first).step_by(threads) {
                        if sender.send(deb.read_data()).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for (index, deb) in ordered.iter().enumerate() {
            let data = arriving[index % threads].recv().expect("each package is sent once");
            let data = data.map_err(|source| damaged(&deb.control, source))?;
            database.unpack(deb, &data)?;
        }
        Ok(())
    })?;
    database.finish()
}

fn damaged(control: &Control, source: DebError) -> UnpackError {
    UnpackError::Deb { package: control.name.clone(), source }
}

#[cfg(test)]
mod tests;
