//! What can be wrong with a setting; each is one line, and none shows a secret.

use std::io;

use thiserror::Error;

use super::Origin;

/// One thing the customer has to change.
#[derive(Debug, Error)]
pub enum Problem {
    /// A value of another type.
    #[error("setting `{setting}`: given {given}, expected {expected} (from {origin})")]
    Wrong {
        /// Which.
        setting: String,
        /// As shown: in backticks, or that it is a secret.
        given: String,
        /// What the type wants.
        expected: String,
        /// Where the value was given.
        origin: Origin,
    },
    /// Bytes that are not UTF-8.
    #[error("setting `{setting}`: given bytes that are not UTF-8, expected {expected} (from {origin})")]
    NotText {
        /// Which.
        setting: String,
        /// What the type wants.
        expected: String,
        /// Where the value was given.
        origin: Origin,
    },
    /// The variable and the variable with `_FILE`.
    #[error("setting `{setting}`: both `{variable}` and `{variable}_FILE` are given, expected one of them")]
    Twice {
        /// Which.
        setting: String,
        /// Its environment variable.
        variable: String,
    },
    /// The file named by the environment cannot be read; the source names it.
    #[error("setting `{setting}`: the file named by `{variable}` cannot be read: {source}")]
    ValueFile {
        /// Which.
        setting: String,
        /// The environment variable.
        variable: String,
        /// Why, with the path.
        source: io::Error,
    },
    /// A setting without which nothing starts.
    #[error(
        "setting `{setting}`: not given, expected {expected}{since} (from environment variable `{variable}`, `{variable}_FILE` or the settings file)"
    )]
    Missing {
        /// Which.
        setting: String,
        /// What the type wants.
        expected: String,
        /// What other setting makes it necessary, if any.
        since: String,
        /// Its environment variable.
        variable: String,
    },
    /// Given under its name and an old one.
    #[error(
        "setting `{setting}`: both `{first}` and its old name `{second}` are given in {place}, expected `{first}` alone"
    )]
    BothNames {
        /// Which.
        setting: String,
        /// The newer name.
        first: String,
        /// The older one.
        second: String,
        /// Where both are.
        place: String,
    },
    /// The stored secret of a setting cannot be used.
    #[error("setting `{setting}`: its generated secret cannot be read: {source}")]
    Stored {
        /// Which.
        setting: String,
        /// Why, with the path.
        source: io::Error,
    },
    /// A key of the settings file that no setting has.
    #[error("setting `{key}`: unknown to this product{} (from {origin})", suggestion(.closest.as_deref()))]
    Unknown {
        /// The key.
        key: String,
        /// The name that was most likely meant.
        closest: Option<String>,
        /// The settings file.
        origin: Origin,
    },
    /// The settings file is not TOML.
    #[error("cannot read settings file `{path}`: line {line}: {message}")]
    Syntax {
        /// Which file.
        path: String,
        /// Where.
        line: usize,
        /// The parser's words, which show no value.
        message: String,
    },
    /// The settings file cannot be read.
    #[error("cannot read the settings file: {0}")]
    Read(io::Error),
}

fn suggestion(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}
