//! The fields of `METADATA` and `WHEEL`: a header in the form of mail.

use crate::requirements::normalised;
use crate::{Marker, Target};

/// Returns the values of a field, in their order. What follows the first empty line is text for people.
pub(crate) fn values<'a>(document: &'a str, field: &str) -> Vec<&'a str> {
    let header = document.lines().take_while(|line| !line.trim().is_empty());
    header
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case(field))
        .map(|(_, value)| value.trim())
        .collect()
}

/// Returns what a distribution needs on `target`, by normalised name.
///
/// A need that cannot be judged is left out: old distributions declare many strange things, and the pins came from
/// somebody who did judge them.
pub(crate) fn needs(metadata: &str, target: Target) -> Vec<String> {
    values(metadata, "Requires-Dist")
        .into_iter()
        .filter_map(|needed| {
            let (specification, marker) = match needed.split_once(';') {
                Some((specification, marker)) => (specification, Some(marker)),
                None => (needed, None),
            };
            let holds = marker.is_none_or(|marker| {
                Marker::parse(marker).and_then(|marker| marker.holds(target)).unwrap_or(false)
            });
            let is_name = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
            let specification = specification.trim();
            let end = specification.find(|symbol| !is_name(symbol)).unwrap_or(specification.len());
            (holds && end > 0).then(|| normalised(&specification[..end]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PythonVersion;

    #[test]
    fn needs_are_read_from_the_header() {
        let metadata = "Metadata-Version: 2.1\nName: celery\nRequires-Dist: Kombu[redis] <6,>=5\n\
            Requires-Dist: vine>=5 ; python_version >= '3.8'\nRequires-Dist: pymongo ; extra == 'mongodb'\n\
            Requires-Dist: strange ; platform_release > '5'\n\nRequires-Dist: text\n";
        let python = PythonVersion { major: 3, minor: 11, patch: 2 };
        assert_eq!(needs(metadata, Target { python, glibc_minor: 36 }), ["kombu", "vine"]);
        assert_eq!(values(metadata, "name"), ["celery"]);
    }
}
