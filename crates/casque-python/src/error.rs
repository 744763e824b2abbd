//! What can go wrong between a requirements file and an environment.

use std::io;
use std::path::PathBuf;

use casque_fetch::FetchError;
use thiserror::Error;
use zip::result::ZipError;

/// Why Python distributions could not be pinned or installed.
#[derive(Debug, Error)]
pub enum PythonError {
    /// A line of a requirements file is not one that pins a distribution.
    #[error("`{}` line {line}: {problem}", path.display())]
    Requirement {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, at which the requirement begins.
        line: usize,
        /// What is the matter with it.
        problem: RequirementProblem,
    },
    /// The address of the index is not one that files can be relative to.
    #[error("`{url}` is not the address of a package index, such as `https://pypi.org/simple`")]
    IndexUrl {
        /// What was given.
        url: String,
    },
    /// The address of the index holds a password, which would end up in the lock.
    #[error("the address of the package index at `{host}` holds a user name or a password")]
    IndexSecret {
        /// The host, the rest being secret.
        host: String,
    },
    /// The index does not know the project.
    #[error("the package index `{index}` has no project `{project}`")]
    NoProject {
        /// The index.
        index: String,
        /// The project.
        project: String,
    },
    /// The index could not be asked.
    #[error("cannot ask the package index about `{project}`")]
    Index {
        /// The project.
        project: String,
        /// Why.
        source: FetchError,
    },
    /// The index answered with something that is not a list of files.
    #[error("`{url}` is not a page of a package index")]
    Page {
        /// Where the answer is from.
        url: String,
        /// Why, when it was JSON.
        source: Option<serde_json::Error>,
    },
    /// None of the pinned files is in the index.
    #[error("the package index has no file of `{requirement}` with one of its hashes")]
    NoFile {
        /// Such as `flask==3.1.3`.
        requirement: String,
    },
    /// Files are there, and none is a wheel that fits.
    #[error("`{requirement}` has no wheel for {target} among its hashes, only {found}")]
    NoWheel {
        /// Such as `flask==3.1.3`.
        requirement: String,
        /// What it must run on.
        target: String,
        /// The files there are.
        found: String,
    },
    /// A file is named twice, and both apply.
    #[error("`{name}` is required twice, in lines {first} and {second}")]
    Twice {
        /// The distribution.
        name: String,
        /// The first line.
        first: usize,
        /// The second line.
        second: usize,
    },
    /// A marker cannot be decided.
    #[error("cannot tell whether `{requirement}` is wanted")]
    Marker {
        /// Such as `flask==3.1.3`.
        requirement: String,
        /// Why.
        source: MarkerError,
    },
    /// The path of an environment is not one inside the root.
    #[error("`{}` is not a place for a virtual environment, such as `/opt/backend/venv`", path.escape_debug())]
    Place {
        /// What was given.
        path: String,
    },
    /// There is no Python to make an environment for.
    #[error("the root filesystem has no `{path}`")]
    NoInterpreter {
        /// Where it was looked for.
        path: String,
    },
    /// Something is in the way.
    #[error("cannot make `{path}`: something else is there already")]
    InTheWay {
        /// The path.
        path: String,
    },
    /// A wheel is not a zip archive, or a damaged one.
    #[error("cannot read wheel `{wheel}`")]
    Zip {
        /// Its file name.
        wheel: String,
        /// Why.
        source: ZipError,
    },
    /// A wheel is an archive, and not as a wheel must be.
    #[error("wheel `{wheel}` {problem}")]
    Wheel {
        /// Its file name.
        wheel: String,
        /// What is the matter, such as `has no .dist-info directory`.
        problem: String,
    },
    /// Two distributions have the same file with different content.
    #[error("`{distribution}` and {owner} both have `{path}`, and not the same")]
    Conflict {
        /// The distribution being unpacked.
        distribution: String,
        /// Whose the file is that is there.
        owner: String,
        /// The file, in the environment.
        path: String,
    },
    /// A distribution is in the environment already.
    #[error("`{distribution}` is installed in the environment already, as `{found}`")]
    Installed {
        /// The distribution being unpacked.
        distribution: String,
        /// The directory that says so.
        found: String,
    },
    /// A distribution needs one that nobody pinned.
    #[error("`{distribution}` needs `{needed}`, which is not among the requirements")]
    Missing {
        /// The distribution.
        distribution: String,
        /// What it says it needs.
        needed: String,
    },
    /// The disk did not take a file, or give it; the path is in the message.
    #[error("cannot write the virtual environment")]
    Disk(#[source] io::Error),
}

/// What is the matter with a line of a requirements file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequirementProblem {
    /// It cannot be read as a requirement at all.
    #[error("`{text}` is not a requirement such as `flask==3.1.3`")]
    Syntax {
        /// What stands there.
        text: String,
    },
    /// It leaves the version open.
    #[error("`{name}` is not pinned to one version with `==`")]
    NotPinned {
        /// The distribution.
        name: String,
    },
    /// It says nothing about the content.
    #[error("`{name}` has no `--hash=sha256:...`")]
    NoHash {
        /// The distribution.
        name: String,
    },
    /// A hash is not one.
    #[error("`{text}` is not a hash such as `sha256:` and 64 hexadecimal digits")]
    Hash {
        /// What stands there.
        text: String,
    },
    /// An address, a directory or a repository stands in place of a version.
    #[error("`{text}` is not from a package index")]
    NotFromIndex {
        /// What stands there.
        text: String,
    },
    /// An option of pip that would change what is installed.
    #[error("option `{option}` is not one a pinned file may have")]
    Option {
        /// The option.
        option: String,
    },
    /// A marker cannot be understood.
    #[error("{0}")]
    Marker(MarkerError),
}

/// Why a marker means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MarkerError {
    /// It is not in the language of markers.
    #[error("marker `{text}` cannot be understood")]
    Syntax {
        /// The whole marker.
        text: String,
    },
    /// It asks for something nobody knows when building.
    #[error("a marker asks for `{variable}`, which is not known when building")]
    Variable {
        /// What it asks for.
        variable: String,
    },
    /// It compares with something that is not a version.
    #[error("a marker compares with `{text}`, which is not a plain version such as `3.11`")]
    Version {
        /// What it compares with.
        text: String,
    },
}

impl PythonError {
    /// Says what the vendor can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Requirement { problem, .. } => problem.hint(),
            Self::IndexSecret { .. } => "use an index, or a proxy of it, that needs none from this machine",
            Self::NoProject { .. } => "is it spelled right, and is this the index that has it?",
            Self::NoFile { .. } => "make the file anew with `pip-compile --generate-hashes`",
            Self::NoWheel { .. } => {
                "only wheels are installed: pin a version that has one, or build one and pin its hash"
            }
            Self::Twice { .. } => "remove one of the two",
            Self::NoInterpreter { .. } => "add the package `python3` to a layer before, or to this one",
            Self::InTheWay { .. } => "choose another path for `venv`",
            Self::Conflict { .. } => "give one of them an environment of its own",
            Self::Missing { .. } => "make the file anew with `pip-compile --generate-hashes`, which adds it",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl RequirementProblem {
    fn hint(&self) -> &'static str {
        match self {
            Self::NotFromIndex { .. } => "publish it to a package index, or copy it into the image in a step",
            Self::Option { .. } => {
                "remove it; other files belong into this one, and the index is named by PIP_INDEX_URL"
            }
            Self::Marker(_) => "compile the file for the one Python of the image, so that it needs no marker",
            _ => "let `pip-compile --generate-hashes` make the file",
        }
    }
}
