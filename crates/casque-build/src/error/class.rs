//! What kind of error ended a build, for the exit code.

use casque_debian::ArchiveReason;
use casque_fetch::FetchError;
use casque_image::archive::ArchiveError as OutputError;
use casque_python::PythonError;

use super::BuildError;
use crate::secrets::SecretError;

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

impl BuildError {
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
