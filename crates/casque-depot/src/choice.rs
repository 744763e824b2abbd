//! Which release has what a customer asks for.
//!
//! `latest` changes while somebody downloads. A client that resumes with `If-Range` says which file it has a part of. curl does
//! not; so the depot notes of which release a customer began to download, and goes on with that one. Where it cannot know, it
//! serves no part, and curl says that it cannot resume.

use casque_format::digest::Digest;
use casque_sign::PublicKey;
use time::OffsetDateTime;

use crate::access::entitlement::{Entitlement, Why, allowed};
use crate::address::{File, STABLE, Wanted};
use crate::answer::Answer;
use crate::app::Depot;
use crate::error::DepotError;
use crate::install;
use crate::records::Found;
use axum::http::StatusCode;

/// For how long a download that began may be resumed without `If-Range`, in seconds.
const RESUMABLE: i64 = 2 * 86_400;
/// What stands in the place of a version.
pub(crate) const LATEST: &str = "latest";

/// What is asked, and by whom.
pub(crate) struct Asked {
    pub(crate) customer: String,
    pub(crate) wanted: Wanted,
    /// Whether it asks for a part and does not say of what.
    pub(crate) resumes: bool,
    /// Whether it wants the bytes, not only what they would be.
    pub(crate) reads: bool,
    /// What the client calls this host.
    pub(crate) host: Option<String>,
    pub(crate) now: i64,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) content: Content,
    /// The file's own name.
    pub(crate) name: String,
    pub(crate) release: String,
    /// Whether a part of it may be served.
    pub(crate) in_parts: bool,
}

/// A file, or a text that was made for this answer.
#[derive(Debug)]
pub(crate) enum Content {
    File { file: std::fs::File, size: u64, sha256: Digest },
    Text(Vec<u8>),
}

impl Content {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Text(text) => text.len() as u64,
        }
    }

    pub(crate) fn sha256(&self) -> Digest {
        match self {
            Self::File { sha256, .. } => *sha256,
            Self::Text(text) => Digest::of(text),
        }
    }
}

pub(crate) fn broken(error: DepotError) -> Answer {
    Answer::broken("cannot look for a file", &error)
}

/// Finds what is asked for.
pub(crate) fn choose(depot: &Depot, asked: &Asked) -> Result<Chosen, Answer> {
    let product = asked.wanted.product.as_str();
    let mine = depot.records.entitlements(&asked.customer, Some(product)).map_err(broken)?;
    // That there is such a product is told to those who have it.
    if mine.is_empty() {
        return Err(Answer::not_found());
    }
    let text = |name: String, release: String, text: Vec<u8>| {
        Ok(Chosen { content: Content::Text(text), name, release, in_parts: true })
    };
    match &asked.wanted.file {
        File::Artefact(name) => {
            let (found, in_parts) = artefact(depot, asked, &mine, name.as_str())?;
            let file = depot.storage.read(found.sha256).map_err(|error| broken(DepotError::File(error)))?;
            let content = Content::File { file, size: found.size, sha256: found.sha256 };
            Ok(Chosen { content, name: found.name, release: found.release, in_parts })
        }
        File::Sum(name) => {
            let (found, _) = artefact(depot, asked, &mine, name.as_str())?;
            let sum = format!("{}  {name}\n", found.sha256);
            text(format!("{}.sha256", found.name), found.release, sum.into_bytes())
        }
        File::Record(release) => {
            let shown = record(depot, asked, &mine, release)?;
            text(format!("release-{}.json", shown.release), shown.release, shown.record)
        }
        File::RecordSignature(release) => {
            let shown = record(depot, asked, &mine, release)?;
            text(
                format!("release-{}.json.minisig", shown.release),
                shown.release,
                shown.signature.into_bytes(),
            )
        }
        File::Install => {
            let channel = channel(asked);
            let images = depot.records.find_images(product, channel).map_err(broken)?;
            let candidates = images.iter().map(|(found, _)| Candidate::from(found));
            let (found, latest) = &images[pick(candidates, &mine, asked, true)?];
            let script = install::script(depot, found, channel, latest, asked).map_err(broken)?;
            text("install.sh".to_owned(), found.release.clone(), script.into_bytes())
        }
        File::Keys => {
            let keys = depot.records.keys(product).map_err(broken)?;
            let files = keys.iter().filter_map(|key| PublicKey::parse(&key.line).ok()).map(|key| key.file());
            text("keys.pub".to_owned(), String::new(), files.collect::<String>().into_bytes())
        }
    }
}

fn channel(asked: &Asked) -> &str {
    asked.wanted.channel.as_ref().map_or(STABLE, |channel| channel.as_str())
}

/// Finds a file of a release, and says whether a part of it may be served.
fn artefact(depot: &Depot, asked: &Asked, mine: &[Entitlement], name: &str) -> Result<(Found, bool), Answer> {
    let (product, wanted) = (asked.wanted.product.as_str(), &asked.wanted);
    let latest = match name.contains(LATEST) {
        true => depot.records.find_latest(product, channel(asked), name).map_err(broken)?,
        false => Vec::new(),
    };
    if latest.is_empty() {
        let in_channel = wanted.channel.as_ref().map(|channel| channel.as_str());
        let named = depot.records.find_named(product, in_channel, name).map_err(broken)?;
        let index = pick(named.iter().map(Candidate::from), mine, asked, false)?;
        return Ok((named[index].clone(), true));
    }
    let newest = latest[pick(latest.iter().map(Candidate::from), mine, asked, true)?].clone();
    let path = format!("{product}/{}/{name}", channel(asked));
    if asked.resumes {
        let since = asked.now - RESUMABLE;
        let begun = depot.records.begun(&asked.customer, &path, since).map_err(broken)?;
        if let [begun] = begun.as_slice() {
            let same: Vec<Found> = latest.into_iter().filter(|found| found.release == *begun).collect();
            if let Ok(index) = pick(same.iter().map(Candidate::from), mine, asked, true) {
                return Ok((same[index].clone(), true));
            }
        }
    }
    if asked.reads {
        depot.records.begin(&asked.customer, &path, &newest.release, asked.now).map_err(broken)?;
    }
    Ok((newest, !asked.resumes))
}

fn record(
    depot: &Depot,
    asked: &Asked,
    mine: &[Entitlement],
    release: &str,
) -> Result<crate::records::Shown, Answer> {
    let product = asked.wanted.product.as_str();
    let is_latest = release == LATEST;
    let in_channel = match is_latest {
        true => Some(channel(asked)),
        false => asked.wanted.channel.as_ref().map(|channel| channel.as_str()),
    };
    let mut shown =
        depot.records.find_records(product, in_channel, (!is_latest).then_some(release)).map_err(broken)?;
    let candidates = shown.iter().map(|shown| Candidate {
        release: &shown.release,
        channel: &shown.channel,
        withdrawn: shown.withdrawn.as_deref(),
    });
    let index = pick(candidates, mine, asked, is_latest)?;
    Ok(shown.swap_remove(index))
}

/// A release in a channel, that may be what is asked for.
struct Candidate<'a> {
    release: &'a str,
    channel: &'a str,
    withdrawn: Option<&'a str>,
}

impl<'a> From<&'a Found> for Candidate<'a> {
    fn from(found: &'a Found) -> Self {
        Self { release: &found.release, channel: &found.channel, withdrawn: found.withdrawn.as_deref() }
    }
}

/// Returns the first that this customer may have. Where a version is named, one that was withdrawn says why; `latest`
/// goes past it to the one before, as long as there is one.
fn pick<'a>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    mine: &[Entitlement],
    asked: &Asked,
    latest: bool,
) -> Result<usize, Answer> {
    let mut withdrawn = None;
    let mut nearest: Option<(Why, String)> = None;
    for (index, candidate) in candidates.enumerate() {
        match allowed(mine, candidate.channel, candidate.release, asked.now) {
            Ok(()) if candidate.withdrawn.is_none() => return Ok(index),
            Ok(()) => {
                let reason = candidate.withdrawn.unwrap_or_default();
                let text = format!("release `{}` was withdrawn: {reason}", candidate.release);
                withdrawn = withdrawn.or(Some(text));
                if !latest {
                    break;
                }
            }
            Err(why) => {
                let text = refusal(&why, candidate.channel, candidate.release);
                if nearest.as_ref().is_none_or(|(nearest, _)| why > *nearest) {
                    nearest = Some((why, text));
                }
            }
        }
    }
    Err(match (withdrawn, nearest) {
        (Some(text), _) => Answer::new(StatusCode::GONE, text),
        (None, Some((_, text))) => Answer::new(StatusCode::FORBIDDEN, text),
        (None, None) => Answer::not_found(),
    })
}

pub(crate) fn refusal(why: &Why, channel: &str, release: &str) -> String {
    match why {
        Why::Channel => format!("your licence does not cover channel `{channel}`"),
        Why::Version => format!("your licence does not cover release `{release}`"),
        Why::Ended(at) => {
            let day = OffsetDateTime::from_unix_timestamp(*at)
                .map_or_else(|_| at.to_string(), |time| time.date().to_string());
            format!("your licence ended on {day}")
        }
    }
}
