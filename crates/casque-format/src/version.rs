//! Which of two versions of a product is newer.

use std::cmp::Ordering;

/// Compares two versions, such as `43.4.4` and `43.10.0-rc1`.
///
/// Numbers are compared as numbers, and more of them are newer: `1.2` < `1.2.0` < `1.10`. A word comes before nothing, as in
/// SemVer and PEP 440: `1.0-rc1` < `1.0`. What is after `+` counts last, and there nothing is the oldest. Two spellings of
/// one version are equal, and so are two separators.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one, one_build) = one.split_once('+').unwrap_or((one, ""));
    let (other, other_build) = other.split_once('+').unwrap_or((other, ""));
    let builds = || (!one_build.is_empty()).cmp(&!other_build.is_empty());
    parts(one).cmp(parts(other)).then_with(builds).then_with(|| parts(one_build).cmp(parts(other_build)))
}

/// A piece of a version; the order of the variants is that of versions.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Word(&'a str),
    End,
    /// How many digits it has, without leading zeros, and those.
    Number(usize, &'a str),
}

fn parts(version: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = version;
    let mut ended = false;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let Some(first) = rest.chars().next() else {
            return (!std::mem::replace(&mut ended, true)).then_some(Part::End);
        };
        let is_number = first.is_ascii_digit();
        let same = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == is_number;
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        let digits = part.trim_start_matches('0');
        Some(if is_number { Part::Number(digits.len(), digits) } else { Part::Word(part) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_in_which_they_were_released() {
        let released = [
            "0.9",
            "1.0-alpha",
            "1.0-alpha2",
            "1.0-alpha10",
            "1.0-rc1",
            "1.0",
            "1.0+1",
            "1.0+10",
            "1.0.1",
            "1.2rc1",
            "1.2",
            "1.2.0",
            "1.10",
            "43.4.4",
            "43.4.10",
            "2026.11",
            "99999999999999999999999",
            "100000000000000000000000",
        ];
        for (at, one) in released.iter().enumerate() {
            for (beside, other) in released.iter().enumerate() {
                assert_eq!(compare(one, other), at.cmp(&beside), "{one} {other}");
            }
        }
        assert_eq!(compare("1.02", "1.2"), Ordering::Equal);
        assert_eq!(compare("v1_2", "v1.2"), Ordering::Equal);
    }
}
