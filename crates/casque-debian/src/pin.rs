//! Pinned packages: everything a later build needs to have exactly these files, from anywhere.

use casque_fetch::Wanted;
use casque_format::digest::Digest;
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::archive::{Archive, directory};
use crate::date::snapshot;
use crate::release::Release;
use crate::universe::Package;
use crate::version::Version;

/// A package with its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The source package, when that has another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which archive it is from, by name.
    pub archive: String,
    /// Where it is in the archive.
    pub filename: String,
    /// Where it can be had, best first.
    pub urls: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// An archive as it was when packages were pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedArchive {
    /// What the manifest calls it.
    pub name: String,
    /// Its address.
    pub url: String,
    /// The suite.
    pub suite: String,
    /// The components.
    pub components: Vec<String>,
    /// Seconds since the epoch at which its `Release` was made.
    pub date: i64,
    /// Digest of the signed `Release`.
    pub release: Digest,
    /// Fingerprint of the key that vouched for it.
    pub key: String,
    /// How much its packages are preferred, where the manifest says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

impl Pin {
    /// Pins a package of `archive`.
    pub fn new(package: &Package, archive: &Archive, release: &Release) -> Self {
        let base = archive.url.trim_end_matches('/');
        let mut urls = vec![format!("{base}/{}", package.filename)];
        urls.extend(snapshot_url(release, &package.filename));
        let control = &package.control;
        Self {
            name: control.name.clone(),
            version: control.version.clone(),
            architecture: control.architecture.clone(),
            source: control.source.clone(),
            archive: archive.name.clone(),
            filename: package.filename.clone(),
            urls,
            size: package.size,
            sha256: package.sha256,
        }
    }

    /// Returns what to download for it.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            label: format!("{} {}", self.name, self.version),
            urls: self.urls.clone(),
            digest: self.sha256,
            size: Some(self.size),
            moving: false,
        }
    }
}

impl PinnedArchive {
    /// Describes `archive` as it is now.
    pub fn new(archive: &Archive, release: &Release) -> Self {
        Self {
            name: archive.name.clone(),
            url: archive.url.clone(),
            suite: archive.suite.clone(),
            components: archive.components.clone(),
            date: release.date.unix_timestamp(),
            release: release.digest,
            key: release.key.clone(),
            priority: None,
        }
    }

    /// Returns the address of its `InRelease`.
    pub fn release_url(&self) -> String {
        format!("{}/InRelease", directory(&self.url, &self.suite))
    }
}

/// Returns the address under which a distribution keeps a file of its own archives for good.
///
/// An address there means the last snapshot before its time, and the next one after a `Release` is made comes some
/// hours later; half a day leaves room for it.
fn snapshot_url(release: &Release, filename: &str) -> Option<String> {
    let archive = match (release.origin.as_str(), release.label.as_str()) {
        ("Debian", "Debian") => "https://snapshot.debian.org/archive/debian",
        ("Debian", "Debian-Security") => "https://snapshot.debian.org/archive/debian-security",
        ("Ubuntu", "Ubuntu") => "https://snapshot.ubuntu.com/ubuntu",
        _ => return None,
    };
    let moment = snapshot(release.date + Duration::hours(12));
    Some(format!("{archive}/{moment}/{filename}"))
}
