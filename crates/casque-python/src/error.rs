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
    /// The index has other versions alone.
    #[error("the package index has no `{requirement}`{}", newest.as_ref().map_or(String::new(), |newest| format!(", the newest is {newest}")))]
    NoVersion {
        /// Such as `flask==3.1.3`.
        requirement: String,
        /// The newest version there is.
        newest: Option<String>,
    },
    /// None of the pinned files is in the index.
    #[error("the package index has no file of `{requirement}` with one of its hashes, only {found}")]
    NoFile {
        /// Such as `flask==3.1.3`.
        requirement: String,
        /// The files there are.
        found: String,
        /// One that would fit, as a line of the requirements file goes on.
        fits: Option<String>,
    },
    /// Files are there, and none fits.
    #[error("`{requirement}` has no {what} for {target} among its hashes, only {found}")]
    NoFit {
        /// Such as `flask==3.1.3`.
        requirement: String,
        /// What is wanted: a wheel, or sources.
        what: &'static str,
        /// What it must run on.
        target: String,
        /// The files there are.
        found: String,
        /// One that would fit, as a line of the requirements file goes on.
        fits: Option<String>,
        /// There are sources, and the file forbids to build them.
        refused: bool,
    },
    /// Two versions are asked for, and both requirements apply.
    #[error("`{name}` is required twice: {first}, and {second}")]
    Twice {
        /// The distribution.
        name: String,
        /// The first version and where it stands.
        first: String,
        /// The second version and where it stands.
        second: String,
    },
    /// A pinned version is not one that a constraint allows.
    #[error("`{requirement}` in {place} does not fit `{constraint}` in {constrained}")]
    Constraint {
        /// Such as `flask==3.1.3`.
        requirement: String,
        /// Where it stands.
        place: String,
        /// Such as `flask<3`.
        constraint: String,
        /// Where that stands.
        constrained: String,
    },
    /// A file of the project could not be read; the path is in the message.
    #[error("cannot read what the project says of Python")]
    Read(#[source] io::Error),
    /// What the manifest wants installed is not a source tree.
    #[error("cannot install `{text}`")]
    Install {
        /// What the manifest has.
        text: String,
        /// Why not.
        #[source]
        problem: RequirementProblem,
    },
    /// A file of the project is not what its hashes say.
    #[error("`{}` has the digest sha256:{found}, which is none of its hashes", path.display())]
    LocalHash {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A wheel of the project does not run here.
    #[error("`{}` does not run on {target}", path.display())]
    LocalWheel {
        /// The file.
        path: PathBuf,
        /// What it must run on.
        target: String,
    },
    /// A source tree has nothing that says how to build it.
    #[error("`{}` has neither `pyproject.toml` nor `setup.py`", path.display())]
    NoProjectFile {
        /// The tree.
        path: PathBuf,
    },
    /// The file that says how sources are built is damaged.
    #[error("cannot read `pyproject.toml` of `{archive}`")]
    ProjectFile {
        /// The sources.
        archive: String,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// An archive of sources is damaged.
    #[error("cannot read the sources `{archive}`")]
    Sources {
        /// Its file name.
        archive: String,
        /// Why.
        source: io::Error,
    },
    /// No wheel is what a build needs.
    #[error("cannot pin what `{who}` is built with: no wheel for {target} is {needed}")]
    BuildRequirement {
        /// What needs it.
        who: String,
        /// What is needed.
        needed: String,
        /// What it must run on.
        target: String,
    },
    /// A file could not be downloaded.
    #[error("cannot download what Python distributions are made from")]
    Download(#[source] FetchError),
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
    #[error("`{distribution}` needs `{needed}`, which is not among the requirements{chain}")]
    Missing {
        /// The distribution.
        distribution: String,
        /// What it says it needs.
        needed: String,
        /// Whom the distribution is there for; empty when for itself.
        chain: String,
    },
    /// A distribution needs another version than the one pinned.
    #[error("`{distribution}` needs `{needed}`, and the requirements have `{found}`{chain}")]
    Unfit {
        /// The distribution.
        distribution: String,
        /// What it says it needs.
        needed: String,
        /// What is there.
        found: String,
        /// Whom the distribution is there for; empty when for itself.
        chain: String,
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
    /// An address or path that is neither of a wheel nor of sources.
    #[error("`{text}` is not a wheel, an archive of sources or a source tree")]
    Place {
        /// What stands there.
        text: String,
    },
    /// A path that leads out of the project.
    #[error("`{text}` is outside of the project")]
    Outside {
        /// What stands there.
        text: String,
    },
    /// An address holds a password, which would end up in the lock.
    #[error("an address at `{host}` holds a user name or a password")]
    Secret {
        /// The host, the rest being secret.
        host: String,
    },
    /// A file is not there.
    #[error("there is no `{file}`")]
    NoFile {
        /// What stands there.
        file: String,
    },
    /// A file includes itself.
    #[error("`{file}` includes itself")]
    Circle {
        /// What stands there.
        file: String,
    },
    /// A source tree that would have to stay where it is.
    #[error("`{text}` is to be installed as editable")]
    Editable {
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
    #[error("a marker compares with `{text}`, which is not a version such as `3.11`")]
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
            Self::NoVersion { .. } => "is the version spelled right, and is this the index that has it?",
            Self::NoFile { fits: Some(fits), .. } | Self::NoFit { fits: Some(fits), .. } => {
                return Some(format!("`{fits}` would fit: is it the file you mean?"));
            }
            Self::NoFit { refused: true, .. } => {
                "the sources there are would be built, but `--only-binary` in the file forbids it"
            }
            Self::NoFit { .. } => "pin a version that has one, or build one and name it by its path",
            Self::NoFile { .. } => "make the file anew with `pip-compile --generate-hashes`",
            Self::Twice { .. } => "remove one of the two, or give each an environment of its own",
            Self::Constraint { .. } => "make the file anew with the constraint",
            Self::Install { problem, .. } => problem.hint(),
            Self::LocalHash { .. } => "is it another file than when the requirements were made?",
            Self::BuildRequirement { .. } => "name versions that fit in `build-requires`",
            Self::Unfit { .. } => {
                "make the file anew with `pip-compile --generate-hashes`, or set `no-deps = true` if it is meant"
            }
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
            Self::Place { .. } => "build a wheel of it and name that by its path",
            Self::Outside { .. } => {
                "put it into the project and name it by its path there, such as `./wheels/...`"
            }
            Self::Secret { .. } => "leave them out: the login is found where pip looks for it too",
            Self::NoFile { .. } => {
                "paths are relative to the project; those of `-r` and `-c` to the file they stand in"
            }
            Self::Circle { .. } => "remove the line",
            Self::Editable { .. } => "name it without `-e`: an image has a copy of it installed",
            Self::Option { .. } => {
                "remove it: wheels of the project are named by their path, an index by `--index-url`"
            }
            Self::Marker(_) => "compile the file for the one Python of the image, so that it needs no marker",
            _ => "let `pip-compile --generate-hashes` make the file",
        }
    }
}
