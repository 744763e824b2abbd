//! What an image says about itself: its configuration and its names.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// What an engine does with the image when its user says nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// CPU architecture in OCI's words, such as `amd64`.
    pub architecture: String,
    /// When the image was made, in seconds: the build's epoch.
    pub created: u64,
    /// The program that is always run.
    pub entrypoint: Vec<String>,
    /// Arguments that the user may replace.
    pub command: Vec<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// TCP ports.
    pub ports: Vec<u16>,
    /// Directories that survive the container.
    pub volumes: Vec<String>,
    /// Who runs the program; none means root.
    pub user: Option<String>,
    /// Where it runs; none means `/`.
    pub working_directory: Option<String>,
    /// Facts for other programs.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks for an ordered stop, such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// How an engine asks whether the container is well.
    pub healthcheck: Option<Healthcheck>,
}

/// How an engine asks whether a container is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// Argument vector, run inside; exit 0 means well.
    pub command: Vec<String>,
    /// Time between questions.
    pub interval: Duration,
    /// Time for an answer.
    pub timeout: Duration,
    /// Time at the start in which a bad answer does not count.
    pub start_period: Duration,
    /// So many bad answers in a row mean unwell.
    pub retries: u32,
}

/// The name of an image with its tag, such as `vendor/backend:v1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    domain: String,
    path: String,
    tag: String,
}

/// A text that does not name an image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` does not name an image: {rule}")]
pub struct NotAnImageName {
    /// What was given.
    pub text: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl ImageName {
    /// Returns the form engines show: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let (path, tag) = (&self.path, &self.tag);
        match (self.domain.as_str(), path.strip_prefix("library/")) {
            ("docker.io", Some(name)) => format!("{name}:{tag}"),
            ("docker.io", None) => format!("{path}:{tag}"),
            (domain, _) => format!("{domain}/{path}:{tag}"),
        }
    }

    /// Returns the form that leaves nothing to a default, such as `docker.io/vendor/backend:v1`.
    pub fn full(&self) -> String {
        format!("{}/{}:{}", self.domain, self.path, self.tag)
    }

    /// Says whether both name the same repository.
    pub fn is_version_of(&self, other: &Self) -> bool {
        self.domain == other.domain && self.path == other.path
    }

    /// Returns the tag alone.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.familiar())
    }
}

impl FromStr for ImageName {
    type Err = NotAnImageName;

    fn from_str(text: &str) -> Result<Self, NotAnImageName> {
        let refuse = |rule| NotAnImageName { text: text.to_owned(), rule };
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (text, "latest"),
        };
        let (domain, path) = match name.split_once('/') {
            Some((domain, path)) if domain.contains(['.', ':']) || domain == "localhost" => {
                (domain, path.to_owned())
            }
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        if !domain.split(':').next().is_some_and(is_host) {
            return Err(refuse("what comes before the first `/` is no host name"));
        }
        if !path.split('/').all(is_component) {
            return Err(refuse(
                "its parts are lower-case letters and digits, with `.`, `_`, `__` or `-` between them",
            ));
        }
        if domain.len() + path.len() >= 255 {
            return Err(refuse("it is longer than 255 characters"));
        }
        if !is_tag(tag) {
            return Err(refuse(
                "a tag is at most 128 letters, digits, `_`, `.` and `-`, and begins with no `.` or `-`",
            ));
        }
        Ok(Self { domain: domain.to_owned(), path, tag: tag.to_owned() })
    }
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    text.split('.').all(is_label)
}

fn is_component(text: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_separator =
        |run: &str| matches!(run, "." | "_" | "__") || (!run.is_empty() && run.bytes().all(|b| b == b'-'));
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| is_alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| is_alphanumeric(*byte))
        && text
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .filter(|run| !run.is_empty())
            .all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests;
