//! What a support bundle says of itself.
//!
//! A bundle is a gzipped tar with everything below [`DIRECTORY`], and the [`Manifest`] as its last member.

use serde::{Deserialize, Serialize};

/// The version of this format.
pub const VERSION: u32 = 1;
/// The tar has everything below this name.
pub const DIRECTORY: &str = "support-bundle";
/// The member that is [`Manifest`], as JSON.
pub const MANIFEST: &str = "manifest.json";

/// What is in a bundle, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The product's name, such as `vendor/backend`.
    pub product: String,
    /// The version of the image that made it.
    pub product_version: String,
    /// The number of the instance; absent before its first start, or when it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// When it was begun, in seconds since 1970.
    pub made: i64,
    /// PID 1 of this container answered.
    pub running: bool,
    /// Whether names of secrets can be compared with those of other bundles.
    pub pseudonyms: Scope,
    /// Each member but this one, in the order of the tar.
    pub members: Vec<Member>,
    /// What could not be collected.
    pub missing: Vec<Missing>,
    /// The secrets that were looked for, sorted by name.
    pub secrets: Vec<Secret>,
}

/// Whether the same secret has the same name elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// In every bundle of this volume.
    Volume,
    /// In this bundle alone, for the volume took or gave no key.
    Bundle,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name below [`DIRECTORY`].
    pub name: String,
    /// What it is, for people.
    pub about: String,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of them, in hexadecimal digits.
    pub sha256: String,
    /// It is the end of something longer.
    pub truncated: bool,
    /// How many secrets were replaced in it.
    pub replaced: u64,
}

/// Something that should be in a bundle and is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The name it would have.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A secret that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Secret {
    /// The setting, or what else has it.
    pub name: String,
    /// A value of it is known here and was looked for. Without one, it was not given to the container that made the bundle.
    pub known: bool,
    /// What stands in its place, one for each value.
    pub pseudonyms: Vec<String>,
}
