//! The release record: what a vendor released, in the bytes that are signed.
//!
//! The signature covers the bytes, so nobody has to write them again to verify it. They are written in one way all the
//! same, that one release has one digest.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::signed;

mod check;
mod listing;
mod names;

pub use check::{Expected, LEAP, Refused};
pub use listing::{Listed, Listing, Signed};
pub use names::{ArtefactName, Channel, NotAName, Product, ReleaseName, file_of_latest};

/// Number of the format.
pub const VERSION: u32 = 1;

/// More than any record has, in bytes.
pub const LARGEST: usize = 4 << 20;

/// Everything about one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// [`VERSION`].
    pub version: u32,
    /// Whose release this is.
    pub product: Product,
    /// Where it was released first.
    pub channel: Channel,
    /// The product's version, such as `v43.4.4`.
    pub release: ReleaseName,
    /// Grows with each release of the product, whatever its version and channel.
    pub counter: u64,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// From when on nobody should install it anew, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The commit it was built from, as its version control names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The files, sorted by name.
    pub artefacts: Vec<Artefact>,
    /// What is new, for customers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// The name of the file.
    pub name: ArtefactName,
    /// What it is for.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// Of an image: the digests of the blobs in it, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Digest>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An image archive.
    Image,
    /// A package for a host.
    Package,
    /// A bill of materials.
    Sbom,
    /// The documentation, one HTML file that needs no other.
    Docs,
    /// The signature of another file, minisign's.
    Signature,
    /// Anything else.
    Other,
}

impl Release {
    /// Returns the bytes that are signed: JSON without blanks, keys in the order of this type, lists sorted, one line.
    pub fn canonical(&self) -> Vec<u8> {
        let mut sorted = self.clone();
        sorted.artefacts.sort_by(|one, other| one.name.cmp(&other.name));
        for artefact in &mut sorted.artefacts {
            artefact.blobs.sort_unstable();
            artefact.blobs.dedup();
        }
        signed::write(&sorted)
    }

    /// Reads a record, whose signature was verified before.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let release: Self = signed::read(bytes, VERSION, LARGEST)?;
        release.is_whole()?;
        Ok(release)
    }

    /// Returns the file of this name.
    pub fn artefact(&self, name: &str) -> Option<&Artefact> {
        self.artefacts.iter().find(|artefact| artefact.name.as_str() == name)
    }
}

#[cfg(test)]
mod tests;
