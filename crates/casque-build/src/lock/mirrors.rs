//! What stands in for well-known addresses in this place.
//!
//! The lock and the image name the addresses that everybody knows, so that they are the same wherever they were made.

use std::path::PathBuf;

use crate::manifest::Distribution;

/// What stands in for well-known addresses, and what is looked into before any address is asked.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    /// In place of the distribution's own address.
    pub distribution: Option<String>,
    /// In place of where the distribution keeps superseded files.
    pub snapshot: Option<String>,
    /// Directories that `casque fetch --into` filled; they are only read.
    pub stores: Vec<PathBuf>,
}

const SNAPSHOTS: [&str; 2] = ["https://snapshot.debian.org", "https://snapshot.ubuntu.com"];

impl Mirrors {
    /// Returns where to ask for what is at `url`.
    pub(super) fn stand_in(&self, url: &str) -> String {
        let changed = self.pairs().into_iter().find_map(|(address, mirror)| {
            let rest = url.strip_prefix(&address).filter(|rest| rest.starts_with('/'))?;
            Some(format!("{mirror}{rest}"))
        });
        changed.unwrap_or_else(|| url.to_owned())
    }

    /// Returns what well-known addresses begin with and what stands in for that.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let own = [Distribution::Debian, Distribution::Ubuntu].map(Distribution::address);
        let distribution = own.iter().map(|address| (*address, &self.distribution));
        let snapshots = SNAPSHOTS.iter().map(|address| (*address, &self.snapshot));
        let pairs = distribution.chain(snapshots);
        pairs
            .filter_map(|(address, mirror)| {
                Some((address.to_owned(), mirror.as_ref()?.trim_end_matches('/').to_owned()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_takes_the_place_of_the_host_alone() {
        let mirrors = Mirrors {
            distribution: Some("http://mirror/deb/".to_owned()),
            snapshot: Some("http://old".to_owned()),
            stores: vec![],
        };
        for (url, expected) in [
            ("http://deb.debian.org/debian/pool/x", "http://mirror/deb/debian/pool/x"),
            ("http://archive.ubuntu.com/ubuntu/pool/x", "http://mirror/deb/ubuntu/pool/x"),
            ("http://deb.debian.org.evil/debian/x", "http://deb.debian.org.evil/debian/x"),
            ("https://snapshot.debian.org/archive/debian/2025/x", "http://old/archive/debian/2025/x"),
            ("https://pypi.org/x", "https://pypi.org/x"),
        ] {
            assert_eq!(mirrors.stand_in(url), expected);
            assert_eq!(Mirrors::default().stand_in(url), url);
        }
    }
}
