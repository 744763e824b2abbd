//! What is asked for by name.

use std::fmt;

use super::error::ResolveError;
use crate::universe::{Package, Universe, matches};
use crate::version::Version;

/// Something asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The package's name, or one that a single package provides.
    pub name: String,
    /// The architecture that stands behind the name.
    architecture: Option<String>,
    which: Which,
}

/// Which version is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    /// The newest.
    Newest,
    /// One that is written so; a star stands for anything.
    Version(String),
    /// The one of a suite, which also gives the versions it needs where the newest ones do not do.
    Suite(String),
}

impl Request {
    /// Reads `name`, `name=version` or `name/suite`, as apt does.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (name, which) = match text.split_once(['=', '/']) {
            Some((name, wanted)) => {
                let wanted = wanted.trim().to_owned();
                let is_version = text[name.len()..].starts_with('=');
                (name.trim(), if is_version { Which::Version(wanted) } else { Which::Suite(wanted) })
            }
            None => (text, Which::Newest),
        };
        let (name, architecture) = match name.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture.to_owned())),
            None => (name, None),
        };
        Self { name: name.to_owned(), architecture, which }
    }

    /// Returns the suite that is asked for.
    pub(super) fn suite(&self) -> Option<&str> {
        match &self.which {
            Which::Suite(suite) => Some(suite),
            Which::Newest | Which::Version(_) => None,
        }
    }

    /// Tells whether the newest version is asked for, whichever that is.
    pub(super) fn is_for_newest(&self) -> bool {
        self.which == Which::Newest
    }

    /// Tells whether exactly this version is asked for.
    pub(super) fn is_version(&self, version: &Version) -> bool {
        matches!(&self.which, Which::Version(wanted) if matches(wanted, version.as_str()))
    }

    /// Finds the package this is about.
    pub(super) fn find<'a>(&self, universe: &'a Universe) -> Result<&'a Package, ResolveError> {
        if let Some(wanted) = &self.architecture
            && !["native", "any", "all", universe.architecture()].contains(&wanted.as_str())
        {
            return Err(ResolveError::Architecture {
                name: self.name.clone(),
                wanted: wanted.clone(),
                own: universe.architecture().to_owned(),
            });
        }
        let mut versions = universe.versions(&self.name);
        let available = || {
            let mut available: Vec<_> =
                universe.versions(&self.name).map(|package| with_suite(universe, package)).collect();
            available.dedup();
            available
        };
        let name = self.name.clone();
        match &self.which {
            _ if universe.newest(&self.name).is_none() => self.find_provider(universe),
            Which::Newest => versions.next().ok_or_else(|| self.unknown(universe)),
            Which::Version(wanted) => {
                versions.find(|package| matches(wanted, package.control.version.as_str())).ok_or_else(|| {
                    ResolveError::UnknownVersion { name, wanted: wanted.clone(), available: available() }
                })
            }
            Which::Suite(suite) => {
                versions.find(|package| is_of(universe, package, suite)).ok_or_else(|| {
                    ResolveError::UnknownSuite { name, suite: suite.clone(), available: available() }
                })
            }
        }
    }

    fn find_provider<'a>(&self, universe: &'a Universe) -> Result<&'a Package, ResolveError> {
        let mut providers: Vec<_> = universe
            .providers(&self.name)
            .map(|(package, _)| package)
            .filter(|p| universe.is_newest(p))
            .collect();
        providers.sort_by(|left, right| left.control.name.cmp(&right.control.name));
        providers.dedup_by(|left, right| left.control.name == right.control.name);
        match providers[..] {
            [only] => return Ok(only),
            [] => {}
            _ => {
                let providers = providers.iter().map(|package| package.control.name.clone()).collect();
                return Err(ResolveError::Virtual { name: self.name.clone(), providers });
            }
        }
        Err(self.unknown(universe))
    }

    fn unknown(&self, universe: &Universe) -> ResolveError {
        match self.name.strip_suffix('-') {
            Some(name) if universe.newest(name).is_some() => ResolveError::Removal { name: name.to_owned() },
            _ => ResolveError::UnknownPackage {
                name: self.name.clone(),
                similar: universe.similar(&self.name),
            },
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(formatter, ":{architecture}")?;
        }
        match &self.which {
            Which::Newest => Ok(()),
            Which::Version(version) => write!(formatter, "={version}"),
            Which::Suite(suite) => write!(formatter, "/{suite}"),
        }
    }
}

/// Tells whether an archive of this name has the same version.
pub(super) fn is_of(universe: &Universe, package: &Package, suite: &str) -> bool {
    let control = &package.control;
    let same = universe.versions(&control.name).filter(|other| other.control.version == control.version);
    same.flat_map(|other| universe.archive_names(other.archive)).any(|name| matches(suite, name))
}

fn with_suite(universe: &Universe, package: &Package) -> String {
    let version = &package.control.version;
    match universe.archive_names(package.archive) {
        [first, ..] => format!("{version} ({first})"),
        [] => version.to_string(),
    }
}
