//! The archives of a manifest: those of its distribution, and the further ones beside them.

use std::path::PathBuf;

use casque_debian::{Archive, Keyring, PackagePin, Preferences};
use time::OffsetDateTime;

use super::{Lockfile, Request};
use crate::error::{BaseError, BuildError, LockError};
use crate::manifest::raw::Base;
use crate::manifest::{Distribution, Release};

impl Distribution {
    /// The distribution's own address, the part that a mirror takes the place of.
    pub(crate) fn address(self) -> &'static str {
        match self {
            Self::Debian => "http://deb.debian.org",
            Self::Ubuntu => "http://archive.ubuntu.com",
        }
    }

    /// Where such a system has the keys of its archives.
    fn keys(self) -> &'static str {
        match self {
            Self::Debian => "/usr/share/keyrings/debian-archive-keyring.gpg",
            Self::Ubuntu => "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        }
    }

    /// Components that a new system of it uses.
    fn components(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &["main"],
            Self::Ubuntu => &["main", "universe"],
        }
    }

    /// Returns the directories below the address and the suites in them, best first.
    fn suites(self, suite: &str) -> [(&'static str, String); 3] {
        let [archive, security] = match self {
            Self::Debian => ["debian", "debian-security"],
            Self::Ubuntu => ["ubuntu", "ubuntu"],
        };
        [
            (archive, suite.to_owned()),
            (archive, format!("{suite}-updates")),
            (security, format!("{suite}-security")),
        ]
    }
}

/// Returns the components of the distribution's archives.
pub(super) fn components(base: &Base, distribution: Distribution) -> Vec<String> {
    match base.components.as_slice() {
        [] => distribution.components().iter().map(|name| (*name).to_owned()).collect(),
        named => named.to_vec(),
    }
}

/// Returns the names of all archives of a manifest whose distribution is `release`.
pub(crate) fn archive_names(base: &Base, release: Option<&Release>) -> Vec<String> {
    let own = release.map(|release| release.distribution.suites(&release.suite).map(|(_, suite)| suite));
    own.into_iter().flatten().chain(base.archive.iter().map(|archive| archive.name.clone())).collect()
}

impl Request<'_> {
    /// Returns the archives, in the order their packages are preferred.
    pub(super) fn archives(&self, release: &Release) -> Result<Vec<Archive>, BuildError> {
        let base = &self.manifest.content.base;
        let distribution = release.distribution;
        let keys = match &base.signed_by {
            Some(path) => self.manifest.directory.join(path.get_ref()),
            None => PathBuf::from(distribution.keys()),
        };
        let keyring = Keyring::open(&[keys])?;
        let mut archives = Vec::new();
        for (directory, suite) in distribution.suites(&release.suite) {
            let url = format!("{}/{directory}", distribution.address());
            archives.push(Archive {
                name: suite.clone(),
                mirror: Some(self.mirrors.stand_in(&url)),
                url,
                suite,
                components: components(base, distribution),
                keyring: keyring.clone(),
                accepted: None,
            });
        }
        for further in &base.archive {
            archives.push(Archive {
                name: further.name.clone(),
                url: further.url.get_ref().clone(),
                mirror: None,
                suite: further.suite.clone(),
                components: further.components.clone(),
                keyring: Keyring::open(&[self.manifest.directory.join(further.signed_by.get_ref())])?,
                accepted: None,
            });
        }
        if !self.allow_older {
            self.remember(&mut archives)?;
        }
        Ok(archives)
    }

    /// Notes how old the archives of the lock are, also of one that does not fit the manifest any more.
    fn remember(&self, archives: &mut [Archive]) -> Result<(), BuildError> {
        let lock = match Lockfile::read(self.path) {
            Ok(lock) => lock,
            Err(LockError::Missing { .. }) => return Ok(()),
            // Locking anew is the way out of a lock of another version.
            Err(error @ (LockError::Version { .. } | LockError::Syntax { .. })) => {
                self.work(&format!("{error}, so the age of the archives is not compared with it"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for archive in archives {
            let same = |locked: &&casque_debian::PinnedArchive| {
                locked.suite == archive.suite
                    && (locked.url == archive.url || Some(&locked.url) == archive.mirror.as_ref())
            };
            let dates = lock.archives.iter().filter(same).map(|locked| locked.date);
            archive.accepted = dates.max().and_then(|date| OffsetDateTime::from_unix_timestamp(date).ok());
        }
        Ok(())
    }

    /// Checks that each pin names an archive that there is.
    pub(super) fn check_pins(&self, archives: &[Archive]) -> Result<(), BuildError> {
        let named = |name: &String| archives.iter().any(|archive| archive.name == *name);
        let pins = self.manifest.content.base.pin.iter();
        match pins.filter_map(|pin| pin.archive.as_ref()).find(|name| !named(name)) {
            None => Ok(()),
            Some(name) => {
                let names = archives.iter().map(|archive| archive.name.clone()).collect();
                Err(BaseError::Pin { name: name.clone(), names }.into())
            }
        }
    }

    /// Returns how much archives and packages are preferred.
    pub(super) fn preferences(
        &self,
        archives: &[Archive],
        releases: &[casque_debian::Release],
    ) -> Preferences {
        let base = &self.manifest.content.base;
        let named = |name: &String| archives.iter().position(|archive| archive.name == *name);
        let own = archives.iter().zip(releases).map(|(archive, release)| {
            let further = base.archive.iter().find(|further| further.name == archive.name);
            further.and_then(|further| further.priority).unwrap_or_else(|| release.default_priority())
        });
        let pins = base.pin.iter().map(|pin| PackagePin {
            packages: pin.packages.clone(),
            archive: pin.archive.as_ref().and_then(named),
            version: pin.version.clone(),
            priority: pin.priority,
        });
        Preferences { archives: own.collect(), pins: pins.collect() }
    }

    /// Writes into the lock what the manifest says of preferences, so that a change of it makes the lock anew.
    pub(super) fn write_preferences(&self, lock: &mut Lockfile) {
        let base = &self.manifest.content.base;
        lock.pins.clone_from(&base.pin);
        for archive in &mut lock.archives {
            let further = base.archive.iter().find(|further| further.name == archive.name);
            archive.priority = further.and_then(|further| further.priority);
        }
    }
}
