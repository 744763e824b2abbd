//! A backup: everything below [`crate::paths::DATA`] in one stream.
//!
//! It is three Zstandard frames (RFC 8878): a skippable one with the [`Header`] as JSON, one with a tar, and a skippable one with the
//! [`Trailer`] as JSON. Programs that know Zstandard skip the first and the last, so that `zstd -d | tar x` opens it. When it is
//! encrypted, all of it is inside of an age file.

use serde::{Deserialize, Serialize};

use crate::stamp::Stamp;

/// The version of this format.
pub const VERSION: u32 = 1;
/// Begins the frame of the header: a skippable one's magic number, little endian.
pub const HEADER_MAGIC: [u8; 4] = [0x5c, 0x2a, 0x4d, 0x18];
/// Begins the frame of the trailer.
pub const TRAILER_MAGIC: [u8; 4] = [0x5d, 0x2a, 0x4d, 0x18];
/// The tar has the volume below this name.
pub const DATA: &str = "data";
/// Begins the name of a part of the digests, which follows the files that it names, in the form of sha256sum(1).
pub const SUMS: &str = "SHA256SUMS.";

/// What is known before the first file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// The stamp of the volume.
    pub stamp: Stamp,
    /// The version of the product whose data these are.
    pub product_version: String,
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// The log files are in it.
    pub logs: bool,
    /// How many files, directories and links there are.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Bytes that they take on a file system.
    pub room: u64,
    /// The settings whose generated secrets are in it, sorted.
    pub secrets: Vec<String>,
}

/// What proves that all is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// SHA-256 of every byte before the trailer's frame, in hexadecimal digits.
    pub sha256: String,
    /// How many bytes those are.
    pub bytes: u64,
}

/// What `backup` and `restore` say with `--json`, one object a line on stderr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Told {
    /// Every service but the agent is stopped.
    Stopped,
    /// So far.
    Progress {
        /// Bytes of files that were read or written.
        bytes: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// The backup is written, whole.
    Written {
        /// Its size, before it was encrypted.
        bytes: u64,
    },
    /// The services are started again.
    Started {
        /// Those that are not ready, sorted.
        not_ready: Vec<String>,
    },
    /// The backup was read to its end and is whole.
    Verified {
        /// What it says of itself.
        header: Header,
    },
    /// The volume has what the backup had.
    Restored,
    /// Something that an operator should know.
    Warning {
        /// What.
        text: String,
    },
}
