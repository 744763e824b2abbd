//! Why an archive is not taken, each with what helps.

use std::io;

use casque_format::archive::{KEYS, RECORD, Refused, SIGNATURE};

use crate::SignError;

/// Why an archive is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream broke.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// There was nothing to read, or a tar without members.
    #[error("there is no archive: nothing came")]
    Empty,
    /// Not a tar as casque writes it, from the first byte on.
    #[error("this is no image archive that casque signed: it does not begin with the header of a tar")]
    NotTar,
    /// An archive without a record.
    #[error("the archive is not signed: it begins with `{first}`, and a signed one with `{RECORD}`")]
    Unsigned {
        /// What is there instead.
        first: String,
    },
    /// What has to come early does not.
    #[error("the archive is not signed: `{member}` does not follow `{RECORD}`")]
    Misplaced {
        /// Which.
        member: &'static str,
    },
    /// The signature of the record.
    #[error("the signature of the archive, `{SIGNATURE}`, does not hold")]
    Signature {
        /// Somebody signed whom nobody here trusts.
        unknown: bool,
        /// What is wrong with it.
        source: SignError,
    },
    /// A good signature that was made for something else.
    #[error("`{SIGNATURE}` was not made for this archive, but for `{comment}`")]
    Purpose {
        /// What it is for.
        comment: String,
    },
    /// The list of keys is none.
    #[error("`{KEYS}` is no list of keys and their signatures")]
    NoKeys,
    /// A key of that list.
    #[error("the archive brings a key in `{KEYS}` that nobody vouches for")]
    Keys(#[source] SignError),
    /// What the record says, or says about what is installed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A header that is not as casque writes it.
    #[error("the archive is damaged at byte {at}: {what}")]
    Damaged {
        /// Where in the stream.
        at: u64,
        /// What is there.
        what: &'static str,
    },
    /// It ends too early.
    #[error("the archive is cut off after {after} bytes, {place}")]
    Truncated {
        /// So many came.
        after: u64,
        /// What was expected there.
        place: String,
    },
    /// It does not end where it should.
    #[error("something comes after the end of the archive, at byte {at}")]
    Trailing {
        /// Where in the stream.
        at: u64,
    },
    /// A document beyond all measure.
    #[error("`{name}` has {size} bytes, more than {limit}")]
    TooLarge {
        /// Which.
        name: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: usize,
    },
    /// A member that was not signed.
    #[error("`{name}` is in the archive and was not signed")]
    Unlisted {
        /// Which.
        name: String,
    },
    /// A member that is there a second time.
    #[error("`{name}` is in the archive twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// A member that was signed and is not there.
    #[error("`{name}` was signed and is not in the archive")]
    Missing {
        /// Which.
        name: String,
    },
    /// A member of another length.
    #[error("`{name}` has {found} bytes, and {expected} were signed")]
    Size {
        /// Which.
        name: String,
        /// Its length.
        found: u64,
        /// What it should be.
        expected: u64,
    },
    /// A member of other bytes.
    #[error("`{name}` is not what was signed: its SHA-256 differs")]
    Content {
        /// Which.
        name: String,
    },
}

impl ArchiveError {
    /// Says what whoever wants to install the archive can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Read(_) => "try again",
            Self::Empty => "give it on stdin: `docker run --rm -i IMAGE verify < next.tar`",
            Self::NotTar => "give the archive as the vendor publishes it, not compressed",
            Self::Unsigned { .. } | Self::Misplaced { .. } => {
                "do not load it; ask the vendor for a signed one"
            }
            Self::Signature { unknown: true, .. } | Self::Keys(_) | Self::NoKeys => {
                "do not load it; ask the vendor whether their key has changed"
            }
            Self::Refused(refused) => refused.remedy(),
            Self::Truncated { .. } => "download it again; `curl -C -` goes on where it ended",
            Self::TooLarge { .. } => "do not load it; ask the vendor for another archive",
            Self::Signature { .. }
            | Self::Purpose { .. }
            | Self::Damaged { .. }
            | Self::Trailing { .. }
            | Self::Unlisted { .. }
            | Self::Twice { .. }
            | Self::Missing { .. }
            | Self::Size { .. }
            | Self::Content { .. } => {
                "do not load it; download it again, and ask the vendor if that does not help"
            }
        }
    }
}
