//! Whether a signed archive is one to install after what is there. Pure: the time and what is installed are arguments.

use std::cmp::Ordering;

use super::{ArchiveRecord, LONGEST_NAME, RECORD, SIGNATURE};
use crate::release::LEAP;
use crate::signed::Unread;
use crate::version;

/// What whoever takes an archive knows already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// Now, in seconds since 1970.
    pub now: u64,
    /// The repository that the image has to be of, such as `vendor/backend`; none takes any.
    pub image: Option<&'a str>,
    /// What the archive must not be older than.
    pub installed: Installed<'a>,
}

/// A release that is there already, as far as somebody knows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Installed<'a> {
    /// Its tag.
    pub tag: Option<&'a str>,
    /// The product's version.
    pub version: Option<&'a str>,
    /// Its counter.
    pub counter: Option<u64>,
}

/// How an archive that may be taken stands to what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What was compared, and how it came out.
    pub order: Order,
    /// Released later, and of a lower version all the same: data of the installed one would be refused by it.
    pub lower_version: bool,
}

/// What was compared, and how it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Its counter is higher.
    LaterByCounter,
    /// Its counter is the same, and so is its tag where both are known.
    SameByCounter,
    /// What is installed has no counter; its version is higher.
    LaterByVersion,
    /// What is installed has no counter; its version is the same.
    SameByVersion,
    /// Nothing is known of what is installed.
    Unknown,
}

/// Why a signed archive is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a record.
    #[error("`{RECORD}` cannot be read: {reason}")]
    Unreadable {
        /// What the parser said.
        reason: String,
    },
    /// A record of a later kind.
    #[error("`{RECORD}` has version {version}, and this program reads version {}", super::VERSION)]
    Format {
        /// The version it has.
        version: u32,
    },
    /// A record that contradicts itself.
    #[error("`{RECORD}` names the member `{name}`, {how}")]
    Members {
        /// The member.
        name: String,
        /// What is wrong.
        how: &'static str,
    },
    /// A record without members.
    #[error("`{RECORD}` names no member")]
    Empty,
    /// Of something else.
    #[error("the archive is of image `{found}`, expected `{expected}`")]
    OtherImage {
        /// What was expected.
        expected: String,
        /// What it is of.
        found: String,
    },
    /// Old enough that its maker says so.
    #[error("release `{tag}` expired {ago} seconds ago")]
    Expired {
        /// Which.
        tag: String,
        /// For how long.
        ago: u64,
    },
    /// Made by a clock that is wrong, or read by one.
    #[error("release `{tag}` was made {ahead} seconds from now: a clock is wrong")]
    Future {
        /// Which.
        tag: String,
        /// How far ahead.
        ahead: u64,
    },
    /// Released before what is there.
    #[error(
        "release `{tag}` has counter {counter}, and what is installed has {installed}: it was released before"
    )]
    Replayed {
        /// Which.
        tag: String,
        /// Its counter.
        counter: u64,
        /// That of the installed one.
        installed: u64,
    },
    /// Another release with the counter of the installed one.
    #[error("release `{tag}` has counter {counter}, and so has `{installed}`, which is installed")]
    Twin {
        /// Which.
        tag: String,
        /// The counter of both.
        counter: u64,
        /// The installed one.
        installed: String,
    },
    /// Of a lower version than what is installed without a counter.
    #[error("release `{tag}` is of version {version}, and what is installed is of {installed}: it is older")]
    Older {
        /// Which.
        tag: String,
        /// Its version.
        version: String,
        /// That of the installed one.
        installed: String,
    },
    /// What is installed has a counter, and this has none.
    #[error("release `{tag}` has no counter, expected one of at least {installed}")]
    NoCounter {
        /// Which.
        tag: String,
        /// That of the installed one.
        installed: u64,
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

impl Refused {
    /// Says what whoever wants to install the archive can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Members { .. } | Self::Empty => {
                "ask the vendor for another archive"
            }
            Self::Format { .. } => "install a release in between first, or ask the vendor for one",
            Self::OtherImage { .. } => "take the archive of this product",
            Self::Expired { .. } => "take a newer release, or set this machine's clock",
            Self::Future { .. } => "set this machine's clock",
            Self::Replayed { .. } | Self::Twin { .. } | Self::Older { .. } | Self::NoCounter { .. } => {
                "take a newer release; whoever wants this one back verifies it with `casque verify --archive`"
            }
        }
    }
}

impl ArchiveRecord {
    /// Says whether somebody who expects this may take the archive.
    ///
    /// Counters decide where both are known, for a vendor may release 1.9.5 after 2.0. What is installed without a counter is
    /// compared by version. An archive without one is not taken where the installed release has one: it may be a release from
    /// before its vendor counted, of whatever version, and nobody could tell.
    pub fn check(&self, expected: &Expected<'_>) -> Result<Verdict, Refused> {
        let tag = || self.tag.clone();
        if let Some(image) = expected.image.filter(|image| familiar(image) != familiar(&self.image)) {
            return Err(Refused::OtherImage { expected: image.to_owned(), found: self.image.clone() });
        }
        let ahead = self.created.saturating_sub(expected.now);
        if ahead > LEAP {
            return Err(Refused::Future { tag: tag(), ahead });
        }
        if let Some(expires) = self.expires
            && expires <= expected.now
        {
            return Err(Refused::Expired { tag: tag(), ago: expected.now - expires });
        }
        let Installed { tag: installed_tag, version: installed_version, counter } = expected.installed;
        let versions = installed_version.map(|installed| version::compare(&self.product_version, installed));
        let order = match (self.counter, counter, versions) {
            (Some(counter), Some(installed), _) => match counter.cmp(&installed) {
                Ordering::Less => return Err(Refused::Replayed { tag: tag(), counter, installed }),
                Ordering::Greater => Order::LaterByCounter,
                Ordering::Equal => match installed_tag.filter(|installed| *installed != self.tag) {
                    Some(other) => {
                        return Err(Refused::Twin { tag: tag(), counter, installed: other.to_owned() });
                    }
                    None => Order::SameByCounter,
                },
            },
            (None, Some(installed), _) => return Err(Refused::NoCounter { tag: tag(), installed }),
            (_, _, None) => Order::Unknown,
            (_, _, Some(Ordering::Greater)) => Order::LaterByVersion,
            (_, _, Some(Ordering::Equal)) => Order::SameByVersion,
            (_, _, Some(Ordering::Less)) => {
                return Err(Refused::Older {
                    tag: tag(),
                    version: self.product_version.clone(),
                    installed: installed_version.unwrap_or_default().to_owned(),
                });
            }
        };
        Ok(Verdict { order, lower_version: versions == Some(Ordering::Less) })
    }

    /// Refuses a record that contradicts itself.
    pub(super) fn is_whole(&self) -> Result<(), Refused> {
        if self.members.is_empty() {
            return Err(Refused::Empty);
        }
        let mut names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        let refuse = |name: &str, how| Err(Refused::Members { name: name.to_owned(), how });
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse(twice[0], "twice");
        }
        for name in names {
            if name == RECORD || name == SIGNATURE {
                return refuse(name, "which it cannot cover");
            }
            let part = |part: &str| !matches!(part, "" | "." | "..");
            let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
            if name.len() > LONGEST_NAME || !plain || !name.split('/').all(part) {
                return refuse(name, "which is no name of a file in an archive");
            }
        }
        Ok(())
    }
}

/// Returns a repository name as engines show it: without `docker.io/` and `library/`.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}
