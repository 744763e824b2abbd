//! The versions of a product that a customer may have, and which of them an address means.

use axum::http::StatusCode;
use serde::Serialize;

use super::words;
use crate::access::entitlement::{Entitlement, allowed};
use crate::address::STABLE;
use crate::answer::Answer;
use crate::app::Depot;
use crate::choice::{LATEST, broken, refusal};
use crate::records::ReleaseRecord;

/// A version.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Version {
    pub(super) release: String,
    /// The channels of it that the customer may have, sorted.
    pub(super) channels: Vec<String>,
    /// The day it was published.
    pub(super) published: String,
    pub(super) size: String,
    pub(super) notes: String,
    /// Why it is there no more.
    pub(super) withdrawn: Option<String>,
}

impl Version {
    /// Whether it can be downloaded.
    fn is_there(&self) -> bool {
        self.withdrawn.is_none()
    }

    fn is_in(&self, channel: &str) -> bool {
        self.channels.iter().any(|one| one == channel)
    }
}

/// Returns what a customer may have of a product. That there is such a product is told to those who have it.
pub(super) fn licence(depot: &Depot, customer: &str, product: &str) -> Result<Vec<Entitlement>, Answer> {
    let mine = depot.records.entitlements(customer, Some(product)).map_err(broken)?;
    if mine.is_empty() { Err(Answer::not_found()) } else { Ok(mine) }
}

/// Returns the versions that a licence covers, the newest first.
pub(super) fn mine(depot: &Depot, product: &str, licence: &[Entitlement]) -> Result<Vec<Version>, Answer> {
    let now = depot.now();
    let releases = depot.records.releases(product).map_err(broken)?;
    let covered = releases.into_iter().filter_map(|release| covered(release, licence, now).ok());
    Ok(covered.collect())
}

/// Returns a release as far as a licence covers it, or why it does not.
fn covered(release: ReleaseRecord, licence: &[Entitlement], now: i64) -> Result<Version, Option<String>> {
    let mut channels = Vec::new();
    let mut nearest = None;
    for channel in release.channels {
        match allowed(licence, &channel, &release.release, now) {
            Ok(()) => channels.push(channel),
            Err(why) => nearest = nearest.max(Some((why, channel))),
        }
    }
    if channels.is_empty() {
        return Err(nearest.map(|(why, channel)| refusal(&why, &channel, &release.release)));
    }
    Ok(Version {
        release: release.release,
        channels,
        published: words::day(release.published),
        size: words::size(u64::try_from(release.bytes).unwrap_or(0)),
        notes: release.notes,
        withdrawn: release.withdrawn,
    })
}

/// Returns the newest that can be downloaded: of the stable channel, or else of any.
pub(super) fn newest(versions: &[Version]) -> Option<&Version> {
    let there = || versions.iter().filter(|version| version.is_there());
    there().find(|version| version.is_in(STABLE)).or_else(|| there().next())
}

/// Which version an address means.
#[derive(Debug, Clone)]
pub(super) enum Which {
    /// That of this name.
    Named(String),
    /// The newest of a channel.
    Latest {
        /// The channel.
        channel: String,
    },
}

impl Which {
    /// Reads the version of an address without a channel, which means the stable one.
    pub(super) fn of(version: String) -> Self {
        match version.as_str() {
            LATEST => Self::Latest { channel: STABLE.to_owned() },
            _ => Self::Named(version),
        }
    }
}

/// Finds the version that is meant, and the one before it in a channel that both are in.
pub(super) fn find(
    depot: &Depot,
    product: &str,
    licence: &[Entitlement],
    wanted: &Which,
) -> Result<(Version, Option<Version>), Answer> {
    let mut versions = mine(depot, product, licence)?;
    let is_wanted = |version: &Version| match wanted {
        Which::Latest { channel } => version.is_there() && version.is_in(channel),
        Which::Named(name) => version.release == *name,
    };
    let Some(index) = versions.iter().position(is_wanted) else {
        return Err(not_found(depot, product, licence, wanted));
    };
    let mut older = versions.split_off(index + 1).into_iter();
    let found = versions.swap_remove(index);
    let shares = |version: &Version| version.channels.iter().any(|channel| found.is_in(channel));
    let before = older.find(|version| version.is_there() && shares(version));
    Ok((found, before))
}

/// Says of a version that is there for others why it is not for this customer, as a download does.
fn not_found(depot: &Depot, product: &str, licence: &[Entitlement], wanted: &Which) -> Answer {
    let releases = match depot.records.releases(product) {
        Ok(releases) => releases,
        Err(error) => return broken(error),
    };
    let mut named = releases.into_iter().filter(|release| match wanted {
        Which::Latest { channel } => release.channels.contains(channel),
        Which::Named(name) => release.release == *name,
    });
    let why = named.find_map(|release| covered(release, licence, depot.now()).err().flatten());
    why.map_or_else(Answer::not_found, |text| Answer::new(StatusCode::FORBIDDEN, text))
}
