//! A signed archive and the download of its indexes.

use std::io::Read;
use std::thread;

use casque_fetch::{FetchError, Network, Silent, Store, Wanted, fetch_all};
use thiserror::Error;
use time::OffsetDateTime;

use crate::compress::{CompressError, Compression};
use crate::keyring::Keyring;
use crate::release::{IndexEntry, Release, ReleaseError};
use crate::universe::{Universe, UniverseError};

/// What an `InRelease` may have at most.
const LARGEST_RELEASE: u64 = 16 << 20;
/// What an unpacked index may have at most.
const LARGEST_INDEX: u64 = 1 << 30;

/// An archive of packages.
#[derive(Debug, Clone)]
pub struct Archive {
    /// What the manifest calls it.
    pub name: String,
    /// Its address, without a slash at the end.
    pub url: String,
    /// The address of what stands in for it.
    pub mirror: Option<String>,
    /// When the metadata was made that was accepted before; an older one is refused.
    pub accepted: Option<OffsetDateTime>,
    /// The suite; one that ends in a slash is the directory of an archive without components.
    pub suite: String,
    /// The components, such as `main`.
    pub components: Vec<String>,
    /// Who may sign it.
    pub keyring: Keyring,
}

/// Why an archive cannot be used; always said together with its name.
#[derive(Debug, Error)]
#[error("cannot use archive `{archive}`")]
pub struct ArchiveError {
    /// The archive's name.
    pub archive: String,
    /// What happened.
    #[source]
    pub reason: ArchiveReason,
}

/// What makes an archive unusable.
#[derive(Debug, Error)]
pub enum ArchiveReason {
    /// A file could not be had.
    #[error(transparent)]
    Fetch(FetchError),
    /// The metadata cannot be trusted or understood.
    #[error(transparent)]
    Release(ReleaseError),
    /// The archive does not have the component, or not for the architecture.
    #[error("it has no component `{component}` for {architecture}")]
    Component {
        /// The component.
        component: String,
        /// The architecture.
        architecture: String,
    },
    /// An index could not be unpacked.
    #[error("cannot unpack index `{index}`")]
    Compressed {
        /// The index.
        index: String,
        /// Why.
        source: CompressError,
    },
    /// An index unpacks to more than it should.
    #[error("index `{index}` unpacks to more than {limit} bytes")]
    TooLarge {
        /// The index.
        index: String,
        /// What it may have.
        limit: u64,
    },
    /// An index is not text.
    #[error("index `{index}` is not UTF-8 text")]
    NotText {
        /// The index.
        index: String,
    },
    /// An index could not be understood.
    #[error("cannot read index `{index}`")]
    Index {
        /// The index.
        index: String,
        /// Why.
        source: UniverseError,
    },
}

/// What the archives offered when they were asked.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The metadata of each archive, in the order they were given.
    pub releases: Vec<Release>,
    /// Every package they offer.
    pub universe: Universe,
}

/// Downloads and checks the metadata of `archives`, all at once. Indexes stay in `store`, so an unchanged archive
/// costs one small file the next time.
pub fn load_archives(
    network: &Network,
    store: &Store,
    archives: &[Archive],
    architecture: &str,
    now: OffsetDateTime,
) -> Result<Snapshot, ArchiveError> {
    let loaded: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = archives
            .iter()
            .map(|archive| scope.spawn(move || load(network, store, archive, architecture, now)))
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut universe = Universe::new(architecture);
    let mut releases = vec![];
    for (number, (archive, loaded)) in archives.iter().zip(loaded).enumerate() {
        let failed = |reason| ArchiveError { archive: archive.name.clone(), reason };
        let (release, indexes) =
            loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(failed)?;
        for (index, text) in indexes {
            universe
                .add_index(text, number)
                .map_err(|source| failed(ArchiveReason::Index { index, source }))?;
        }
        let mut names = vec![archive.suite.as_str(), &release.suite, &release.codename];
        names.retain(|name| !name.is_empty());
        names.dedup();
        universe.name_archive(number, &names);
        releases.push(release);
    }
    Ok(Snapshot { releases, universe })
}

/// Returns the verified metadata and the text of each index by its path.
fn load(
    network: &Network,
    store: &Store,
    archive: &Archive,
    architecture: &str,
    now: OffsetDateTime,
) -> Result<(Release, Vec<(String, String)>), ArchiveReason> {
    let base = directory(archive.mirror.as_ref().unwrap_or(&archive.url), &archive.suite);
    let release = load_release(network, store, archive, &base, now)?;
    if !archive.suite.ends_with('/') {
        release.check_suite(&archive.suite).map_err(ArchiveReason::Release)?;
    }
    release.check_age(archive.accepted).map_err(ArchiveReason::Release)?;
    let indexes = archive.choose_indexes(&release, architecture)?;
    let wanted: Vec<_> = indexes.iter().map(|index| index.wanted(&base, release.by_hash)).collect();
    fetch_all(network, store, &wanted, 2, &Silent).map_err(ArchiveReason::Fetch)?;
    let mut texts = vec![];
    for index in indexes {
        let text = index.read(store)?;
        texts.push((index.path, text));
    }
    Ok((release, texts))
}

/// Reads `InRelease`, or where there is none the older pair of `Release` and its signatures.
fn load_release(
    network: &Network,
    store: &Store,
    archive: &Archive,
    base: &str,
    now: OffsetDateTime,
) -> Result<Release, ArchiveReason> {
    let get = |name: &str| network.get(&format!("{base}/{name}"), LARGEST_RELEASE);
    let keyring = &archive.keyring;
    let release = match get("InRelease") {
        Ok(signed) => {
            // A step that asks for it later gets the one that packages were chosen by.
            store.insert_bytes(&signed).map_err(ArchiveReason::Fetch)?;
            Release::verify(&signed, keyring, now)
        }
        Err(missing @ FetchError::NotFound { .. }) => {
            let pair = get("Release").and_then(|release| Ok((release, get("Release.gpg")?)));
            let (release, signatures) = pair.map_err(|error| match error {
                FetchError::NotFound { .. } => ArchiveReason::Fetch(missing),
                error => ArchiveReason::Fetch(error),
            })?;
            Release::verify_detached(&release, &signatures, keyring, now)
        }
        Err(error) => return Err(ArchiveReason::Fetch(error)),
    };
    release.map_err(ArchiveReason::Release)
}

impl Archive {
    fn choose_indexes(&self, release: &Release, architecture: &str) -> Result<Vec<Index>, ArchiveReason> {
        if self.suite.ends_with('/') {
            let index = Index::best(release, "Packages");
            return index.map(|index| vec![index]).ok_or_else(|| self.no_component("", architecture));
        }
        let mut indexes = vec![];
        for component in &self.components {
            let own = Index::best(release, &format!("{component}/binary-{architecture}/Packages"));
            let all = release
                .separate_all
                .then(|| Index::best(release, &format!("{component}/binary-all/Packages")));
            let before = indexes.len();
            indexes.extend(own.into_iter().chain(all.flatten()));
            if indexes.len() == before {
                return Err(self.no_component(component, architecture));
            }
        }
        Ok(indexes)
    }

    fn no_component(&self, component: &str, architecture: &str) -> ArchiveReason {
        ArchiveReason::Component { component: component.to_owned(), architecture: architecture.to_owned() }
    }
}

/// Returns where the metadata of a suite is.
pub(crate) fn directory(url: &str, suite: &str) -> String {
    let url = url.trim_end_matches('/');
    match suite.strip_suffix('/') {
        Some("" | ".") => url.to_owned(),
        Some(directory) => format!("{url}/{}", directory.trim_start_matches("./")),
        None => format!("{url}/dists/{suite}"),
    }
}

/// An index in the form that was chosen.
struct Index {
    path: String,
    entry: IndexEntry,
    compression: Compression,
    /// What it unpacks to at most.
    unpacked: u64,
}

impl Index {
    /// Chooses the form that is usually the smallest. The plain one comes last: archives state it without having it.
    fn best(release: &Release, path: &str) -> Option<Self> {
        let forms = [Compression::Xz, Compression::Zstd, Compression::Gzip, Compression::None];
        let unpacked = release.indexes.get(path).map_or(LARGEST_INDEX, |plain| plain.size);
        forms.into_iter().find_map(|compression| {
            let path = format!("{path}{}", compression.suffix());
            let entry = *release.indexes.get(&path)?;
            Some(Self { path, entry, compression, unpacked })
        })
    }

    /// A mirror may replace the plain name at any moment, and may lack the names by digest.
    fn wanted(&self, base: &str, by_hash: bool) -> Wanted {
        let plain = format!("{base}/{}", self.path);
        let directory =
            self.path.rsplit_once('/').map(|(directory, _)| format!("/{directory}")).unwrap_or_default();
        let hashed = by_hash.then(|| format!("{base}{directory}/by-hash/SHA256/{}", self.entry.digest));
        Wanted {
            label: self.path.clone(),
            urls: hashed.into_iter().chain([plain]).collect(),
            digest: self.entry.digest,
            size: Some(self.entry.size),
            moving: false,
        }
    }

    fn read(&self, store: &Store) -> Result<String, ArchiveReason> {
        let packed = store.read(&self.entry.digest).map_err(ArchiveReason::Fetch)?;
        let failed = |source| ArchiveReason::Compressed { index: self.path.clone(), source };
        let mut bytes = vec![];
        self.compression
            .reader(packed.as_slice())
            .map_err(failed)?
            .take(self.unpacked.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| failed(CompressError::Read(error)))?;
        if bytes.len() as u64 > self.unpacked {
            return Err(ArchiveReason::TooLarge { index: self.path.clone(), limit: self.unpacked });
        }
        String::from_utf8(bytes).map_err(|_| ArchiveReason::NotText { index: self.path.clone() })
    }
}
