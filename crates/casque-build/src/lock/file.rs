//! The lock file, `casque.lock`: every file a build takes from elsewhere, by hash.

use std::io;
use std::path::Path;

use casque_debian::{Pin, PinnedArchive};
use casque_fetch::{FetchError, Wanted};
use casque_python::PinnedDistribution;
use serde::{Deserialize, Serialize};

use super::archives;
use super::base::LockedBase;
use super::python::{self, PythonSet};
use super::steps::StepRecord;
use crate::error::{BuildError, LockError};
use crate::manifest::{Distribution, Manifest, PackagePin};

/// The version of [`Lockfile`] this code writes.
const VERSION: u32 = 1;
const HEAD: &str = "# Written by `casque lock`. Every file that a build takes from elsewhere, by hash.\n\n";

/// The lock file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockfile {
    version: u32,
    /// The image that the product starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<LockedBase>,
    /// Archives, in the order their packages are preferred.
    #[serde(default, rename = "archive")]
    pub archives: Vec<PinnedArchive>,
    /// Packages that are preferred more or less than their archive, as the manifest has them.
    #[serde(default, rename = "pin", skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PackagePin>,
    /// What each layer asks for and what that comes to.
    #[serde(default, rename = "set")]
    pub sets: Vec<PackageSet>,
    /// Python distributions by layer.
    #[serde(default, rename = "python")]
    pub python: Vec<PythonSet>,
    /// Every package, sorted by name.
    #[serde(default, rename = "package")]
    pub packages: Vec<Pin>,
    /// What steps download, in the order of the layers.
    #[serde(default, rename = "step", skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<StepRecord>,
}

/// What a set of packages is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// They ship.
    Packages,
    /// They are there while Python distributions are built.
    Build,
    /// They are there for the layer's step only.
    Step,
}

/// Packages of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSet {
    /// `base`, or the layer's name.
    pub layer: String,
    /// What they are for.
    pub purpose: Purpose,
    /// What the manifest asks for.
    pub wanted: Vec<String>,
    /// What that comes to beyond the layers below, in the order it is unpacked.
    pub packages: Vec<String>,
}

/// The name of the layer that every image begins with.
pub(super) const BASE: &str = "base";

/// What the manifest asks of the archives, in the order it is resolved.
pub(super) struct Demand {
    pub(super) layer: String,
    pub(super) purpose: Purpose,
    pub(super) wanted: Vec<String>,
}

/// Returns what `manifest` asks of the archives.
pub(super) fn demands(manifest: &Manifest) -> Vec<Demand> {
    let base = &manifest.content.base;
    let mut wanted = match base.from {
        // `usr-is-merged` fulfils what would otherwise bring `usrmerge` and with it all of perl.
        None => vec!["usr-is-merged".to_owned(), "apt".to_owned()],
        Some(_) => Vec::new(),
    };
    wanted.extend(base.packages.iter().cloned());
    let mut demands = Vec::new();
    if !wanted.is_empty() {
        demands.push(Demand { layer: BASE.to_owned(), purpose: Purpose::Packages, wanted });
    }
    for layer in &manifest.content.layer {
        let of_the_build = layer.build_packages();
        for (purpose, wanted) in [
            (Purpose::Packages, &layer.packages),
            (Purpose::Build, &of_the_build),
            (Purpose::Step, &layer.with_packages),
        ] {
            if !wanted.is_empty() {
                let layer = layer.name.get_ref().clone();
                demands.push(Demand { layer, purpose, wanted: wanted.clone() });
            }
        }
    }
    demands
}

impl Lockfile {
    pub(super) fn new(archives: Vec<PinnedArchive>) -> Self {
        Self {
            version: VERSION,
            base: None,
            archives,
            pins: Vec::new(),
            sets: Vec::new(),
            python: Vec::new(),
            packages: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Reads the lock at `path`.
    ///
    /// # Errors
    /// There is none, or not one that this version understands.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = match fs_err::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LockError::Missing { path: path.to_owned() });
            }
            text => text.map_err(LockError::File)?,
        };
        let syntax = |source| LockError::Syntax { path: path.to_owned(), source: Box::new(source) };
        // The version is looked at alone first: a later one may have keys that this code refuses.
        let only: OnlyVersion = toml::from_str(&text).map_err(syntax)?;
        if only.version != VERSION {
            return Err(LockError::Version { path: path.to_owned(), version: only.version, known: VERSION });
        }
        toml::from_str(&text).map_err(syntax)
    }

    /// Reads the lock at `path`, which has to be one of `manifest`.
    ///
    /// # Errors
    /// Those of [`Lockfile::read`] and [`Lockfile::fits`]; what a step downloads was never recorded.
    pub fn of(manifest: &Manifest, path: &Path) -> Result<Self, BuildError> {
        let lock = Self::read(path)?;
        lock.fits(manifest, path)?;
        lock.has_recorded(manifest, path)?;
        Ok(lock)
    }

    /// Writes the lock to `path`, whole or not at all.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let text = toml::to_string(self).expect("a lock is plain data");
        let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let write = || {
            fs_err::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            io::Write::write_all(&mut file, format!("{HEAD}{text}").as_bytes())?;
            rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
            file.as_file().sync_all()?;
            file.persist(path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|source| LockError::Write { path: path.to_owned(), source })
    }

    /// Checks that this is a lock of `manifest`.
    ///
    /// # Errors
    /// What the manifest asks for differs from what was locked.
    pub fn fits(&self, manifest: &Manifest, path: &Path) -> Result<(), BuildError> {
        let stale = |what: String| LockError::Stale { path: path.to_owned(), what };
        self.fits_base(manifest, path)?;
        let base = &manifest.content.base;
        if let Some(release) = self.release(manifest) {
            let first = self.archives.first();
            if first.is_none_or(|archive| archive.suite != release.suite) {
                return Err(stale(format!("the suite `{}`", release.suite)).into());
            }
            // A lock may be of a mirror, so the address says nothing but its last part.
            let directory = match release.distribution {
                Distribution::Debian => "/debian",
                Distribution::Ubuntu => "/ubuntu",
            };
            if first.is_none_or(|archive| !archive.url.ends_with(directory)) {
                return Err(stale("the distribution".to_owned()).into());
            }
            let components = archives::components(base, release.distribution);
            if first.is_none_or(|archive| archive.components != components) {
                return Err(stale("the components".to_owned()).into());
            }
        }
        if self.pins != base.pin {
            return Err(stale("`[[base.pin]]`".to_owned()).into());
        }
        let further = self.archives.iter().rev().take(base.archive.len()).rev();
        let same = further.zip(&base.archive).all(|(locked, named)| {
            (&locked.url, &locked.suite, &locked.components, locked.priority)
                == (named.url.get_ref(), &named.suite, &named.components, named.priority)
        });
        if !same || self.archives.len() < base.archive.len() {
            return Err(stale("an archive of `[[base.archive]]`".to_owned()).into());
        }
        let demands = demands(manifest);
        for demand in &demands {
            let set = self.set(&demand.layer, demand.purpose);
            if set.is_none_or(|set| set.wanted != demand.wanted) {
                return Err(stale(format!("what layer `{}` asks for", demand.layer)).into());
            }
        }
        if self.sets.len() != demands.len() {
            return Err(stale("the layers".to_owned()).into());
        }
        for environment in python::environments(manifest)? {
            if self.python_set(&environment).is_none() {
                let layer = &environment.layer;
                return Err(stale(format!("the Python requirements of layer `{layer}`")).into());
            }
        }
        Ok(())
    }

    fn set(&self, layer: &str, purpose: Purpose) -> Option<&PackageSet> {
        self.sets.iter().find(|set| set.layer == layer && set.purpose == purpose)
    }

    /// Returns the packages of a layer, in the order they are unpacked.
    pub(crate) fn pins(&self, layer: &str, purpose: Purpose) -> Vec<Pin> {
        let names = self.set(layer, purpose).map_or(&[][..], |set| &set.packages);
        let pin = |name: &String| self.packages.iter().find(|pin| pin.name == *name).cloned();
        names.iter().filter_map(pin).collect()
    }

    /// Returns every file, with the addresses to try.
    pub(super) fn files(&self) -> Vec<Wanted> {
        let projects = self.python.iter().flat_map(|set| &set.projects).flat_map(|project| &project.build);
        let distributions = self.python.iter().flat_map(|set| &set.distributions).chain(projects);
        let distributions = distributions.flat_map(PinnedDistribution::wanted);
        self.packages.iter().map(Pin::wanted).chain(distributions).collect()
    }

    /// Returns the newest time that one of the archives was published or the base was made, seconds since 1970.
    pub(crate) fn newest_release(&self) -> u64 {
        let dates = self.archives.iter().filter_map(|archive| u64::try_from(archive.date).ok());
        dates.chain(self.base.iter().map(|base| base.created)).max().unwrap_or_default()
    }

    /// Returns apt's configuration for the same archives: path in the image and text. A base that is an image has its
    /// own, and gets the manifest's further archives alone, of which there are so many.
    pub(crate) fn sources_list(&self, further: usize) -> Vec<(String, String)> {
        let line = |archive: &PinnedArchive| {
            format!("deb {} {} {}\n", archive.url, archive.suite, archive.components.join(" "))
        };
        let (path, archives) = match self.base {
            None => ("etc/apt/sources.list", &self.archives[..]),
            Some(_) if further == 0 => return Vec::new(),
            Some(_) => {
                let own = self.archives.len().saturating_sub(further);
                ("etc/apt/sources.list.d/casque.list", &self.archives[own..])
            }
        };
        vec![(path.to_owned(), archives.iter().map(line).collect())]
    }
}

/// Looked at before everything else.
#[derive(Deserialize)]
struct OnlyVersion {
    version: u32,
}

/// Names the file that an archive no longer has.
pub(super) fn superseded(error: FetchError) -> BuildError {
    match (&error, error.root()) {
        (FetchError::File { label, .. }, FetchError::NotFound { .. } | FetchError::Superseded { .. }) => {
            BuildError::Superseded { file: label.clone() }
        }
        _ => BuildError::Fetch(error),
    }
}
