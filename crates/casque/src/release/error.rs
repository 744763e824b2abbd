//! Why a release could not be made.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use casque_fetch::FetchError;
use casque_format::release::{NotAName, Refused};
use casque_image::read::ReadError;
use casque_sign::SignError;
use thiserror::Error;

use crate::error::{ExitCode, Failure};
use crate::seal::SealError;

/// Why a release could not be made.
#[derive(Debug, Error)]
pub(crate) enum ReleaseError {
    /// The configuration could not be read; the path is in the message.
    #[error(transparent)]
    Config(io::Error),
    /// It is not TOML, or has a key that nobody knows.
    #[error("cannot read `{}`", path.display())]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    /// It says what cannot be.
    #[error("`{}` line {line}: {problem}", path.display())]
    Wrong { path: PathBuf, line: usize, problem: String },
    /// Several projects, and none was named.
    #[error("there are several projects: {}", names.join(", "))]
    WhichProject { names: Vec<String> },
    /// Another name than that of a project.
    #[error("there is no project `{name}`, only {}", names.join(", "))]
    NoProject { name: String, names: Vec<String> },
    /// The tag cannot be the name of a release.
    #[error(transparent)]
    Name(NotAName),
    /// The repository has no such tag, or no pattern takes it.
    #[error("`{git}` has no tag `{tag}` that goes into a channel, whose patterns are {}", patterns.join(", "))]
    NoTag { git: String, tag: String, patterns: Vec<String> },
    /// The tag names another commit than when it was released.
    #[error("tag `{tag}` is at {now}, and release `{tag}` was made from {before}")]
    Moved { tag: String, now: String, before: String },
    /// No token to upload with.
    #[error("no token for `{address}`")]
    NoToken { address: String },
    /// The state could not be read or written; the path is in the message.
    #[error("cannot keep the state of a release")]
    State(#[source] io::Error),
    /// What was kept cannot be read.
    #[error("`{}` is not what a release keeps", path.display())]
    NotState { path: PathBuf, source: serde_json::Error },
    /// A program could not be started.
    #[error("cannot run `{command}`")]
    Start { command: String, source: io::Error },
    /// A program failed.
    #[error("`{command}` ended with {how}")]
    Command { command: String, how: String, output: Vec<String> },
    /// A program took too long, and was ended with all that it had started.
    #[error("`{command}` took longer than {} seconds", limit.as_secs())]
    Timeout { command: String, limit: Duration, output: Vec<String> },
    /// The commands did not leave a file where it was to be.
    #[error("the commands left no file `{path}`")]
    NoFile { path: String },
    /// A file is none, or leads out of the checkout.
    #[error("`{path}` is {what}")]
    OddFile { path: String, what: &'static str },
    /// The image is of another version.
    #[error("`{path}` holds the image {}, and the tag is `{tag}`", names.join(", "))]
    OtherVersion { path: String, names: Vec<String>, tag: String },
    /// What is said to be an image is none.
    #[error("cannot read the image `{path}`")]
    Image { path: String, source: ReadError },
    /// An image archive cannot be signed inside.
    #[error("cannot sign the image `{name}` inside")]
    Seal { name: String, source: SealError },
    /// The key or a signature.
    #[error("cannot sign")]
    Sign(#[source] SignError),
    /// The depot, or the way to it.
    #[error("the depot does not do its part")]
    Depot(#[source] FetchError),
    /// The depot says something that makes no sense.
    #[error("the depot answered what cannot be read")]
    Answer(#[source] serde_json::Error),
    /// The depot has a record that cannot be read.
    #[error("the depot has a release `{tag}` that cannot be read")]
    Record { tag: String, source: Refused },
    /// Others publish all the time.
    #[error("another release took the counter each time")]
    Overtaken,
}

impl ReleaseError {
    /// Makes words of it.
    pub(crate) fn failure(&self, what: impl Into<String>) -> Failure {
        let (code, hint) = match self {
            Self::Seal { name, source } => {
                let what = format!("{}: cannot sign the image `{name}` inside", what.into());
                return crate::commands::sign::unsealed(&what, source);
            }
            Self::Sign(error) => return crate::commands::keygen::failed(&what.into(), error),
            Self::Config(_) => (ExitCode::Manifest, Some("name it with `--config`; docs/release.md has an example".to_owned())),
            Self::Syntax { .. } | Self::Wrong { .. } | Self::NoProject { .. } | Self::Name(_) => (ExitCode::Manifest, None),
            Self::WhichProject { .. } => (ExitCode::Manifest, Some("name one with `--project`".to_owned())),
            Self::NoTag { .. } => (ExitCode::Manifest, Some("push the tag, or add a `[[project.channel]]` for it".to_owned())),
            Self::Moved { .. } => (ExitCode::Trust, Some("a release stays what it is: make a new tag".to_owned())),
            Self::NoToken { .. } => (
                ExitCode::Manifest,
                Some("`casque-depot token add NAME PRODUCT` prints one, for `CASQUE_RELEASE_TOKEN` or `token-file`".to_owned()),
            ),
            Self::Start { .. } | Self::Command { .. } | Self::Timeout { .. } => (ExitCode::Step, None),
            Self::NoFile { .. } | Self::OddFile { .. } => {
                (ExitCode::Manifest, Some("`path` of `[[project.file]]` starts from the project's directory".to_owned()))
            }
            Self::OtherVersion { .. } => {
                (ExitCode::Manifest, Some("set the project's version to that of the tag before tagging".to_owned()))
            }
            Self::Depot(FetchError::Refused { status: 401 | 403, .. }) => {
                (ExitCode::Network, Some("a token is for one product; `casque-depot token` lists them".to_owned()))
            }
            Self::Depot(FetchError::Refused { status: 422, .. }) => (ExitCode::Trust, None),
            Self::Depot(_) | Self::Answer(_) => (ExitCode::Network, Some("run it again: it goes on where it was".to_owned())),
            Self::Record { .. } | Self::Image { .. } => (ExitCode::Trust, None),
            Self::State(_) | Self::NotState { .. } | Self::Overtaken => (ExitCode::Unexpected, None),
        };
        let mut failure = Failure::new(what, self).judged(code, hint);
        if let Self::Command { output, .. } | Self::Timeout { output, .. } = self {
            failure.show(output.clone());
        }
        failure
    }
}
