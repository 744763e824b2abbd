//! What of a unit is not carried over, and how much that matters.

use std::collections::BTreeSet;
use std::fmt;

/// Something that a tool can say and an image of casque cannot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// How much it matters.
    pub weight: Weight,
    /// The directive or option as it was written, or the words that are lost.
    pub subject: String,
    /// What is done instead, or what the vendor can do.
    pub instead: Option<String>,
}

/// How much it matters that something is not carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The service behaves differently.
    Lost,
    /// It restricts the service further than a container does; what it may do in a container, it may do.
    Hardening,
    /// It has no meaning in a container, or something else there does its work.
    Moot,
}

impl Note {
    /// Something that makes the service behave differently.
    pub(crate) fn lost(subject: impl Into<String>, instead: &str) -> Self {
        Self::new(Weight::Lost, subject, Some(instead))
    }

    /// Something that makes the service behave differently, and nothing can be said besides.
    pub(crate) fn simply_lost(subject: impl Into<String>) -> Self {
        Self::new(Weight::Lost, subject, None)
    }

    /// Something that does not matter.
    pub(crate) fn moot(subject: impl Into<String>, instead: &str) -> Self {
        Self::new(Weight::Moot, subject, Some(instead))
    }

    pub(crate) fn hardening(subject: impl Into<String>) -> Self {
        Self::new(Weight::Hardening, subject, None)
    }

    fn new(weight: Weight, subject: impl Into<String>, instead: Option<&str>) -> Self {
        Self { weight, subject: subject.into(), instead: instead.map(str::to_owned) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instead {
            Some(instead) => write!(f, "`{}` ({instead})", self.subject),
            None => write!(f, "`{}`", self.subject),
        }
    }
}

/// Returns one line about everything that matters, none when nothing does.
pub fn summary(notes: &[Note]) -> Option<String> {
    let list = |weight| {
        let mut seen = BTreeSet::new();
        let texts = notes.iter().filter(|note| note.weight == weight).map(ToString::to_string);
        texts.filter(|text| seen.insert(text.clone())).collect::<Vec<_>>().join(", ")
    };
    let parts: Vec<String> =
        [("not carried over: ", Weight::Lost), ("hardening left out: ", Weight::Hardening)]
            .into_iter()
            .map(|(title, weight)| (title, list(weight)))
            .filter(|(_, text)| !text.is_empty())
            .map(|(title, text)| format!("{title}{text}"))
            .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_matters_is_one_line_and_what_does_not_is_silent() {
        let notes = [
            Note::moot("SyslogIdentifier=web", "the log has its own names"),
            Note::hardening("ProtectHome"),
            Note::lost("WatchdogSec=30", "nothing watches it"),
            Note::hardening("PrivateTmp"),
            Note::simply_lost("Nice=5"),
        ];
        assert_eq!(
            summary(&notes).unwrap(),
            "not carried over: `WatchdogSec=30` (nothing watches it), `Nice=5`; hardening left out: `ProtectHome`, `PrivateTmp`"
        );
        assert_eq!(summary(&notes[..1]), None);
    }
}
