//! What wheels must run on.

use std::fmt;

use pep440_rs::Version;

use crate::tags::{WheelName, supported};

/// A version of CPython.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion {
    /// The 3 of 3.11.2.
    pub major: u32,
    /// The 11 of 3.11.2.
    pub minor: u32,
    /// The 2 of 3.11.2.
    pub patch: u32,
}

impl PythonVersion {
    /// Takes the version of a distribution's package, such as `3.11.2-6+deb12u5`.
    pub fn from_package(version: &str) -> Option<Self> {
        let [major, minor, patch] = leading_numbers(version)?;
        Some(Self { major, minor, patch })
    }

    pub(crate) fn full(self) -> Version {
        Version::new([u64::from(self.major), self.minor.into(), self.patch.into()])
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// CPython on Linux with the GNU C library, x86_64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its version.
    pub python: PythonVersion,
    /// The 36 of glibc 2.36.
    pub glibc_minor: u32,
}

impl Target {
    /// Takes the versions of the packages `python3` and `libc6`, such as `3.11.2-1+b1` and `2.36-9+deb12u10`.
    pub fn from_packages(python: &str, libc: &str) -> Option<Self> {
        let python = PythonVersion::from_package(python)?;
        let [2, glibc_minor, _] = leading_numbers(libc)? else { return None };
        Some(Self { python, glibc_minor })
    }
}

impl Target {
    /// Tells whether a wheel of this name runs here.
    pub fn runs(self, filename: &str) -> bool {
        WheelName::parse(filename).is_some_and(|name| name.rank(&supported(self)).is_some())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PythonVersion { major, minor, .. } = self.python;
        write!(formatter, "CPython {major}.{minor} on Linux x86_64 with glibc 2.{}", self.glibc_minor)
    }
}

/// Returns the first three numbers of a version; the third may be missing.
fn leading_numbers(version: &str) -> Option<[u32; 3]> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let end =
        upstream.find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.').unwrap_or(upstream.len());
    let mut numbers = upstream[..end].split('.');
    let first = numbers.next()?.parse().ok()?;
    let second = numbers.next()?.parse().ok()?;
    let third = numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Some([first, second, third])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_versions_tell_the_target() {
        let target = Target::from_packages("3.11.2-1+b1", "2.36-9+deb12u10");
        let python = PythonVersion { major: 3, minor: 11, patch: 2 };
        assert_eq!(target, Some(Target { python, glibc_minor: 36 }));
        assert_eq!(
            PythonVersion::from_package("3.13").map(|version| version.to_string()),
            Some("3.13.0".into())
        );
        assert_eq!(Target::from_packages("", "2.36"), None);
        assert_eq!(Target::from_packages("3.11", "1.2.4"), None);
    }
}
