//! The fields of `METADATA` and `WHEEL`: a header in the form of mail.

use std::collections::BTreeSet;

use crate::specification::Named;
use crate::{Marker, Target};

/// Another distribution that one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// Normalised.
    pub(crate) name: String,
    pub(crate) extras: BTreeSet<String>,
    /// Which versions, such as `>=5,<6`; empty for any.
    pub(crate) versions: String,
    /// As it is written, without its marker.
    pub(crate) text: String,
}

impl Need {
    /// Reads a requirement such as `kombu[redis] (>=5) ; python_version < "4"`; nothing when `extras` on `target` do not
    /// have it.
    ///
    /// A need that cannot be judged is left out: old distributions declare many strange things, and the pins came from
    /// somebody who did judge them.
    pub(crate) fn parse(needed: &str, target: Target, extras: &BTreeSet<String>) -> Option<Self> {
        let (text, marker) = match needed.split_once(';') {
            Some((text, marker)) => (text.trim(), Some(marker)),
            None => (needed.trim(), None),
        };
        let holds = marker.is_none_or(|marker| {
            Marker::parse(marker).and_then(|marker| marker.holds_for(target, extras)).unwrap_or(false)
        });
        let named = Named::parse(text).filter(|_| holds)?;
        let versions = named.rest.split('@').next().unwrap_or_default().trim().to_owned();
        Some(Self { name: named.name, extras: named.extras, versions, text: text.to_owned() })
    }
}

/// Returns the values of a field, in their order. What follows the first empty line is text for people.
pub(crate) fn values<'a>(document: &'a str, field: &str) -> Vec<&'a str> {
    let header = document.lines().take_while(|line| !line.trim().is_empty());
    header
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case(field))
        .map(|(_, value)| value.trim())
        .collect()
}

/// Returns what a distribution asked for with `extras` needs on `target`.
pub(crate) fn needs(metadata: &str, target: Target, extras: &BTreeSet<String>) -> Vec<Need> {
    let needed = values(metadata, "Requires-Dist").into_iter();
    needed.filter_map(|needed| Need::parse(needed, target, extras)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PythonVersion;

    #[test]
    fn needs_are_read_from_the_header() {
        let metadata = "Metadata-Version: 2.1\nName: celery\nRequires-Dist: Kombu[redis] <6,>=5\n\
            Requires-Dist: vine (>=5) ; python_version >= '3.8'\nRequires-Dist: pymongo ; extra == 'mongodb'\n\
            Requires-Dist: strange ; platform_release > '5'\n\nRequires-Dist: text\n";
        let python = PythonVersion { major: 3, minor: 11, patch: 2 };
        let target = Target { python, glibc_minor: 36 };
        let texts = |extras: &[&str]| -> Vec<String> {
            let extras = extras.iter().map(|extra| (*extra).to_owned()).collect();
            needs(metadata, target, &extras).into_iter().map(|need| need.text).collect()
        };
        assert_eq!(texts(&[]), ["Kombu[redis] <6,>=5", "vine (>=5)"]);
        assert_eq!(texts(&["mongodb"]), ["Kombu[redis] <6,>=5", "vine (>=5)", "pymongo"]);
        let kombu = needs(metadata, target, &BTreeSet::new()).remove(0);
        assert_eq!((kombu.name.as_str(), kombu.versions.as_str()), ("kombu", "<6,>=5"));
        assert!(kombu.extras.contains("redis"));
        assert_eq!(values(metadata, "name"), ["celery"]);
    }
}
