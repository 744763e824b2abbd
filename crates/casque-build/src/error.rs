//! What can go wrong in a build.

use std::io;
use std::path::PathBuf;

use casque_debian::{
    ArchiveError, ArchiveReason, Change, ControlError, DebError, KeyringError, ReleaseError, ResolveError,
    UnpackError, VerifyError,
};
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

pub use base::BaseError;

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
    /// Says what the vendor can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(error) => error.hint(),
            Self::Lock(
                LockError::Stale { .. }
                | LockError::BaseChanged { .. }
                | LockError::Missing { .. }
                | LockError::NotRecorded { .. },
            ) => Some("run `casque lock`".to_owned()),
            Self::NotLocked { .. } => {
                Some("run `casque lock`: it runs the step again and adds what is new".to_owned())
            }
            Self::Lock(LockError::Version { .. }) => {
                Some("update casque, or lock again with `casque lock --update`".to_owned())
            }
            Self::Superseded { .. } => {
                Some("run `casque lock --update` to pin what the archive has now".to_owned())
            }
            Self::Service(
                ServiceError::UnknownUser { closest: Some(name), .. }
                | ServiceError::UnknownOwner { closest: Some(name), .. },
            )
            | Self::Mark(MarkMistake::UnknownSetting { closest: Some(name), .. }) => {
                Some(format!("did you mean `{name}`?"))
            }
            Self::Service(ServiceError::UnknownUser { .. } | ServiceError::UnknownOwner { .. }) => {
                Some("users that no package and no script makes go into `[users.NAME]`".to_owned())
            }
            Self::Service(ServiceError::Unit { source, .. }) => source.hint(),
            Self::Mark(MarkMistake::NoFilter { setting, .. }) => {
                Some(format!("add the file's quoting, such as `@casque{{{setting}|json}}`"))
            }
            Self::Secret(error) => Some(error.hint()),
            Self::NotReproducible { .. } => Some(
                "what a step writes must not depend on the machine, the time or chance; a value that every customer needs another of is a setting"
                    .to_owned(),
            ),
            Self::Sandbox(error) => error.hint(),
            Self::Python(error) => error.hint(),
            Self::NoPip { .. } => Some("add `python3-venv` to `packages`, or leave out `pip`".to_owned()),
            Self::BuildStep { .. } => {
                Some("what it misses may be a Debian package: name it in `build-packages`, such as `gcc` and `python3-dev`".to_owned())
            }
            Self::BuildRequires { asked, .. } => {
                Some(format!("add `build-requires = {asked:?}` beside `requirements`"))
            }
            Self::MissingLibrary { package: Some(package), .. } => {
                Some(format!("add `{package}` to `packages` of this layer or one below"))
            }
            Self::NoPython { .. } => {
                Some("add `python3` (or `python3-venv`, for scripts that call pip) to `packages`".to_owned())
            }
            Self::Base(error) => error.hint(),
            Self::Resolve { base: Some(from), source, .. } if is_change(source) => Some(format!(
                "the packages of `{from}` stay as they are: bring them up to date where it is made, or ask for an \
                 older version that fits them, `NAME=VERSION`"
            )),
            Self::Resolve { source, .. } => hint_of_resolve(source),
            Self::Package { .. } | Self::Mislabelled { .. } => Some("leave it out, or tell who runs the archive".to_owned()),
            Self::Archive(error) => match &error.reason {
                ArchiveReason::Release(error) => hint_of_release(error),
                ArchiveReason::Fetch(FetchError::NotFound { .. }) => {
                    Some("check the address and the suite of the archive".to_owned())
                }
                ArchiveReason::Fetch(error) => hint_of_fetch(error),
                _ => None,
            },
            Self::Fetch(error) => hint_of_fetch(error),
            Self::Keyring(_) => {
                Some("install `debian-archive-keyring` or `ubuntu-archive-keyring`, or say `[base] signed-by = \"FILE\"`".to_owned())
            }
            Self::CachePruned { .. } => Some("build again".to_owned()),
            Self::TooManyLayers { .. } => {
                Some("join `[[layer]]` tables: one may have packages, Python, copies and a step".to_owned())
            }
            Self::Older { .. } => {
                Some("name the archive, or the directory in OCI layout, that was loaded before".to_owned())
            }
            Self::Output(error) => hint_of_output(error).map(str::to_owned),
            Self::CommandTaken { .. } => Some("give `[image] command` another name".to_owned()),
            _ => None,
        }
    }

    /// Returns the end of a failed program's output, or what a check found.
    pub fn output(&self) -> &[String] {
        match self {
            Self::Step { last, .. } | Self::NotLocked { last, .. } | Self::BuildStep { last, .. } => last,
            Self::Audit { lines, .. } => lines,
            _ => &[],
        }
    }

    /// Returns what kind of error it is, for the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Manifest(_) | Self::Lock(_) | Self::Service(_) | Self::Mark(_) | Self::Source(_) => {
                ErrorClass::Manifest
            }
            Self::Name(_)
            | Self::CommandTaken { .. }
            | Self::TooManyLayers { .. }
            | Self::NoPython { .. }
            | Self::NoPip { .. }
            | Self::BuildRequires { .. }
            | Self::MissingLibrary { .. } => ErrorClass::Manifest,
            Self::Python(error) => class_of_python(error),
            Self::Base(error) => error.class(),
            Self::Older { source, .. } if source.is_damage() => ErrorClass::Trust,
            Self::Older { .. } => ErrorClass::Manifest,
            Self::Output(
                OutputError::NotALayout { .. }
                | OutputError::OtherImage { .. }
                | OutputError::NothingInCommon { .. },
            ) => ErrorClass::Manifest,
            // An archive vouched for the file, and it is no package.
            Self::Package { .. } | Self::Mislabelled { .. } => ErrorClass::Trust,
            Self::Archive(error) => match &error.reason {
                ArchiveReason::Release(_) | ArchiveReason::TooLarge { .. } => ErrorClass::Trust,
                ArchiveReason::Fetch(error) => class_of_fetch(error),
                _ => ErrorClass::Resolve,
            },
            Self::Keyring(_) => ErrorClass::Trust,
            Self::Resolve { .. } => ErrorClass::Resolve,
            Self::Fetch(error) => class_of_fetch(error),
            Self::Superseded { .. } => ErrorClass::Network,
            Self::Step { .. }
            | Self::NotLocked { .. }
            | Self::Audit { .. }
            | Self::BuildStep { .. }
            | Self::NoWheel { .. } => ErrorClass::Step,
            Self::Secret(SecretError::Left { .. } | SecretError::Recorded { .. }) => ErrorClass::Step,
            Self::Secret(_) => ErrorClass::Manifest,
            Self::NotReproducible { .. } => ErrorClass::Differs,
            _ => ErrorClass::Unexpected,
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

fn hint_of_output(error: &OutputError) -> Option<&'static str> {
    match error {
        OutputError::NotALayout { .. } | OutputError::OtherImage { .. } => {
            Some("name a new directory, or remove this one")
        }
        OutputError::NothingInCommon { .. } => {
            Some("the lowest layers differ, so it would save nothing: leave out `--thin-against`")
        }
        OutputError::DamagedLayer { .. } => Some("remove that file and build again"),
        _ => None,
    }
}

fn hint_of_resolve(error: &ResolveError) -> Option<String> {
    let hint = match error {
        ResolveError::UnknownPackage { similar, .. } if !similar.is_empty() => {
            return Some(format!("did you mean `{}`?", similar.join("` or `")));
        }
        ResolveError::Unsatisfiable { would_do: Some(version), .. } => {
            return Some(format!("ask for `{version}` as well"));
        }
        ResolveError::UnknownPackage { .. } | ResolveError::Unsatisfiable { .. } => {
            "add the archive that has it with `[[base.archive]]`"
        }
        ResolveError::UnknownVersion { .. } => "name one of these versions, or none",
        ResolveError::UnknownSuite { .. } => "name one of these suites, or none",
        ResolveError::Architecture { .. } => "leave the architecture out",
        ResolveError::Removal { name } => {
            return Some(format!("remove `{name}` from the list that brings it, or in a `run`"));
        }
        ResolveError::Virtual { .. } => "name one of these instead",
        ResolveError::Conflict { .. } => "ask for one of them only",
        ResolveError::Changes { changes } => return Some(hint_of_changes(changes)),
        ResolveError::Control(_) => return None,
    };
    Some(hint.to_owned())
}

fn is_change(error: &ResolveError) -> bool {
    matches!(error, ResolveError::Changes { .. })
}

fn hint_of_changes(changes: &[Change]) -> String {
    let wanted: Vec<_> = changes
        .iter()
        .filter_map(|change| Some(format!("`{}={}`", change.name, change.wanted.as_ref()?)))
        .collect();
    if wanted.len() == changes.len() {
        format!("ask for {} where the lower layer asks for its packages", wanted.join(", "))
    } else {
        "ask for all of it in one layer, or leave one of them out".to_owned()
    }
}

fn hint_of_release(error: &ReleaseError) -> Option<String> {
    let hint = match error {
        ReleaseError::Verify(VerifyError::UnknownKey { .. }) => {
            "take this archive's key from whom you trust, and name its file with `signed-by`"
        }
        ReleaseError::Verify(_) => "another mirror may have it whole: set `CASQUE_MIRROR`",
        ReleaseError::Expired { .. } => {
            "the mirror is out of date, or this machine's clock is wrong; another mirror: set `CASQUE_MIRROR`"
        }
        ReleaseError::Future { .. } => "set this machine's clock",
        ReleaseError::Older { .. } => {
            "another mirror may be up to date: set `CASQUE_MIRROR`; if it is meant, say `--allow-older`"
        }
        ReleaseError::Suite { .. } => "name the suite as the archive does, or use another mirror",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_of_fetch(error: &FetchError) -> Option<String> {
    let hint = match error.root() {
        FetchError::Connect { .. } => {
            "check the network; a proxy is taken from `https_proxy`, a Debian mirror from `CASQUE_MIRROR`"
        }
        FetchError::ProxyRefused { .. } => {
            "a proxy that wants a login takes it from `http://USER:PASSWORD@HOST:PORT` in `https_proxy`"
        }
        FetchError::Status { status: 401 | 403, .. } => {
            "a login is taken from the file that `CASQUE_AUTH` names, or from `CASQUE_MIRROR`"
        }
        FetchError::Offline { .. } => {
            "where there is a network, `casque fetch --into DIR`; then name that directory with `--store`"
        }
        FetchError::NotAStore { .. } => "name a directory that `casque fetch --into` filled",
        FetchError::Status { .. } | FetchError::Truncated { .. } => "try again later",
        FetchError::TooLarge { .. } | FetchError::HashMismatch { .. } | FetchError::SizeMismatch { .. } => {
            "something between the archive and here changed the file; try again, or set another `CASQUE_MIRROR`"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn class_of_fetch(error: &FetchError) -> ErrorClass {
    match error.root() {
        FetchError::TooLarge { .. }
        | FetchError::HashMismatch { .. }
        | FetchError::SizeMismatch { .. }
        | FetchError::Downgrade { .. } => ErrorClass::Trust,
        FetchError::NotAStore { .. } => ErrorClass::Manifest,
        FetchError::Disk(_) => ErrorClass::Unexpected,
        _ => ErrorClass::Network,
    }
}

fn class_of_python(error: &PythonError) -> ErrorClass {
    match error {
        PythonError::Index { source, .. } => class_of_fetch(source),
        PythonError::Page { .. } => ErrorClass::Network,
        PythonError::Download(source) => class_of_fetch(source),
        PythonError::LocalHash { .. } => ErrorClass::Trust,
        PythonError::NoProject { .. }
        | PythonError::NoVersion { .. }
        | PythonError::NoFile { .. }
        | PythonError::NoFit { .. }
        | PythonError::BuildRequirement { .. }
        | PythonError::Unfit { .. }
        | PythonError::Missing { .. } => ErrorClass::Resolve,
        PythonError::Requirement { .. }
        | PythonError::Twice { .. }
        | PythonError::Constraint { .. }
        | PythonError::Install { .. }
        | PythonError::LocalWheel { .. }
        | PythonError::NoProjectFile { .. }
        | PythonError::ProjectFile { .. }
        | PythonError::Marker { .. } => ErrorClass::Manifest,
        _ => ErrorClass::Unexpected,
    }
}

/// What kind of error it is. A full disk is seen in the chain of causes, whatever was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The manifest or the vendor's files are wrong.
    Manifest,
    /// A signature, a hash or an expiry date is wrong.
    Trust,
    /// The network, or who answers there.
    Network,
    /// Packages that do not go together or do not exist.
    Resolve,
    /// A program in the sandbox failed, or left what must not ship.
    Step,
    /// What was made twice differs.
    Differs,
    /// None of these.
    Unexpected,
}
