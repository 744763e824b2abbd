//! What `casque doctor --json` prints: whether this host can build, and what to do where it cannot.

use serde::{Deserialize, Serialize};

/// Number of the format.
pub const VERSION: u32 = 1;

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// [`VERSION`].
    pub version: u32,
    /// Whether nothing is missing.
    pub ready: bool,
    /// In the order in which a build meets them.
    pub findings: Vec<Finding>,
}

/// One fact, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is so on this host, in words.
    pub fact: String,
    /// What that means for a build.
    pub verdict: Verdict,
    /// What to do about it: lines for a shell, or a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What a fact means for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Met,
    /// A build may yet fail.
    Warning,
    /// A build cannot work.
    Missing,
}
