//! What `casque release --json` prints: one object for each thing that happens.

use serde::{Deserialize, Serialize};

use crate::release::Kind;

/// Number of the format.
pub const VERSION: u32 = 1;

/// Something that happened to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// [`VERSION`].
    pub version: u32,
    /// Of which project.
    pub project: String,
    /// Of which tag, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The repository is looked at from now on; these tags were there before.
    Watching {
        /// How many of the tags that are there are left alone.
        left_alone: usize,
    },
    /// A release begins, or goes on.
    Begun {
        /// The commit that the tag names.
        commit: String,
        /// Where it goes.
        channel: String,
        /// The file that everything about this run is written to.
        log: String,
    },
    /// A part of the work begins; with `--dry-run` it would.
    Work {
        /// For people.
        what: String,
    },
    /// A command of the project printed a line.
    Output {
        /// That line.
        line: String,
    },
    /// A file of the release is there.
    File {
        /// Its name.
        name: String,
        /// What it is for.
        kind: Kind,
        /// Its length in bytes.
        size: u64,
        /// The digest of its bytes.
        sha256: String,
    },
    /// A file is at the depot.
    Uploaded {
        /// Its name.
        name: String,
        /// Bytes that this took, 0 when it was there.
        sent: u64,
    },
    /// The release is at the depot.
    Published {
        /// Its counter.
        counter: u64,
        /// It was there before.
        before: bool,
    },
    /// A release could not be made.
    Failed {
        /// Why, for people.
        error: String,
        /// Seconds until it is tried again; none when it is given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_after: Option<u64>,
    },
    /// Something the vendor should look at.
    Warning {
        /// For people.
        text: String,
    },
}
