//! Names of containers, which are names of directories too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Name(String);

/// A text that names no container.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a name begins with a letter or digit; letters, digits, `_`, `.` and `-` follow, 63 at most")]
pub(crate) struct NotAName;

impl Name {
    /// Returns the name of a container of `image` that was given none: the image's own, without
    /// where it comes from and which version it is.
    pub(crate) fn of_image(image: &str) -> Self {
        let last = image.rsplit('/').next().unwrap_or(image);
        let last = last.split([':', '@']).next().unwrap_or(last);
        last.parse().unwrap_or_else(|NotAName| Self("container".to_owned()))
    }

    /// Returns a name that no other process gives.
    pub(crate) fn with_number(&self, number: u32) -> Self {
        let mut base = self.0.clone();
        base.truncate(50);
        Self(format!("{base}-{number}"))
    }

    /// Returns it as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let known = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if begins_well && text.len() <= 63 && text.chars().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAName)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_state_directory() {
        for text in ["", ".", "..", "a/b", "-x", "a b", "ä"] {
            assert_eq!(text.parse::<Name>(), Err(NotAName), "{text}");
        }
        assert_eq!("a-1_b.c".parse::<Name>().unwrap().as_str(), "a-1_b.c");
    }

    #[test]
    fn a_container_without_a_name_is_called_like_its_image() {
        assert_eq!(Name::of_image("vendor/backend:v43.4.4").as_str(), "backend");
        assert_eq!(Name::of_image("localhost:5000/x/y@sha256:00").as_str(), "y");
        assert_eq!(Name::of_image("").as_str(), "container");
    }
}
