//! Pinned distributions: one wheel for each requirement that applies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use casque_fetch::{Network, Wanted};
use casque_format::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::index::{File, Index};
use crate::requirements::normalised;
use crate::tags::{Tag, WheelName, supported};
use crate::version::{same, satisfies_all};
use crate::{PythonError, Requirement, Target};

/// The index that pip uses by itself.
pub const DEFAULT_INDEX: &str = "https://pypi.org/simple";

/// How many pages of the index are asked for at a time.
const CONNECTIONS: usize = 8;

/// A distribution with its wheel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedDistribution {
    /// Its normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name of its wheel, which says what that runs on.
    pub filename: String,
    /// Where the wheel can be had.
    pub url: String,
    /// Its size in bytes, when the index says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
}

impl PinnedDistribution {
    /// Returns what to download for it.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            label: format!("{} {}", self.name, self.version),
            urls: vec![self.url.clone()],
            digest: self.sha256,
            size: self.size,
            moving: false,
        }
    }
}

/// Chooses, for each requirement that applies to `target`, the best wheel among those its hashes allow.
///
/// Sorted by name. Only the index is asked; nothing is downloaded.
pub fn lock(
    network: &Network,
    index_url: &str,
    requirements: &[Requirement],
    target: Target,
) -> Result<Vec<PinnedDistribution>, PythonError> {
    let index = Index::new(index_url)?;
    let wanted: Vec<&Requirement> = applicable(requirements, target)?.into_values().collect();
    let tags = supported(target);
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(usize::MAX);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(requirement) = wanted.get(at) else { return done };
            // What comes after a failure cannot change which failure is reported.
            if at > failed.load(Ordering::Relaxed) {
                return done;
            }
            let pinned = index
                .files(network, &requirement.name)
                .and_then(|files| choose(requirement, &files, target, &tags));
            if pinned.is_err() {
                failed.fetch_min(at, Ordering::Relaxed);
            }
            done.push((at, pinned));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS.min(wanted.len())).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread that asks does not panic"))
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, pinned)| pinned).collect()
}

/// Returns the requirements that apply, by name.
fn applicable(
    requirements: &[Requirement],
    target: Target,
) -> Result<BTreeMap<&str, &Requirement>, PythonError> {
    let mut by_name: BTreeMap<&str, &Requirement> = BTreeMap::new();
    for requirement in requirements {
        let holds = requirement.marker.as_ref().map_or(Ok(true), |marker| marker.holds(target));
        let holds =
            holds.map_err(|source| PythonError::Marker { requirement: requirement.to_string(), source })?;
        if !holds {
            continue;
        }
        if let Some(first) = by_name.insert(&requirement.name, requirement) {
            return Err(PythonError::Twice {
                name: requirement.name.clone(),
                first: first.line,
                second: requirement.line,
            });
        }
    }
    Ok(by_name)
}

fn choose(
    requirement: &Requirement,
    files: &[File],
    target: Target,
    tags: &[Tag],
) -> Result<PinnedDistribution, PythonError> {
    let allowed: Vec<&File> = files.iter().filter(|file| requirement.hashes.contains(&file.sha256)).collect();
    let best = allowed
        .iter()
        .filter_map(|file| Some((rank(requirement, file, target, tags)?, *file)))
        .min_by_key(|((tag, build), file)| (*tag, std::cmp::Reverse(*build), file.filename.as_str()));
    let Some((_, file)) = best else {
        let requirement = requirement.to_string();
        return Err(match allowed.as_slice() {
            [] => PythonError::NoFile { requirement },
            _ => PythonError::NoWheel { requirement, target: target.to_string(), found: listed(&allowed) },
        });
    };
    Ok(PinnedDistribution {
        name: requirement.name.clone(),
        version: requirement.version.clone(),
        filename: file.filename.clone(),
        url: file.url.clone(),
        size: file.size,
        sha256: file.sha256,
    })
}

fn rank(requirement: &Requirement, file: &File, target: Target, tags: &[Tag]) -> Option<(usize, u64)> {
    let name = WheelName::parse(&file.filename)?;
    let is_it = normalised(name.distribution) == requirement.name && same(name.version, &requirement.version);
    let runs = file.requires_python.as_ref().is_none_or(|list| satisfies_all(&target.python.plain(), list));
    (is_it && runs).then(|| name.rank(tags)).flatten().map(|tag| (tag, name.build))
}

/// Names some files for a message.
fn listed(files: &[&File]) -> String {
    const MOST: usize = 3;
    let mut names: Vec<&str> = files.iter().map(|file| file.filename.as_str()).collect();
    names.sort_unstable();
    let shown: Vec<_> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
