//! Whether a release is what somebody expects. Pure: the time and what was there before are arguments.

use crate::digest::Digest;
use crate::signed::Unread;

use super::{Artefact, Kind, Product, Release};

/// How far ahead another's clock may be, in seconds.
pub const LEAP: u64 = 86_400;

/// What whoever takes a release knows already.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The product it has to be of.
    pub product: &'a Product,
    /// The counter of the newest release that was taken.
    pub newest: Option<u64>,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// Why a release is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a record.
    #[error("the release record cannot be read: {reason}")]
    Unreadable {
        /// What the parser said.
        reason: String,
    },
    /// A record of a later kind.
    #[error("the release record has version {version}, and this program reads version {}", super::VERSION)]
    Format {
        /// The version it has.
        version: u32,
    },
    /// A record that contradicts itself.
    #[error("the release record names file `{name}` {how}")]
    Files {
        /// The file.
        name: String,
        /// What is wrong.
        how: &'static str,
    },
    /// A record without files.
    #[error("the release record names no file")]
    Empty,
    /// Of something else.
    #[error("the release is of product `{found}`, expected `{expected}`")]
    Product {
        /// What was expected.
        expected: String,
        /// What it is of.
        found: String,
    },
    /// Old enough that its maker says so.
    #[error("the release `{release}` expired {ago} seconds ago")]
    Expired {
        /// Which.
        release: String,
        /// For how long.
        ago: u64,
    },
    /// Older than, or as old as, one that was taken already.
    #[error(
        "the release `{release}` has counter {counter}, and a release with counter {newest} was there before"
    )]
    Replayed {
        /// Which.
        release: String,
        /// Its counter.
        counter: u64,
        /// That of the newest known.
        newest: u64,
    },
    /// Made by a clock that is wrong, or read by one.
    #[error("the release `{release}` was made {ahead} seconds from now: a clock is wrong")]
    Future {
        /// Which.
        release: String,
        /// How far ahead.
        ahead: u64,
    },
    /// A file that is not the one that was released.
    #[error("file `{name}` has {what} {found}, and the release says {expected}")]
    Content {
        /// The file.
        name: String,
        /// Size or digest.
        what: &'static str,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
}

impl From<Unread> for Refused {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Unreadable { reason } => Self::Unreadable { reason },
            Unread::Format { version } => Self::Format { version },
        }
    }
}

impl Release {
    /// Says whether somebody who expects this may take the release.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), Refused> {
        let release = self.release.to_string();
        if self.product != *expected.product {
            let (expected, found) = (expected.product.to_string(), self.product.to_string());
            return Err(Refused::Product { expected, found });
        }
        let ahead = self.created.saturating_sub(expected.now);
        if ahead > LEAP {
            return Err(Refused::Future { release, ahead });
        }
        if let Some(expires) = self.expires
            && expires <= expected.now
        {
            return Err(Refused::Expired { release, ago: expected.now - expires });
        }
        match expected.newest {
            Some(newest) if self.counter <= newest => {
                Err(Refused::Replayed { release, counter: self.counter, newest })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a record that contradicts itself.
    pub(super) fn is_whole(&self) -> Result<(), Refused> {
        if self.artefacts.is_empty() {
            return Err(Refused::Empty);
        }
        let mut names: Vec<&str> = self.artefacts.iter().map(|artefact| artefact.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Refused::Files { name: twice[0].to_owned(), how: "twice" });
        }
        let orphan = self.artefacts.iter().find(|artefact| {
            artefact.kind == Kind::Signature
                && artefact
                    .name
                    .as_str()
                    .strip_suffix(".minisig")
                    .is_none_or(|file| self.artefact(file).is_none())
        });
        match orphan {
            Some(orphan) => {
                let how = "as a signature, which `NAME.minisig` of a file `NAME` would be";
                Err(Refused::Files { name: orphan.name.to_string(), how })
            }
            None => Ok(()),
        }
    }
}

impl Artefact {
    /// Says whether a file is the one that was released.
    pub fn check(&self, size: u64, sha256: Digest) -> Result<(), Refused> {
        let refuse = |what, found: String, expected: String| {
            Err(Refused::Content { name: self.name.to_string(), what, found, expected })
        };
        if size != self.size {
            return refuse("size", size.to_string(), self.size.to_string());
        }
        if sha256 != self.sha256 {
            return refuse("SHA-256", sha256.to_string(), self.sha256.to_string());
        }
        Ok(())
    }
}
