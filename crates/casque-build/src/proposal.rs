//! A manifest for a project that has none, proposed from what it says about itself.
//!
//! Everything is read tolerantly and nothing is run: what cannot be read or decided is said, and the rest is proposed.
//! The same files give the same text.

mod ansible;
mod deploy;
mod files;
mod front;
mod identity;
mod jinja;
mod known;
mod layers;
mod services;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod write;
mod yaml;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::ansible::Ansible;
use self::files::Files;
pub(crate) use self::write::{list, quote};

/// The version of [`Proposal`] as JSON.
const VERSION: u32 = 1;

/// A proposed manifest, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    version: u32,
    /// The text of `casque.toml`.
    pub manifest: String,
    /// What was found and where, one line each.
    pub found: Vec<String>,
    /// What could not be decided, and how the vendor can.
    pub undecided: Vec<String>,
    /// What to do next, in this order.
    pub next: Vec<String>,
}

/// A project as far as it was read.
struct Project {
    /// Absolute.
    directory: PathBuf,
    files: Files,
    ansible: Ansible,
    found: Vec<String>,
    undecided: Vec<String>,
}

/// Returns path and text of each requirements file of the project that has hashes.
///
/// # Errors
/// A directory that cannot be read.
pub(crate) fn pinned_requirements(directory: &Path) -> io::Result<Vec<(String, String)>> {
    let files = Files::read(directory)?;
    let pinned = files.iter().filter(|(_, text)| text.contains("--hash=sha256:"));
    Ok(pinned.map(|(path, text)| (path.to_owned(), text.to_owned())).collect())
}

/// Proposes a manifest for the project in `directory`, an absolute path.
///
/// # Errors
/// A directory that cannot be read.
pub fn propose(directory: &Path) -> io::Result<Proposal> {
    let files = Files::read(directory)?;
    let ansible = Ansible::read(&files);
    let directory = directory.to_owned();
    let mut project = Project { directory, files, ansible, found: Vec::new(), undecided: Vec::new() };
    let manifest = write::manifest(&mut project);
    let next = sources::next(&project);
    let mut said = BTreeSet::new();
    project.undecided.retain(|line| said.insert(line.clone()));
    Ok(Proposal { version: VERSION, manifest, found: project.found, undecided: project.undecided, next })
}
