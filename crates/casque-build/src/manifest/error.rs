//! What can be wrong with a manifest.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

impl Place {
    /// Returns the place of the byte `offset` of `text`.
    pub fn of(path: &Path, text: &str, offset: usize) -> Self {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Self { path: path.to_owned(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// What can be wrong with a manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file could not be read; `fs_err` puts its path in the message.
    #[error(transparent)]
    Read(io::Error),
    /// Not TOML, a key we do not know, or a value of the wrong type. The source shows the line.
    #[error("cannot read manifest `{place}`")]
    Syntax {
        /// Where.
        place: Place,
        /// The known key nearest to an unknown one.
        closest: Option<String>,
        /// What the parser said.
        source: Box<toml::de::Error>,
    },
    /// A service waits for another that is not in the manifest.
    #[error("{place}: service `{service}` needs `{needed}`, which this manifest does not define")]
    UnknownService {
        /// Where.
        place: Place,
        /// Who waits.
        service: String,
        /// For what.
        needed: String,
        /// A service with a name like it.
        closest: Option<String>,
    },
    /// Services wait for each other in a circle.
    #[error("{place}: services wait for each other: {}", chain(cycle))]
    Cycle {
        /// Where one of them waits.
        place: Place,
        /// The circle, the first again at its end.
        cycle: Vec<String>,
    },
    /// A key names a setting that is not in the manifest.
    #[error("{place}: `{key}` names the setting `{setting}`, which this manifest does not define")]
    UnknownSetting {
        /// Where.
        place: Place,
        /// Such as `service.mongodb.unless`.
        key: String,
        /// The unknown setting.
        setting: String,
        /// A setting with a name like it.
        closest: Option<String>,
    },
    /// A file that the manifest names is not there.
    #[error("{place}: there is no `{}`", path.display())]
    Missing {
        /// Where it is named.
        place: Place,
        /// The missing file.
        path: PathBuf,
    },
    /// The stops that follow each other take longer than the whole stop may.
    #[error(
        "{place}: stopping {} in turn may take {} ms, of the whole stop's {budget} ms they have all but 500",
        chain(services),
        needed
    )]
    StopBudget {
        /// Where the first of them sets its timeout.
        place: Place,
        /// The longest chain, first stopped first.
        services: Vec<String>,
        /// Milliseconds that chain takes.
        needed: u64,
        /// Milliseconds there are.
        budget: u64,
    },
    /// A table that lacks something, of which there is a choice.
    #[error("{place}: `{key}` is {lacks}, expected {expected}")]
    Lacking {
        /// Where.
        place: Place,
        /// Such as `base`.
        key: String,
        /// What it is without.
        lacks: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// A value that its key cannot have.
    #[error("{place}: `{key}` is `{value}`, expected {expected}")]
    Value {
        /// Where.
        place: Place,
        /// Such as `image.name`.
        key: String,
        /// What was given.
        value: String,
        /// What would do.
        expected: String,
    },
}

impl ManifestError {
    /// Says what the vendor can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { closest: Some(name), .. }
            | Self::UnknownService { closest: Some(name), .. }
            | Self::UnknownSetting { closest: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::Cycle { .. } => Some("remove one of these from `after` or `requires`".to_owned()),
            Self::Read(error) if error.kind() == io::ErrorKind::NotFound => {
                Some("name a directory that has a `casque.toml`, or such a file".to_owned())
            }
            Self::Missing { .. } => Some("paths start from the manifest's directory".to_owned()),
            Self::StopBudget { .. } => {
                Some("lower `stop = { timeout }` of these, or raise `[image] stop-timeout`".to_owned())
            }
            _ => None,
        }
    }
}

fn chain(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" -> ")
}
