//! An archive's `Release`: what it says about itself and the digests of its indexes.

use std::collections::BTreeMap;

use casque_format::digest::Digest;
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::date;
use crate::keyring::Keyring;
use crate::stanza::Stanza;
use crate::verify::{Verified, VerifyError, verify_clear_signed, verify_detached};

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
    /// Nothing of it is taken unless it is asked for (`NotAutomatic`).
    pub not_automatic: bool,
    /// What was taken of it once is kept up to date (`ButAutomaticUpgrades`).
    pub automatic_upgrades: bool,
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
    /// It is older than what the lock was made from; an attacker may be replaying it.
    #[error(
        "the archive's metadata is from {}, older than that of the lock, {}",
        date::readable(*date),
        date::readable(*locked)
    )]
    Older {
        /// When it says it was made.
        date: OffsetDateTime,
        /// When that of the lock was made.
        locked: OffsetDateTime,
    },
    /// It is that of another suite, which somebody put in the place of this one.
    #[error("the archive's metadata is that of `{}`, not of `{asked}`", names.join("` or `"))]
    Suite {
        /// The suite that was asked for.
        asked: String,
        /// Its own suite and codename.
        names: Vec<String>,
    },
}

impl Release {
    /// Checks the signatures and dates of an `InRelease` file and reads it.
    pub fn verify(in_release: &[u8], keyring: &Keyring, now: OffsetDateTime) -> Result<Self, ReleaseError> {
        let verified = verify_clear_signed(in_release, keyring, now).map_err(ReleaseError::Verify)?;
        Self::read(verified, Digest::of(in_release), now)
    }

    /// Does the same for a `Release` file with its signatures beside it.
    pub fn verify_detached(
        release: &[u8],
        signatures: &[u8],
        keyring: &Keyring,
        now: OffsetDateTime,
    ) -> Result<Self, ReleaseError> {
        let verified = verify_detached(release, signatures, keyring, now).map_err(ReleaseError::Verify)?;
        Self::read(verified, Digest::of(release), now)
    }

    fn read(verified: Verified, digest: Digest, now: OffsetDateTime) -> Result<Self, ReleaseError> {
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
            not_automatic: stanza.get("NotAutomatic") == Some("yes"),
            automatic_upgrades: stanza.get("ButAutomaticUpgrades") == Some("yes"),
            digest,
            key: verified.key,
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            separate_all: words("Architectures").any(|word| word == "all")
                && !words("No-Support-for-Architecture-all").any(|word| word == "Packages"),
            indexes: entries(stanza.get("SHA256").ok_or(ReleaseError::Field { field: "SHA256" })?)?,
        })
    }

    /// Checks that this is the metadata of `suite`, under its name or its codename.
    ///
    /// An archive may name itself by the directory above alone: `bookworm/updates` by `bookworm`, as apt has it.
    pub(crate) fn check_suite(&self, suite: &str) -> Result<(), ReleaseError> {
        let names: Vec<String> =
            [&self.suite, &self.codename].into_iter().filter(|name| !name.is_empty()).cloned().collect();
        let above = suite.rsplit_once('/').map_or(suite, |(above, _)| above);
        if names.is_empty() || names.iter().any(|name| name == suite || name == above) {
            return Ok(());
        }
        Err(ReleaseError::Suite { asked: suite.to_owned(), names })
    }

    /// Checks that this is not older than what was accepted before.
    pub(crate) fn check_age(&self, locked: Option<OffsetDateTime>) -> Result<(), ReleaseError> {
        match locked.filter(|locked| self.date < *locked) {
            Some(locked) => Err(ReleaseError::Older { date: self.date, locked }),
            None => Ok(()),
        }
    }

    /// Returns the priority that apt gives to an archive by itself (apt_preferences(5)).
    pub fn default_priority(&self) -> i32 {
        match (self.not_automatic, self.automatic_upgrades) {
            (true, false) => 1,
            (true, true) => 100,
            (false, _) => 500,
        }
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
