//! Locking and fetching: what a build takes from elsewhere is decided once, and then only ever downloaded.

mod archives;
mod base;
mod changes;
mod file;
mod mirrors;
mod python;
mod steps;

use std::collections::BTreeSet;
use std::path::Path;

use casque_debian::{Control, Package, Pin, PinnedArchive, Universe, load_archives, resolve_on};
use casque_fetch::{Network, Progress, Store, fetch_all};
use time::OffsetDateTime;

pub(crate) use archives::archive_names;
pub use base::LockedBase;
pub use changes::LockChanges;
pub use file::{Lockfile, PackageSet, Purpose};
pub use mirrors::Mirrors;
pub(crate) use python::{Environment, environments_of, shown};
pub use python::{PinnedProject, PythonSet};
pub use steps::StepRecord;

use crate::cache::{Cache, touch};
use crate::configure::ARCHITECTURE;
use crate::error::{BuildError, LockError};
use crate::event::{Event, Observer};
use crate::manifest::{Manifest, Release};
pub use crate::record::Steps;
use crate::record::record;

/// Downloads beside each other.
const PARALLEL: usize = 8;
/// What to decide anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// What is not in the lock, or does not fit the manifest.
    WhenStale,
    /// Also what steps download that have changed since; what they downloaded before stays as it is.
    WhenChanged,
    /// Everything.
    Always,
    /// Every package and distribution, and nothing is run or written.
    DryRun,
}

/// What locking needs.
pub struct Request<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// The lock file.
    pub path: &'a Path,
    /// What to decide anew.
    pub update: Update,
    /// How to run steps whose downloads are to be locked; needed when [`Manifest::recorded_layers`] has any.
    pub steps: Option<Steps<'a>>,
    /// How to download.
    pub network: &'a Network,
    /// Where downloads are kept.
    pub cache: &'a Cache,
    /// What stands in for well-known addresses.
    pub mirrors: &'a Mirrors,
    /// Take an archive that is older than that of the lock.
    pub allow_older: bool,
    /// In place of the Python package index.
    pub python_index: Option<&'a str>,
    /// For judging what has expired.
    pub now: OffsetDateTime,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Who watches downloads.
    pub progress: &'a dyn Progress,
}

/// Returns the lock of a manifest, resolving and writing it when that is needed.
///
/// # Errors
/// Everything that can be wrong with archives, packages, requirements and the network.
pub fn lock(request: &Request<'_>) -> Result<Lockfile, BuildError> {
    if request.update == Update::DryRun {
        return request.resolve();
    }
    let mut lock = None;
    if request.update != Update::Always {
        match Lockfile::read(request.path) {
            Ok(read) => match read.fits(request.manifest, request.path) {
                Ok(()) => lock = Some(read),
                Err(BuildError::Lock(reason @ LockError::Stale { .. })) => {
                    request.work(&format!("{reason}, so it is made anew"));
                }
                // What a product stands on does not become another one without anybody having said so.
                Err(BuildError::Lock(reason @ LockError::BaseChanged { .. }))
                    if request.update == Update::WhenChanged =>
                {
                    request.work(&format!("{reason}, so it is made anew"));
                }
                Err(error) => return Err(error),
            },
            Err(LockError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let fits = lock.is_some();
    let mut lock = match lock {
        Some(lock) => lock,
        None => request.resolve()?,
    };
    let recorded = record(request, &mut lock)?;
    if recorded || !fits {
        lock.write(request.path)?;
    }
    Ok(lock)
}

/// Downloads everything that `lock` pins and the cache does not have.
///
/// # Errors
/// A file that is gone, cannot be reached, or is not what was pinned.
pub fn fetch(
    lock: &Lockfile,
    network: &Network,
    cache: &Cache,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<(), BuildError> {
    fetch_into(&cache.store()?, lock, network, mirrors, progress)
}

/// Does what [`fetch`] does for a store of its own, which a build elsewhere can use.
///
/// # Errors
/// Those of [`fetch`].
pub fn fetch_into(
    store: &Store,
    lock: &Lockfile,
    network: &Network,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<(), BuildError> {
    for (digest, text) in lock.step_texts() {
        if !store.contains(digest) {
            store.insert_bytes(text.as_bytes())?;
        }
    }
    let mut files = lock.files();
    files.extend(lock.step_files());
    let digests: Vec<_> = files.iter().map(|file| file.digest).collect();
    for directory in &mirrors.stores {
        store.import(directory, &digests)?;
    }
    for url in files.iter_mut().flat_map(|file| &mut file.urls) {
        *url = mirrors.stand_in(url);
    }
    fetch_all(network, store, &files, PARALLEL, progress).map(drop).map_err(file::superseded)?;
    digests.iter().try_for_each(|digest| touch(&store.path(digest))).map_err(BuildError::Cache)
}

/// Returns what every Debian system has: what is essential or of the priority `required` (Debian policy 2.5, 3.8).
fn minimal(universe: &Universe) -> BTreeSet<&str> {
    let required = universe.packages().iter().filter(|package| package.control.priority == "required");
    let essential = universe.essential();
    let names = essential.into_iter().chain(required).map(|package| package.control.name.as_str());
    // Merging `/usr` is for systems that are not; `usr-is-merged` stands in for it.
    names.filter(|name| *name != "usrmerge").collect()
}

impl Request<'_> {
    fn work(&self, what: &str) {
        self.observer.event(&Event::Work { what: what.to_owned() });
    }

    fn resolve(&self) -> Result<Lockfile, BuildError> {
        let base = self.base()?;
        let (base, installed) = match base {
            Some((base, facts)) => (Some(base), facts.installed),
            None => (None, Vec::new()),
        };
        let mut lock = Lockfile::new(Vec::new());
        lock.base = base;
        if let Some(release) = lock.release(self.manifest) {
            self.choose(&mut lock, &release, &installed)?;
        }
        lock.python = self.pin_python(&lock, &installed)?;
        Ok(lock)
    }

    /// Chooses the packages of every layer, beside those that are `installed` in the base.
    fn choose(
        &self,
        lock: &mut Lockfile,
        release: &Release,
        installed: &[Control],
    ) -> Result<(), BuildError> {
        self.work("reading the archives' metadata");
        let archives = self.archives(release)?;
        self.check_pins(&archives)?;
        let store = self.cache.store()?;
        let mut snapshot = load_archives(self.network, &store, &archives, ARCHITECTURE, self.now)?;
        let preferences = self.preferences(&archives, &snapshot.releases);
        snapshot.universe.prefer(&preferences);
        let universe = &snapshot.universe;
        self.work(&format!("resolving, {} packages to choose from", universe.len()));
        let described = archives.iter().zip(&snapshot.releases);
        lock.archives = described.map(|(archive, release)| PinnedArchive::new(archive, release)).collect();
        self.write_preferences(lock);
        // The layers of a base that is an image stay as they are, and so does what is installed there.
        let held = installed.iter().map(|control| control.name.clone()).collect();
        // What with-packages brings is gone after its step, so only what ships is there for the next layer.
        let mut shipped: Vec<Control> = installed.to_vec();
        for demand in file::demands(self.manifest) {
            let mut wanted: Vec<_> =
                demand.wanted.iter().map(|text| casque_debian::Request::parse(text)).collect();
            if demand.layer == file::BASE && lock.base.is_none() {
                wanted.extend(minimal(universe).into_iter().map(casque_debian::Request::parse));
            }
            let installed = shipped.clone();
            let chosen = resolve_on(universe, &held, &installed, &wanted).map_err(|source| {
                let base = lock.base.as_ref().map(|base| base.from.clone());
                BuildError::Resolve { layer: demand.layer.clone(), base, source: Box::new(source) }
            })?;
            let set = PackageSet {
                layer: demand.layer,
                purpose: demand.purpose,
                wanted: demand.wanted,
                packages: chosen.iter().map(|package| package.control.name.clone()).collect(),
            };
            let pin = |package: &&Package| {
                Pin::new(package, &archives[package.archive], &snapshot.releases[package.archive])
            };
            lock.packages.extend(chosen.iter().map(pin));
            if set.purpose == Purpose::Packages {
                shipped.extend(chosen.iter().map(|package| package.control.clone()));
            }
            lock.sets.push(set);
        }
        lock.packages.sort_by(|a, b| a.name.cmp(&b.name));
        lock.packages.dedup_by(|a, b| a.name == b.name);
        Ok(())
    }
}
