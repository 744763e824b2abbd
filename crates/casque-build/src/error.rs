//! What can go wrong in a build.

use std::io;
use std::path::PathBuf;

use casque_debian::{ArchiveError, ControlError, DebError, KeyringError, ResolveError, UnpackError};
use casque_fetch::FetchError;
use casque_format::digest::Digest;
use casque_format::marks::MarkError;
use casque_image::archive::ArchiveError as OutputError;
use casque_image::layer::LayerError;
use casque_image::read::ReadError;
use casque_python::PythonError;
use casque_units::UnitError;
use thiserror::Error;

use crate::manifest::ManifestError;
use crate::secrets::SecretError;

mod base;
mod class;
mod hint;

pub use base::BaseError;
pub use class::ErrorClass;

/// Why an image could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The lock is wrong, or does not fit the manifest.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A service of the manifest does not fit the root filesystem.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A mark in a file of the image is wrong.
    #[error(transparent)]
    Mark(#[from] MarkMistake),
    /// The image to start from cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A Debian archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The keys of an archive cannot be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Packages do not exist or do not go together.
    #[error("cannot choose the packages of layer `{layer}`")]
    Resolve {
        /// The layer that asks for them.
        layer: String,
        /// The image beneath, which stays as it is.
        base: Option<String>,
        /// Why.
        source: Box<ResolveError>,
    },
    /// A package file is damaged.
    #[error("cannot read package `{package}`")]
    Package {
        /// The package.
        package: String,
        /// Why.
        source: DebError,
    },
    /// A package is another one than its archive says.
    #[error("the archive's index says `{wanted}`, and the file says it is `{found}`")]
    Mislabelled {
        /// Name, version and architecture in the index.
        wanted: String,
        /// The same in the package.
        found: String,
    },
    /// Packages cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A package's relations cannot be read.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A Python requirement or distribution is wrong.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// A layer has Python distributions and no Python.
    #[error("layer `{layer}` has Python distributions, and the image has no Python")]
    NoPython {
        /// The layer.
        layer: String,
    },
    /// An environment is to have pip, and its wheels are not there.
    #[error(
        "layer `{layer}` wants pip in an environment, and the image has no `python3-venv`, which brings it"
    )]
    NoPip {
        /// The layer.
        layer: String,
    },
    /// Building a distribution failed.
    #[error("cannot build `{distribution}`: its backend {how}")]
    BuildStep {
        /// A name and version, or a path of the project.
        distribution: String,
        /// How it ended.
        how: String,
        /// The end of its output.
        last: Vec<String>,
    },
    /// A backend asked for more than its project says.
    #[error("cannot build `{distribution}`: its backend asks for `{}`, which the lock does not have", asked.join("`, `"))]
    BuildRequires {
        /// A name and version, or a path of the project.
        distribution: String,
        /// What is asked for.
        asked: Vec<String>,
    },
    /// A backend said that it was done, and there is no wheel.
    #[error("cannot build `{distribution}`: its backend left no wheel and answered {answer}")]
    NoWheel {
        /// A name and version, or a path of the project.
        distribution: String,
        /// What it answered.
        answer: String,
    },
    /// What was built would not run in the image.
    #[error("`{distribution}` was built with `{library}`, which the image does not have")]
    MissingLibrary {
        /// A name and version, or a path of the project.
        distribution: String,
        /// The shared library.
        library: String,
        /// The Debian package that has it.
        package: Option<String>,
    },
    /// A file could not be downloaded.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file that the lock pins is no longer where it was.
    #[error("the archive no longer has `{file}`, which the lock pins")]
    Superseded {
        /// The package and version.
        file: String,
    },
    /// A layer could not be written or read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The archive could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// What a thin archive is made against is no image.
    #[error("cannot make a thin archive against `{}`", path.display())]
    Older {
        /// The older archive or directory.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ReadError>,
    },
    /// The name and tag of the manifest do not make an image's name.
    #[error(transparent)]
    Name(#[from] casque_image::config::NotAnImageName),
    /// A sandbox could not be made.
    #[error(transparent)]
    Sandbox(#[from] casque_sandbox::Error),
    /// A program in the sandbox ended with an error.
    #[error("layer `{layer}`: its step {how}")]
    Step {
        /// The layer.
        layer: String,
        /// How it ended.
        how: String,
        /// The end of its output.
        last: Vec<String>,
    },
    /// A step asked for what was not there when it was locked.
    #[error("layer `{layer}`: its step asked for what was not there when it was locked:{}", list(asked))]
    NotLocked {
        /// The layer.
        layer: String,
        /// Methods and addresses.
        asked: Vec<String>,
        /// The end of its output.
        last: Vec<String>,
    },
    /// A secret is missing, or where it must not be.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Stages that were made a second time, as on another machine, are not the same.
    #[error("{} made again as on another machine: {files} files differ", made(layers))]
    NotReproducible {
        /// The stages.
        layers: Vec<String>,
        /// How many files differ in all of them.
        files: usize,
    },
    /// The network of a step could not be made.
    #[error("cannot make the network of a step")]
    Proxy(#[source] io::Error),
    /// Steps are to be recorded by a program that cannot run any.
    #[error("the steps have to run, so that what they download can be locked")]
    NoSteps,
    /// After a step, dpkg found packages that are not whole.
    #[error("layer `{layer}` leaves packages that are not whole")]
    Audit {
        /// The layer.
        layer: String,
        /// What `dpkg --audit` said.
        lines: Vec<String>,
    },
    /// The cache could not be read or written.
    #[error("cannot use the build cache")]
    Cache(#[source] io::Error),
    /// Something removed a finished stage before it was used.
    #[error("layer `{layer}` vanished from the build cache while it was used")]
    CachePruned {
        /// The layer.
        layer: String,
    },
    /// The manifest has more stages than an image has layers.
    #[error("the manifest makes {layers} layers at least, and an image may have {most}")]
    TooManyLayers {
        /// How many.
        layers: usize,
        /// The limit.
        most: usize,
    },
    /// The vendor's files could not be read.
    #[error("cannot collect the files of the project")]
    Source(#[source] io::Error),
    /// The root filesystem could not be changed.
    #[error("cannot change the root filesystem")]
    Root(#[source] io::Error),
    /// The image's command would replace a file that the vendor's scripts put there.
    #[error("`{path}` is there already, so `[image] command` cannot have that name")]
    CommandTaken {
        /// The path in the image.
        path: String,
    },
}

/// A lock that cannot be used.
#[derive(Debug, Error)]
pub enum LockError {
    /// The file could not be read.
    #[error(transparent)]
    File(io::Error),
    /// The file could not be written.
    #[error("cannot write lock `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a lock that this version understands.
    #[error("cannot read lock `{}`", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: Box<toml::de::Error>,
    },
    /// A lock of a later casque.
    #[error("lock `{}` has version {version}, this casque knows version {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// Ours.
        known: u32,
    },
    /// There is none.
    #[error("there is no lock `{}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A step was never run for its downloads.
    #[error("lock `{}` does not have what the step of layer `{layer}` downloads", path.display())]
    NotRecorded {
        /// The file.
        path: PathBuf,
        /// The layer.
        layer: String,
    },
    /// The image to start from is another one.
    #[error("the base `{from}` has changed: lock `{}` has the image {}, and it is {} now", path.display(), short(locked), short(found))]
    BaseChanged {
        /// The file.
        path: PathBuf,
        /// The base, as the manifest has it.
        from: String,
        /// The image that was locked.
        locked: Digest,
        /// The image that is there.
        found: Digest,
    },
    /// The manifest asks for something else than what was locked.
    #[error("lock `{}` does not fit the manifest: {what} changed", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
}

/// A service that does not fit the root filesystem.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// What `from` names is not in the image.
    #[error("service `{service}`: there is no `{from}` in the image")]
    NoUnit {
        /// The service.
        service: String,
        /// What it names.
        from: String,
    },
    /// What `from` names cannot be translated.
    #[error("service `{service}`")]
    Unit {
        /// The service.
        service: String,
        /// Why.
        source: UnitError,
    },
    /// Its user is not in the image.
    #[error("service `{service}` runs as `{user}`, which the image does not have")]
    UnknownUser {
        /// The service.
        service: String,
        /// The user, with the group where one is given.
        user: String,
        /// A user with a name like it.
        closest: Option<String>,
    },
    /// A data directory's owner is not in the image.
    #[error("data directory `{path}` belongs to `{user}`, which the image does not have")]
    UnknownOwner {
        /// The directory.
        path: String,
        /// The user.
        user: String,
        /// A user with a name like it.
        closest: Option<String>,
    },
    /// What is to live in the volume is no directory.
    #[error("`{path}` of `[data] persist` is no directory of the image")]
    NotPersistent {
        /// The path.
        path: String,
    },
    /// Its program is not in the image.
    #[error("service `{service}` runs `{program}`, which the image does not have")]
    NoProgram {
        /// The service.
        service: String,
        /// The program.
        program: String,
    },
}

/// A mark that cannot be rendered.
#[derive(Debug, Error)]
pub enum MarkMistake {
    /// Not a mark.
    #[error("`{file}`")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it, and its line.
        source: MarkError,
    },
    /// It names no setting of the product.
    #[error("`{file}` line {line} takes the setting `{setting}`, which the manifest does not define")]
    UnknownSetting {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The unknown setting.
        setting: String,
        /// A setting with a name like it.
        closest: Option<String>,
    },
    /// A secret could break out of its place.
    #[error("`{file}` line {line} takes the secret `{setting}` without saying how the file quotes it")]
    NoFilter {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The setting.
        setting: String,
    },
}

impl BuildError {
    /// Returns the end of a failed program's output, or what a check found.
    pub fn output(&self) -> &[String] {
        match self {
            Self::Step { last, .. } | Self::NotLocked { last, .. } | Self::BuildStep { last, .. } => last,
            Self::Audit { lines, .. } => lines,
            _ => &[],
        }
    }
}

/// Returns as much of a digest as engines show.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// Returns these on lines of their own.
pub(crate) fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n{line}")).collect()
}

/// Says of which stages something is said.
fn made(layers: &[String]) -> String {
    let plural = if layers.len() == 1 { "layer" } else { "layers" };
    format!("{plural} `{}`", layers.join("`, `"))
}
