//! What can go wrong, turned into words where it is printed.

use std::io;

use casque_units::UnitError;
use thiserror::Error;

/// A reason not to do what was asked.
#[derive(Debug, Error)]
pub(crate) enum ShimError {
    /// The words after the command's name make no sense.
    #[error("{0}")]
    Usage(String),
    /// No unit file and no init script of that name.
    #[error("unit `{0}` does not exist")]
    NoUnit(String),
    /// The unit is a link to `/dev/null`.
    #[error("unit `{0}` is masked")]
    Masked(String),
    /// Its text cannot be used.
    #[error(transparent)]
    Unit(UnitError),
    /// A file of it cannot be read or written; the message has its path.
    #[error(transparent)]
    File(io::Error),
    /// A program that was to run did not end well.
    #[error("`{program}` {outcome}")]
    Program {
        /// Its name.
        program: String,
        /// How it ended.
        outcome: String,
    },
    /// The step's first process cannot be reached.
    #[error("cannot reach the step's service manager at `{socket}`")]
    NoManager {
        /// Where it should be.
        socket: String,
        /// Why not.
        source: io::Error,
    },
    /// The step's first process answered something else than was asked.
    #[error("the step's service manager gave an answer that does not fit the question")]
    Answer,
    /// The system refused what the step's first process needs.
    #[error("cannot {action}")]
    System {
        /// What was being done.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl ShimError {
    /// Returns the message with its causes behind it, on one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            line.push_str(&format!(": {next}"));
            cause = next.source();
        }
        line
    }
}
