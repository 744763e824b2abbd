//! Python distributions: hash-pinned requirements become wheels in a virtual environment, without running Python.
//!
//! [`Requirements`] reads the file, [`Locker`] chooses one file for each requirement from package indexes and, for sources,
//! what they are built with; [`Venv`] makes the environment and unpacks wheels into it. Whoever builds the sources finds
//! what to run in [`hooks`]. What pip finds there afterwards is what pip itself would have installed,
//! so a later `pip install -r` of the same file has nothing left to do. Nothing here runs a program.
//!
//! Why not pip: it would need a network or a directory laid out for it in the sandbox, and leaves times and bytecode
//! that differ from build to build.

mod build;
mod entry_points;
mod error;
mod files;
#[cfg(test)]
mod fuzz;
pub mod hooks;
mod html;
mod index;
mod install;
mod lines;
mod marker;
mod metadata;
mod native;
mod pin;
mod record;
mod requirements;
mod sdist;
mod specification;
mod tags;
mod target;
mod tree;
mod venv;
mod version;
mod wheel;

pub use error::{MarkerError, PythonError, RequirementProblem};
pub use files::InstalledDistribution;
pub use marker::Marker;
pub use native::needed_libraries;
pub use pin::{DEFAULT_INDEX, Locker, Pinned, PinnedDistribution};
pub use requirements::{Formats, Indexes, LocalRequirement, Place, Requirement, Requirements};
pub use sdist::BuildSystem;
pub use target::{PythonVersion, Target};
pub use venv::{Arrival, DirectUrl, Venv};
