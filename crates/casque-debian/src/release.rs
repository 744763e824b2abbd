//! An archive's `Release`: what it says about itself and the digests of its indexes.

use std::collections::BTreeMap;

use casque_format::digest::Digest;
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::date;
use crate::keyring::Keyring;
use crate::stanza::Stanza;
use crate::verify::{VerifyError, verify_clear_signed};

/// How far ahead of ours the clock of an archive may be.
const CLOCK_TOLERANCE: Duration = Duration::minutes(10);

/// A verified `Release`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Who publishes it, such as `Debian`.
    pub origin: String,
    /// What it is, such as `Debian-Security`.
    pub label: String,
    /// Such as `oldstable`.
    pub suite: String,
    /// Such as `bookworm`.
    pub codename: String,
    /// When it was made.
    pub date: OffsetDateTime,
    /// Digest of the signed file.
    pub digest: Digest,
    /// Fingerprint of the key that vouches for it.
    pub key: String,
    /// Indexes are also found under their digest.
    pub(crate) by_hash: bool,
    /// Packages for all architectures are listed apart, and only there.
    pub(crate) separate_all: bool,
    /// Index path to its size and digest.
    pub(crate) indexes: BTreeMap<String, IndexEntry>,
}

/// An index as the `Release` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// Why a `Release` is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReleaseError {
    /// Its signature does not hold.
    #[error("cannot trust the archive's metadata")]
    Verify(#[source] VerifyError),
    /// A field is missing or says nothing that can be understood.
    #[error("the archive's metadata has no usable field `{field}`")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// A line in its list of digests was not understood.
    #[error("the archive's metadata lists a file as `{line}`")]
    Entry {
        /// The line.
        line: String,
    },
    /// It was good for a time that is over; an attacker may be replaying it.
    #[error("the archive's metadata expired on {}", date::readable(*since))]
    Expired {
        /// Since when.
        since: OffsetDateTime,
    },
    /// It is from the future; our clock or the archive's is wrong.
    #[error("the archive's metadata is from {}, which is in the future", date::readable(*date))]
    Future {
        /// When it says it was made.
        date: OffsetDateTime,
    },
}

impl Release {
    /// Checks the signatures and dates of an `InRelease` file and reads it.
    pub fn verify(in_release: &[u8], keyring: &Keyring, now: OffsetDateTime) -> Result<Self, ReleaseError> {
        let verified = verify_clear_signed(in_release, keyring, now).map_err(ReleaseError::Verify)?;
        let stanza = Stanza::first(&verified.text).ok_or(ReleaseError::Field { field: "Date" })?;
        let moment = |field: &'static str| {
            stanza.get(field).map(|text| date::parse(text).ok_or(ReleaseError::Field { field })).transpose()
        };
        let date = moment("Date")?.ok_or(ReleaseError::Field { field: "Date" })?;
        if date > now + CLOCK_TOLERANCE {
            return Err(ReleaseError::Future { date });
        }
        if let Some(since) = moment("Valid-Until")?.filter(|until| *until < now) {
            return Err(ReleaseError::Expired { since });
        }
        let text = |field| stanza.get(field).unwrap_or_default().to_owned();
        let words = |field| stanza.get(field).unwrap_or_default().split_whitespace();
        Ok(Self {
            origin: text("Origin"),
            label: text("Label"),
            suite: text("Suite"),
            codename: text("Codename"),
            date,
            digest: Digest::of(in_release),
            key: verified.key,
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            separate_all: words("Architectures").any(|word| word == "all")
                && !words("No-Support-for-Architecture-all").any(|word| word == "Packages"),
            indexes: entries(stanza.get("SHA256").ok_or(ReleaseError::Field { field: "SHA256" })?)?,
        })
    }
}

fn entries(field: &str) -> Result<BTreeMap<String, IndexEntry>, ReleaseError> {
    let mut indexes = BTreeMap::new();
    for line in field.lines().filter(|line| !line.trim().is_empty()) {
        let refuse = || ReleaseError::Entry { line: line.trim().to_owned() };
        let mut words = line.split_whitespace();
        let (Some(digest), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(refuse());
        };
        let digest = digest.parse().map_err(|_| refuse())?;
        let size = size.parse().map_err(|_| refuse())?;
        indexes.insert(path.to_owned(), IndexEntry { size, digest });
    }
    Ok(indexes)
}
