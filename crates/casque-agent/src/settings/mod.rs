//! The product's settings: where each value comes from, and whether it is one.

pub mod file;
pub mod hidden;
pub mod problem;
pub mod resolve;
pub mod secrets;

pub use problem::Problem;
pub use resolve::{Origin, Resolved, Settings, Sources, Value, shown, warnings};

use std::fmt;

/// A setting's value. `Debug` does not show it, for any value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Takes a checked value.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Text(not shown)")
    }
}

/// Returns the name that was most likely meant.
pub fn closest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(1);
    names
        .map(|name| (strsim::osa_distance(given, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}
