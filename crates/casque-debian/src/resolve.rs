//! Which packages to install, chosen as apt chooses: greedily, the first real alternative before any provider.
//!
//! A solver that may choose freely finds legal answers that no administrator would: `libelogind0` for `libsystemd0`.

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use crate::control::{Control, ControlError};
use crate::relation::{Alternatives, Relation};
use crate::universe::{Package, Universe};
use crate::version::Version;

/// Something asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The package's name, or one that a single package provides.
    pub name: String,
    /// The one version wanted; none means the newest.
    pub version: Option<Version>,
}

impl Request {
    /// Reads `name` or `name=version`, as apt does.
    pub fn parse(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, version)) => {
                Self { name: name.trim().to_owned(), version: Some(version.trim().into()) }
            }
            None => Self { name: text.trim().to_owned(), version: None },
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(formatter, "{}={version}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// Why there is no set of packages.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// No archive has the package.
    #[error("no archive has a package `{name}`")]
    UnknownPackage {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        similar: Vec<String>,
    },
    /// Archives have the package, in other versions.
    #[error("no archive has `{name}` in version `{wanted}`, only {}", list(available, ", "))]
    UnknownVersion {
        /// What was asked for.
        name: String,
        /// The version that was asked for.
        wanted: Version,
        /// The versions there are.
        available: Vec<String>,
    },
    /// Several packages provide the name and none has it.
    #[error("`{name}` is not a package, but provided by {}", list(providers, ", "))]
    Virtual {
        /// What was asked for.
        name: String,
        /// Who provides it.
        providers: Vec<String>,
    },
    /// A dependency cannot be met.
    #[error("{} -> `{wanted}` is not available{}", list(chain, " -> "), available(available_version.as_ref()))]
    Unsatisfiable {
        /// The packages that lead to it, what was asked for first.
        chain: Vec<String>,
        /// What the last of them needs.
        wanted: String,
        /// The version there is of it.
        available_version: Option<Version>,
    },
    /// Two packages cannot be installed together.
    #[error("{} conflicts with {}", list(left, " -> "), list(right, " -> "))]
    Conflict {
        /// How the one that says so was reached.
        left: Vec<String>,
        /// How the other one was reached.
        right: Vec<String>,
    },
    /// A package's relations cannot be read.
    #[error(transparent)]
    Control(ControlError),
}

fn list(names: &[String], between: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
}

fn available(version: Option<&Version>) -> String {
    version.map(|version| format!(", there is `{version}`")).unwrap_or_default()
}

/// Chooses what has to be installed beside `installed` so that everything in `wanted` is there.
///
/// What is `wanted` first is preferred where a dependency leaves a choice. The answer is sorted by name.
pub fn resolve<'a>(
    universe: &'a Universe,
    installed: &'a [Control],
    wanted: &[Request],
) -> Result<Vec<&'a Package>, ResolveError> {
    let mut resolver = Resolver::new(universe, installed)?;
    // Everything asked for is chosen before any dependency, so that it decides choices of dependencies.
    for request in wanted {
        let package = find(universe, request)?;
        if resolver.is_here(package, request) {
            continue;
        }
        resolver.choose(package, None)?;
    }
    let asked = resolver.chosen.len();
    for index in 0..asked {
        resolver.complete(index)?;
    }
    resolver.check_conflicts()?;
    let mut packages: Vec<_> = resolver.chosen.into_iter().map(|chosen| chosen.package).collect();
    packages.sort_by(|left, right| left.control.name.cmp(&right.control.name));
    Ok(packages)
}

fn find<'a>(universe: &'a Universe, request: &Request) -> Result<&'a Package, ResolveError> {
    let Some(newest) = universe.newest(&request.name) else {
        let providers: Vec<_> = universe.providers(&request.name).map(|(package, _)| package).collect();
        let mut names: Vec<_> = providers.iter().map(|package| package.control.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        return match (names.len(), providers.first()) {
            (1, Some(only)) => Ok(only),
            (0, _) | (_, None) => Err(ResolveError::UnknownPackage {
                name: request.name.clone(),
                similar: universe.similar(&request.name),
            }),
            _ => Err(ResolveError::Virtual { name: request.name.clone(), providers: names }),
        };
    };
    let Some(wanted) = &request.version else { return Ok(newest) };
    universe.versions(&request.name).find(|package| package.control.version == *wanted).ok_or_else(|| {
        ResolveError::UnknownVersion {
            name: request.name.clone(),
            wanted: wanted.clone(),
            available: universe.versions(&request.name).map(|p| p.control.version.to_string()).collect(),
        }
    })
}

/// A package that was chosen, and the one that needed it.
struct Chosen<'a> {
    package: &'a Package,
    parent: Option<usize>,
    conflicts: Vec<Alternatives>,
}

/// A name that something here stands for.
struct Provided {
    by: String,
    version: Option<Version>,
    real: bool,
}

struct Resolver<'a> {
    universe: &'a Universe,
    installed: &'a [Control],
    chosen: Vec<Chosen<'a>>,
    /// Every name that is here, real or provided; what was chosen last is last.
    present: HashMap<String, Vec<Provided>>,
    /// What has been found impossible, so that it is not tried again on every path.
    impossible: HashMap<*const Package, ResolveError>,
}

impl<'a> Resolver<'a> {
    fn new(universe: &'a Universe, installed: &'a [Control]) -> Result<Self, ResolveError> {
        let mut resolver =
            Self { universe, installed, chosen: vec![], present: HashMap::new(), impossible: HashMap::new() };
        for control in installed {
            resolver.add_names(control)?;
        }
        Ok(resolver)
    }

    fn is_here(&self, package: &Package, request: &Request) -> bool {
        let name = &package.control.name;
        self.present.get(name).is_some_and(|all| {
            all.iter().any(|here| {
                here.real
                    && request.version.as_ref().is_none_or(|wanted| here.version.as_ref() == Some(wanted))
            })
        })
    }

    fn add_names(&mut self, control: &Control) -> Result<(), ResolveError> {
        let mut add = |name: String, version, real| {
            let by = control.name.clone();
            self.present.entry(name).or_default().push(Provided { by, version, real });
        };
        add(control.name.clone(), Some(control.version.clone()), true);
        let provides = control.provides(self.universe.architecture()).map_err(ResolveError::Control)?;
        for relation in provides.into_iter().flatten() {
            add(relation.name, relation.version.map(|(_, version)| version), false);
        }
        Ok(())
    }

    fn satisfied(&self, relation: &Relation) -> bool {
        self.present.get(&relation.name).is_some_and(|all| {
            all.iter().any(|here| match (&here.version, here.real) {
                (Some(version), true) => relation.accepts(version),
                (version, _) => relation.accepts_provided(version.as_ref()),
            })
        })
    }

    fn choose(&mut self, package: &'a Package, parent: Option<usize>) -> Result<usize, ResolveError> {
        let architecture = self.universe.architecture();
        let conflicts = package.control.conflicts(architecture).map_err(ResolveError::Control)?;
        let index = self.chosen.len();
        self.add_names(&package.control)?;
        self.chosen.push(Chosen { package, parent, conflicts });
        Ok(index)
    }

    /// Takes back everything that was chosen from `length` on.
    fn rewind(&mut self, length: usize) {
        for chosen in self.chosen.drain(length..).rev() {
            let name = &chosen.package.control.name;
            for all in self.present.values_mut() {
                if let Some(last) = all.iter().rposition(|here| here.by == *name) {
                    all.remove(last);
                }
            }
        }
    }

    /// Chooses what the chosen package with this number depends on.
    fn complete(&mut self, index: usize) -> Result<(), ResolveError> {
        let package = self.chosen[index].package;
        if let Some(error) = self.impossible.get(&std::ptr::from_ref(package)) {
            return Err(error.clone());
        }
        let groups =
            package.control.dependencies(self.universe.architecture()).map_err(ResolveError::Control)?;
        for group in &groups {
            if group.iter().any(|relation| self.satisfied(relation)) {
                continue;
            }
            self.satisfy(group, index).inspect_err(|error| {
                drop(self.impossible.insert(std::ptr::from_ref(package), error.clone()))
            })?;
        }
        Ok(())
    }

    fn satisfy(&mut self, group: &Alternatives, index: usize) -> Result<(), ResolveError> {
        let mut first_error = None;
        for candidate in group.iter().flat_map(|relation| self.candidates(relation)).collect::<Vec<_>>() {
            if self.conflict_with(candidate).is_some() || self.replaces_another_version(candidate) {
                continue;
            }
            let before = self.chosen.len();
            let added = self.choose(candidate, Some(index))?;
            match self.complete(added) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.rewind(before);
                    first_error.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first_error {
            return Err(error);
        }
        self.explain(group, index)
    }

    /// Says why nothing in `group` can be chosen.
    fn explain(&self, group: &Alternatives, index: usize) -> Result<(), ResolveError> {
        for candidate in group.iter().flat_map(|relation| self.candidates(relation)) {
            if let Some(other) = self.conflict_with(candidate) {
                let mut left = self.chain(index);
                left.push(candidate.control.name.clone());
                return Err(ResolveError::Conflict { left, right: other });
            }
        }
        let wanted = group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let available_version = group
            .iter()
            .find_map(|relation| self.universe.newest(&relation.name))
            .map(|p| p.control.version.clone());
        Err(ResolveError::Unsatisfiable { chain: self.chain(index), wanted, available_version })
    }

    /// Returns who could stand for `relation`: the package itself, then providers, the most common kind first.
    fn candidates(&self, relation: &Relation) -> Vec<&'a Package> {
        let universe = self.universe;
        let real =
            universe.versions(&relation.name).find(|package| relation.accepts(&package.control.version));
        let mut providers: Vec<_> = universe
            .providers(&relation.name)
            .filter(|(_, version)| relation.accepts_provided(*version))
            .map(|(package, _)| package)
            .collect();
        providers.sort_by_key(|package| (!package.control.essential, rank(&package.control.priority)));
        real.into_iter().chain(providers).collect()
    }

    /// One name can have one version only: a second one would need the first to go.
    fn replaces_another_version(&self, candidate: &Package) -> bool {
        self.chosen.iter().any(|chosen| chosen.package.control.name == candidate.control.name)
    }

    /// Returns how a package that cannot be together with `candidate` was reached.
    fn conflict_with(&self, candidate: &Package) -> Option<Vec<String>> {
        let architecture = self.universe.architecture();
        let own = candidate.control.conflicts(architecture).unwrap_or_default();
        for (index, chosen) in self.chosen.iter().enumerate() {
            let here = &chosen.package.control;
            if hits(&own, &candidate.control.name, here, architecture)
                || hits(&chosen.conflicts, &here.name, &candidate.control, architecture)
            {
                return Some(self.chain(index));
            }
        }
        self.kept().find_map(|here| {
            let theirs = here.conflicts(architecture).unwrap_or_default();
            (hits(&own, &candidate.control.name, here, architecture)
                || hits(&theirs, &here.name, &candidate.control, architecture))
            .then(|| vec![format!("{} (installed)", here.name)])
        })
    }

    /// Returns what is installed and will not be replaced.
    fn kept(&self) -> impl Iterator<Item = &'a Control> {
        let replaced: Vec<_> =
            self.chosen.iter().map(|chosen| chosen.package.control.name.as_str()).collect();
        self.installed.iter().filter(move |control| !replaced.contains(&control.name.as_str()))
    }

    fn check_conflicts(&self) -> Result<(), ResolveError> {
        let architecture = self.universe.architecture();
        for (index, chosen) in self.chosen.iter().enumerate() {
            let name = &chosen.package.control.name;
            for (other_index, other) in self.chosen.iter().enumerate() {
                if hits(&chosen.conflicts, name, &other.package.control, architecture) {
                    return Err(ResolveError::Conflict {
                        left: self.chain(index),
                        right: self.chain(other_index),
                    });
                }
            }
            for other in self.kept() {
                let theirs = other.conflicts(architecture).map_err(ResolveError::Control)?;
                if hits(&chosen.conflicts, name, other, architecture)
                    || hits(&theirs, &other.name, &chosen.package.control, architecture)
                {
                    let right = vec![format!("{} (installed)", other.name)];
                    return Err(ResolveError::Conflict { left: self.chain(index), right });
                }
            }
        }
        Ok(())
    }

    fn chain(&self, index: usize) -> Vec<String> {
        let mut chain = vec![];
        let mut next = Some(index);
        while let Some(index) = next {
            chain.push(self.chosen[index].package.control.name.clone());
            next = self.chosen[index].parent;
        }
        chain.reverse();
        chain
    }
}

/// Tells whether one of `conflicts`, which the package `own` declares, is about `other`. A package never conflicts
/// with itself, though it may with the name it provides: so it says to be the only one.
fn hits(conflicts: &[Alternatives], own: &str, other: &Control, architecture: &str) -> bool {
    if own == other.name || conflicts.is_empty() {
        return false;
    }
    let provides = other.provides(architecture).unwrap_or_default();
    conflicts.iter().flatten().any(|relation| {
        if relation.name == other.name {
            return relation.accepts(&other.version);
        }
        provides.iter().flatten().any(|provided| {
            provided.name == relation.name
                && relation.accepts_provided(provided.version.as_ref().map(|(_, version)| version))
        })
    })
}

fn rank(priority: &str) -> u8 {
    match priority {
        "required" => 0,
        "important" => 1,
        "standard" => 2,
        "optional" => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests;
