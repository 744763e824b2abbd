//! The archive record: what a signed image archive says of itself, in the bytes that are signed.
//!
//! The first members of such an archive are [`RECORD`], its signature and, after a rotation, the keys in between. The
//! record names every other member with its size and digest, so one signature covers the whole archive, and whoever reads
//! it as a stream knows what to expect before it comes.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::release::Channel;
use crate::signed;

mod check;

pub use check::{Expected, Installed, Order, Refused, Verdict};

/// Number of the format.
pub const VERSION: u32 = 1;

/// The first member of a signed archive.
pub const RECORD: &str = "release.json";
/// The second: the signature of the first, minisign's.
pub const SIGNATURE: &str = "release.json.minisig";
/// The third, where the key is not the first of its chain: each key that followed, and its signature by the one before.
pub const KEYS: &str = "release.keys";

/// More than any record has, in bytes.
pub const LARGEST: usize = 1 << 20;
/// More than a chain of keys or a signature has, in bytes.
pub const LARGEST_SIGNATURE: usize = 64 << 10;
/// A header of a tar has room for so many bytes of a name.
pub const LONGEST_NAME: usize = 100;

/// Everything that a signed archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Repository name of the image, such as `vendor/backend`.
    pub image: String,
    /// Its tag, such as `v43.4.4`.
    pub tag: String,
    /// The product's version, such as `43.4.4`.
    pub product_version: String,
    /// Where it is released first, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Grows with each release of the product; none when its vendor does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// When it was signed, in seconds since 1970.
    pub created: u64,
    /// From when on nobody should install it anew, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// Every file of the archive but the record and its signature, sorted by name.
    pub members: Vec<Member>,
}

/// One file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the tar.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Digest,
}

impl ArchiveRecord {
    /// Returns the bytes that are signed: JSON without blanks, keys in the order of this type, members sorted, one line.
    pub fn canonical(&self) -> Vec<u8> {
        let mut sorted = self.clone();
        sorted.members.sort_by(|one, other| one.name.cmp(&other.name));
        signed::write(&sorted)
    }

    /// Reads a record, whose signature was verified before.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let record: Self = signed::read(bytes, VERSION, LARGEST)?;
        record.is_whole()?;
        Ok(record)
    }

    /// Returns the image's name with its tag, such as `vendor/backend:v43.4.4`.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.image, self.tag)
    }

    /// Returns the bytes of all members.
    pub fn size(&self) -> u64 {
        self.members.iter().fold(0, |sum, member| sum.saturating_add(member.size))
    }
}

#[cfg(test)]
mod tests;
