//! Python distributions: hash-pinned requirements become wheels in a virtual environment, without running Python.
//!
//! [`requirements()`] reads the file, [`lock`] chooses one wheel for each requirement from a package index, [`Venv`] makes
//! the environment and unpacks wheels into it. What pip finds there afterwards is what pip itself would have installed,
//! so a later `pip install -r` of the same file has nothing left to do. Nothing here runs a program.
//!
//! Why not pip: it would need a network or a directory laid out for it in the sandbox, and leaves times and bytecode
//! that differ from build to build.

mod entry_points;
mod error;
mod files;
mod html;
mod index;
mod install;
mod marker;
mod metadata;
mod pin;
mod record;
mod requirements;
mod tags;
mod target;
mod tree;
mod venv;
mod version;
mod wheel;

pub use error::{MarkerError, PythonError, RequirementProblem};
pub use files::InstalledDistribution;
pub use marker::Marker;
pub use pin::{DEFAULT_INDEX, PinnedDistribution, lock};
pub use requirements::{Requirement, requirements};
pub use target::{PythonVersion, Target};
pub use venv::Venv;
