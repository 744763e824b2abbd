//! Comparing plain versions: numbers with dots, as Python's own and those its markers name.

use std::cmp::Ordering;

use crate::MarkerError;

/// A plain version; `3`, `3.0` and `3.0.0` are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Plain(Vec<u64>);

impl Plain {
    pub(crate) fn new(numbers: &[u64]) -> Self {
        let kept = numbers.iter().rposition(|number| *number != 0).map_or(0, |last| last + 1);
        Self(numbers[..kept].to_vec())
    }

    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        numbers(text).map(|found| Self::new(&found))
    }

    /// Compares the first `count` numbers alone.
    fn compare_prefix(&self, other: &[u64]) -> Ordering {
        let own = (0..other.len()).map(|index| self.0.get(index).copied().unwrap_or(0));
        own.cmp(other.iter().copied())
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    let digits =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    text.trim().split('.').map(digits).collect()
}

/// Tells whether `version` satisfies one comparison such as `>=` and `3.9`.
pub(crate) fn satisfies(version: &Plain, operator: &str, wanted: &str) -> Result<bool, MarkerError> {
    let refuse = || MarkerError::Version { text: wanted.to_owned() };
    if let Some(prefix) = wanted.strip_suffix(".*") {
        let same = version.compare_prefix(&numbers(prefix).ok_or_else(refuse)?).is_eq();
        return match operator {
            "==" => Ok(same),
            "!=" => Ok(!same),
            _ => Err(refuse()),
        };
    }
    let found = numbers(wanted).ok_or_else(refuse)?;
    let order = version.cmp(&Plain::new(&found));
    match operator {
        "==" | "===" => Ok(order.is_eq()),
        "!=" => Ok(order.is_ne()),
        "<" => Ok(order.is_lt()),
        "<=" => Ok(order.is_le()),
        ">" => Ok(order.is_gt()),
        ">=" => Ok(order.is_ge()),
        "~=" if found.len() > 1 => {
            Ok(order.is_ge() && version.compare_prefix(&found[..found.len() - 1]).is_eq())
        }
        _ => Err(refuse()),
    }
}

/// Tells whether `version` satisfies every part of a list such as `>=3.9,<4`.
///
/// A part that cannot be understood is taken as satisfied, as installers do with what old projects declared.
pub(crate) fn satisfies_all(version: &Plain, list: &str) -> bool {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        let split = part.find(|symbol: char| !"<>=!~".contains(symbol)).unwrap_or(part.len());
        let (operator, wanted) = part.split_at(split);
        satisfies(version, operator, wanted.trim()).unwrap_or(true)
    })
}

/// Tells whether two spellings are the same version: case, a leading `v`, `-` or `_` for `.`, and zeros at the end of
/// the numbers do not count.
pub(crate) fn same(one: &str, other: &str) -> bool {
    spelled(one) == spelled(other)
}

fn spelled(version: &str) -> String {
    let lower = version.trim().trim_start_matches(['v', 'V']).to_ascii_lowercase().replace(['-', '_'], ".");
    let end = lower.find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.').unwrap_or(lower.len());
    // What follows a dot in `1.0.post1` belongs to the rest.
    let (release, rest) = lower.split_at(end);
    let release = release.trim_end_matches('.');
    let mut numbers: Vec<&str> = release.split('.').map(|number| number.trim_start_matches('0')).collect();
    while numbers.last().is_some_and(|number| number.is_empty()) {
        numbers.pop();
    }
    format!("{}|{rest}", numbers.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(version: &str, operator: &str, wanted: &str) -> bool {
        satisfies(&Plain::parse(version).unwrap(), operator, wanted).unwrap()
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
    }

    #[test]
    fn what_is_no_plain_version_is_refused() {
        let version = Plain::new(&[3, 11]);
        for (operator, wanted) in [("<", "3.13rc1"), (">=", "3.*"), ("~=", "3"), ("==", ""), ("=>", "3.1")] {
            assert!(satisfies(&version, operator, wanted).is_err(), "{operator} {wanted}");
        }
    }

    #[test]
    fn a_list_holds_when_all_of_it_does() {
        let version = Plain::new(&[3, 11, 2]);
        assert!(satisfies_all(&version, ">=3.9, <4"));
        assert!(satisfies_all(&version, ">=2.7, !=3.0.*, !=3.1.*"));
        assert!(!satisfies_all(&version, ">=3.12"));
        assert!(satisfies_all(&version, ""));
    }

    #[test]
    fn spellings_of_a_version_are_one_version() {
        assert!(same("1.0", "1.0.0"));
        assert!(same("2.9.0.post0", "2.9.0.POST0"));
        assert!(same("1.0-post1", "1.0.post1"));
        assert!(same("2024.01.5", "2024.1.5"));
        assert!(!same("1.0", "1.0.1"));
        assert!(!same("1.0", "1.0rc1"));
        assert!(!same("10", "1"));
    }
}
