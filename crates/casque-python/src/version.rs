//! Versions as Python's packages have them (PEP 440), and what is asked of them.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier, VersionSpecifiers};

use crate::MarkerError;

/// Tells whether `version` satisfies one comparison such as `>=` and `3.9`.
pub(crate) fn satisfies(version: &Version, operator: &str, wanted: &str) -> Result<bool, MarkerError> {
    let specifier = VersionSpecifier::from_str(&format!("{operator}{wanted}"));
    let specifier = specifier.map_err(|_| MarkerError::Version { text: wanted.to_owned() })?;
    Ok(specifier.contains(version))
}

/// Tells whether `version` satisfies every part of a list such as `>=3.9,<4`.
///
/// A part that cannot be understood is taken as satisfied, as installers do with what old projects declared.
pub(crate) fn satisfies_all(version: &Version, list: &str) -> bool {
    parts(list).all(|part| part.contains(version))
}

/// Tells whether a list such as `>=2.0b1` names a pre-release, and so asks for one.
pub(crate) fn asks_for_previews(list: &str) -> bool {
    parts(list).any(|part| part.version().any_prerelease())
}

fn parts(list: &str) -> impl Iterator<Item = VersionSpecifier> {
    let list = list.trim().trim_start_matches('(').trim_end_matches(')');
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(|part| VersionSpecifiers::from_str(part).into_iter().flat_map(|found| found.to_vec()))
}

/// Tells whether two spellings are the same version.
pub(crate) fn same(one: &str, other: &str) -> bool {
    match (Version::from_str(one), Version::from_str(other)) {
        (Ok(one), Ok(other)) => one == other,
        // Old projects have versions such as `2004d`.
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::from_str(text).unwrap()
    }

    fn holds(one: &str, operator: &str, wanted: &str) -> bool {
        satisfies(&version(one), operator, wanted).unwrap()
    }

    #[test]
    fn versions_compare_by_number_and_not_by_letter() {
        assert!(holds("3.11", ">=", "3.9"));
        assert!(holds("3.11", "<", "3.12"));
        assert!(holds("3.11", "==", "3.11.0"));
        assert!(holds("3.11.2", "==", "3.11.*"));
        assert!(holds("3.11.2", "!=", "3.1.*"));
        assert!(holds("3.11", "~=", "3.8"));
        assert!(!holds("3.11", "~=", "3.8.1"));
        assert!(!holds("4.0", "~=", "3.8"));
        assert!(holds("3.11.2", "<", "3.11.3"));
        assert!(holds("3.11.2", ">", "3.11"));
        assert!(holds("3.11.2", "<", "3.13rc1"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for (operator, wanted) in [(">=", "3.*"), ("~=", "3"), ("==", ""), ("=>", "3.1"), ("<", "three")] {
            assert!(satisfies(&version("3.11"), operator, wanted).is_err(), "{operator} {wanted}");
        }
    }

    #[test]
    fn a_list_holds_when_all_of_it_does() {
        assert!(satisfies_all(&version("3.11.2"), ">=3.9, <4"));
        assert!(satisfies_all(&version("3.11.2"), ">=2.7, !=3.0.*, !=3.1.*"));
        assert!(satisfies_all(&version("3.11.2"), "(>=3.9)"));
        assert!(!satisfies_all(&version("3.11.2"), ">=3.12"));
        assert!(satisfies_all(&version("3.11.2"), ""));
        assert!(satisfies_all(&version("3.11.2"), ">=strange"));
    }

    #[test]
    fn only_who_names_a_preview_asks_for_one() {
        assert!(asks_for_previews(">=2.0b1,<3"));
        assert!(!asks_for_previews(">=2.0,<3"));
    }

    #[test]
    fn spellings_of_a_version_are_one_version() {
        assert!(same("1.0", "1.0.0"));
        assert!(same("2.9.0.post0", "2.9.0.POST0"));
        assert!(same("1.0-post1", "1.0.post1"));
        assert!(same("2024.01.5", "2024.1.5"));
        assert!(same("2004d", "2004d"));
        assert!(!same("1.0", "1.0.1"));
        assert!(!same("1.0", "1.0rc1"));
        assert!(!same("10", "1"));
    }
}
