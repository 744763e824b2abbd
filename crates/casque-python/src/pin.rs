//! Pinned distributions: one file for each requirement that applies, a wheel where there is one that fits.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use casque_fetch::{Network, Store, Wanted, fetch_all};
use casque_format::digest::Digest;
use pep440_rs::Version;
use serde::{Deserialize, Serialize};

use crate::index::{File, Index};
use crate::requirements::applicable;
use crate::sdist::stem_of_sdist;
use crate::specification::name_and_version;
use crate::tags::{Tag, WheelName, supported};
use crate::version::{same, satisfies_all};
use crate::{BuildSystem, Formats, PythonError, Requirement, Requirements, Target};

/// The index that pip uses by itself.
pub const DEFAULT_INDEX: &str = "https://pypi.org/simple";

/// How many pages of the index are asked for at a time.
const CONNECTIONS: usize = 8;

/// A distribution with its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedDistribution {
    /// Its normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name of its wheel, which says what that runs on, or of its sources.
    pub filename: String,
    /// Where the file can be had.
    pub url: String,
    /// Its size in bytes, when the index says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Digest,
    /// The requirement names the file itself and not a version of an index.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// Of sources: what they are built with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build: Vec<Self>,
}

impl PinnedDistribution {
    /// Returns what to download for it, what it is built with included.
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = vec![Wanted {
            label: format!("{} {}", self.name, self.version),
            urls: vec![self.url.clone()],
            digest: self.sha256,
            size: self.size,
            moving: false,
        }];
        wanted.extend(self.build.iter().flat_map(Self::wanted));
        wanted
    }

    /// Tells whether it has to be built.
    pub fn is_source(&self) -> bool {
        !self.filename.ends_with(".whl")
    }
}

/// What the requirements of an environment come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// Sorted by name.
    pub distributions: Vec<PinnedDistribution>,
    /// What the vendor should know.
    pub warnings: Vec<String>,
}

/// Asks package indexes, and keeps what they say.
pub struct Locker<'a> {
    network: &'a Network,
    pub(crate) store: &'a Store,
    indexes: Vec<Index>,
    pub(crate) target: Target,
    tags: Vec<Tag>,
    pages: Mutex<BTreeMap<String, Vec<File>>>,
}

/// How well a file fits: smaller is better.
type Rank = (usize, std::cmp::Reverse<u64>);

impl<'a> Locker<'a> {
    /// Prepares to ask `index_url`, or what `requirements` name in its place, for files that run on `target`.
    pub fn new(
        network: &'a Network,
        store: &'a Store,
        index_url: &str,
        requirements: &Requirements,
        target: Target,
    ) -> Result<Self, PythonError> {
        let named = requirements.indexes.only.as_deref();
        // Whoever stands in for the usual index does so for those who name it.
        let usual = named.filter(|url| url.trim_end_matches('/') != DEFAULT_INDEX).unwrap_or(index_url);
        let extra = requirements.indexes.extra.iter().map(String::as_str);
        let indexes =
            std::iter::once(usual).chain(extra.filter(|url| url.trim_end_matches('/') != DEFAULT_INDEX));
        let indexes = indexes.map(Index::new).collect::<Result<_, _>>()?;
        let tags = supported(target);
        Ok(Self { network, store, indexes, target, tags, pages: Mutex::default() })
    }

    /// Chooses, for each requirement that applies, the best file among those its hashes allow.
    ///
    /// Wheels are not downloaded; sources are, since they say what they are built with, and so is that.
    pub fn pin(&self, requirements: &Requirements, further: &[String]) -> Result<Pinned, PythonError> {
        let wanted: Vec<Requirement> = applicable(&requirements.pinned, self.target)?.into_values().collect();
        let (mut distributions, mut warnings) = (Vec::new(), Vec::new());
        for chosen in self.each(&wanted, |requirement| self.choose(requirement, &requirements.formats))? {
            let (pin, yanked) = chosen;
            if let Some(reason) = yanked {
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                warnings.push(format!("`{}=={}` was yanked from the index{reason}", pin.name, pin.version));
            }
            distributions.push(pin);
        }
        for pin in distributions.iter_mut().filter(|pin| pin.is_source()) {
            self.fetch(std::slice::from_ref(pin))?;
            let system = BuildSystem::of_archive(&pin.filename, &self.store.path(&pin.sha256))?;
            pin.build = self.pin_build(&format!("{} {}", pin.name, pin.version), &system, further)?;
        }
        Ok(Pinned { distributions, warnings })
    }

    /// Does something for each requirement, several at a time; of failures the first by name is reported.
    fn each<T: Send>(
        &self,
        wanted: &[Requirement],
        act: impl Fn(&Requirement) -> Result<T, PythonError> + Sync,
    ) -> Result<Vec<T>, PythonError> {
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
                let result = act(requirement);
                if result.is_err() {
                    failed.fetch_min(at, Ordering::Relaxed);
                }
                done.push((at, result));
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
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// Returns the files of a project in all indexes.
    pub(crate) fn files(&self, project: &str) -> Result<Vec<File>, PythonError> {
        let pages = || self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = pages().get(project) {
            return Ok(files.clone());
        }
        let (mut files, mut missing) = (Vec::new(), None);
        let mut known = false;
        for index in &self.indexes {
            match index.files(self.network, project) {
                Ok(found) => {
                    known = true;
                    files.extend(found);
                }
                Err(error @ PythonError::NoProject { .. }) => missing = missing.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        if let (false, Some(missing)) = (known, missing) {
            return Err(missing);
        }
        pages().insert(project.to_owned(), files.clone());
        Ok(files)
    }

    /// Downloads files into the store.
    pub(crate) fn fetch(&self, pins: &[PinnedDistribution]) -> Result<(), PythonError> {
        let wanted: Vec<Wanted> = pins.iter().flat_map(PinnedDistribution::wanted).collect();
        fetch_all(self.network, self.store, &wanted, CONNECTIONS, &casque_fetch::Silent)
            .map(drop)
            .map_err(PythonError::Download)
    }

    fn choose(
        &self,
        requirement: &Requirement,
        formats: &Formats,
    ) -> Result<(PinnedDistribution, Option<String>), PythonError> {
        let files = match &requirement.url {
            Some(url) => self.direct(requirement, url)?,
            None => self.files(&requirement.name)?,
        };
        let file = choose(requirement, &files, self.target, &self.tags, formats)?;
        let mut pin = file.pinned(&requirement.name, &requirement.version);
        pin.direct = requirement.url.is_some();
        Ok((pin, file.yanked.clone()))
    }

    /// Returns the file that a requirement names itself.
    fn direct(&self, requirement: &Requirement, url: &str) -> Result<Vec<File>, PythonError> {
        /// More than any wheel that one names by its address.
        const LARGEST: u64 = 1 << 30;
        let sha256 = match requirement.hashes.as_slice() {
            [only] => *only,
            _ => {
                let bytes = self.network.get(url, LARGEST).map_err(PythonError::Download)?;
                self.store.insert_bytes(&bytes).map_err(PythonError::Download)?
            }
        };
        let filename = url.rsplit('/').next().and_then(crate::index::unescaped).unwrap_or_default();
        let url = url.to_owned();
        Ok(vec![File { filename, url, sha256, size: None, requires_python: None, yanked: None }])
    }

    /// Returns how well a wheel fits, whatever its version.
    pub(crate) fn rank(&self, file: &File) -> Option<Rank> {
        rank(file, self.target, &self.tags)
    }
}

impl File {
    pub(crate) fn pinned(&self, name: &str, version: &str) -> PinnedDistribution {
        PinnedDistribution {
            name: name.to_owned(),
            version: version.to_owned(),
            filename: self.filename.clone(),
            url: self.url.clone(),
            size: self.size,
            sha256: self.sha256,
            direct: false,
            build: Vec::new(),
        }
    }
}

fn choose<'f>(
    requirement: &Requirement,
    files: &'f [File],
    target: Target,
    tags: &[Tag],
    formats: &Formats,
) -> Result<&'f File, PythonError> {
    let of_version: Vec<&File> = files.iter().filter(|file| is_of(requirement, file)).collect();
    let allowed: Vec<&File> =
        of_version.iter().copied().filter(|file| requirement.hashes.contains(&file.sha256)).collect();
    let best_wheel = |files: &[&'f File]| {
        let ranked = files.iter().filter_map(|file| Some((rank(file, target, tags)?, *file)));
        ranked.min_by_key(|(rank, file)| (*rank, file.filename.as_str())).map(|(_, file)| file)
    };
    let sources = |files: &[&'f File]| {
        let fitting = files.iter().copied().filter(|file| stem_of_sdist(&file.filename).is_some());
        // A gzipped tar is what index and tools prefer.
        fitting.filter(|file| runs(file, target)).min_by_key(|file| file.filename.ends_with(".zip"))
    };
    let takes_wheels = formats.takes_wheels(&requirement.name);
    let best = |files: &[&'f File]| {
        let wheel = best_wheel(files).filter(|_| takes_wheels);
        wheel.or_else(|| sources(files).filter(|_| formats.takes_sources(&requirement.name)))
    };
    if let Some(file) = best(&allowed) {
        return Ok(file);
    }
    let fits = best(&of_version).map(|file| format!("{} --hash=sha256:{}", file.filename, file.sha256));
    let requirement_text = requirement.to_string();
    Err(match (of_version.as_slice(), allowed.as_slice()) {
        ([], _) => PythonError::NoVersion { requirement: requirement_text, newest: newest(files) },
        (_, []) => PythonError::NoFile { requirement: requirement_text, found: listed(&of_version), fits },
        _ => PythonError::NoFit {
            requirement: requirement_text,
            what: if takes_wheels { "wheel" } else { "archive of sources" },
            target: target.to_string(),
            found: listed(&allowed),
            fits,
            refused: !formats.takes_sources(&requirement.name) && sources(&allowed).is_some(),
        },
    })
}

/// Tells whether a file is of the distribution and the version that is wanted.
fn is_of(requirement: &Requirement, file: &File) -> bool {
    name_and_version(&file.filename)
        .is_some_and(|(name, version)| name == requirement.name && same(&version, &requirement.version))
}

fn runs(file: &File, target: Target) -> bool {
    file.requires_python.as_ref().is_none_or(|list| satisfies_all(&target.python.full(), list))
}

fn rank(file: &File, target: Target, tags: &[Tag]) -> Option<Rank> {
    let name = WheelName::parse(&file.filename)?;
    let tag = name.rank(tags).filter(|_| runs(file, target))?;
    Some((tag, std::cmp::Reverse(name.build)))
}

/// Returns the newest version that is no preview.
fn newest(files: &[File]) -> Option<String> {
    let versions =
        files.iter().filter_map(|file| Version::from_str(&name_and_version(&file.filename)?.1).ok());
    versions.filter(|version| !version.any_prerelease()).max().map(|version| version.to_string())
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
