//! Debian version numbers and their order (Debian policy, section 5.6.12).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A version as an archive writes it: `[epoch:]upstream[-revision]`. Two versions are equal when dpkg says so.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// Takes a version as it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the version as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str, &str) {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("", &self.0));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (epoch, upstream, revision) = self.parts();
        let (other_epoch, other_upstream, other_revision) = other.parts();
        compare_numbers(epoch, other_epoch)
            .then_with(|| compare_part(upstream, other_upstream))
            .then_with(|| compare_part(revision, other_revision))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl Hash for Version {
    /// Versions that differ only in zeros are equal, so only what never differs between equal ones may count.
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.parts().1.bytes().filter(u8::is_ascii_alphabetic) {
            state.write_u8(byte);
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// Compares runs of non-digits and runs of digits in turn.
fn compare_part(mut left: &str, mut right: &str) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = split_run(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_rest) = split_run(right, |byte| !byte.is_ascii_digit());
        let (left_number, left_rest) = split_run(left_rest, |byte| byte.is_ascii_digit());
        let (right_number, right_rest) = split_run(right_rest, |byte| byte.is_ascii_digit());
        let order =
            compare_text(left_text, right_text).then_with(|| compare_numbers(left_number, right_number));
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn split_run(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// A tilde sorts before the end, the end before letters, letters before everything else.
fn compare_text(left: &str, right: &str) -> Ordering {
    let weight = |byte: Option<u8>| match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    };
    let at = |text: &str, index| weight(text.as_bytes().get(index).copied());
    (0..left.len().max(right.len()))
        .map(|index| at(left, index).cmp(&at(right, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Numbers of any length, so nothing can overflow.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let left = left.trim_start_matches('0');
    let right = right.trim_start_matches('0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        let vectors = [
            ("1.0", "1.0", Ordering::Equal),
            ("1.0", "1.00", Ordering::Equal),
            ("0:1.0", "1.0", Ordering::Equal),
            ("1.0-0", "1.0", Ordering::Equal),
            ("1:0.1", "9.9", Ordering::Greater),
            ("1.10", "1.9", Ordering::Greater),
            ("1.0~rc1", "1.0", Ordering::Less),
            ("1.0~~", "1.0~", Ordering::Less),
            ("1.0~~a", "1.0~~", Ordering::Greater),
            ("1.0a", "1.0", Ordering::Greater),
            ("1.0+b1", "1.0a", Ordering::Greater),
            ("1.0-1+deb12u1", "1.0-1", Ordering::Greater),
            ("1.0-1~bpo12+1", "1.0-1", Ordering::Less),
            ("1.2.3-4-5", "1.2.3-4-6", Ordering::Less),
            ("2.36-9+deb12u10", "2.36-9+deb12u9", Ordering::Greater),
            ("1.0.", "1.0", Ordering::Greater),
            ("99999999999999999999999999", "99999999999999999999999998", Ordering::Greater),
            ("7.6p2-4", "7.6-0", Ordering::Greater),
            ("1.18.36:5.4", "1.18.36:5.5", Ordering::Less),
        ];
        for (left, right, expected) in vectors {
            assert_eq!(Version::from(left).cmp(&Version::from(right)), expected, "{left} and {right}");
            assert_eq!(
                Version::from(right).cmp(&Version::from(left)),
                expected.reverse(),
                "{right} and {left}"
            );
        }
    }
}
