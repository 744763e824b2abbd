//! What a build shows the depot. It is in no message and in no file that casque writes.

use std::fmt;

/// A token of `casque-depot token add`.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Takes the first line of a text.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let line = text.lines().next().unwrap_or_default().trim();
        (!line.is_empty()).then(|| Self(line.to_owned()))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}
