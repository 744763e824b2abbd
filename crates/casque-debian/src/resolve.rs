//! Which packages to install, chosen as apt chooses: greedily, the first alternative before the next.
//!
//! A solver that may choose freely finds legal answers that no administrator would: `libelogind0` for `libsystemd0`.
//! What is asked for comes first, then what each of it needs, in the order in which it is written, all the way down. What
//! cannot be had makes the next alternative be tried. What is installed stays; where apt would change it, this says so.

mod error;
mod request;
mod suite;
mod system;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

pub use error::{Change, ResolveError, Step};
pub use request::Request;

use crate::control::Control;
use crate::relation::Relation;
use crate::universe::{Package, Universe};
use system::{Clash, Gone, Needed, System};

/// Chooses what has to be installed beside `installed` so that everything in `wanted` is there.
///
/// What is `wanted` first is preferred where a dependency leaves a choice. The answer is sorted by name.
pub fn resolve<'a>(
    universe: &'a Universe,
    installed: &'a [Control],
    wanted: &[Request],
) -> Result<Vec<&'a Package>, ResolveError> {
    resolve_on(universe, &HashSet::new(), installed, wanted)
}

/// Does what [`resolve()`] does where the packages named in `held` stay in their version, as those do that
/// apt-mark(8) holds: asked for by name alone, what is there will do, however old it is.
pub fn resolve_on<'a>(
    universe: &'a Universe,
    held: &HashSet<String>,
    installed: &'a [Control],
    wanted: &[Request],
) -> Result<Vec<&'a Package>, ResolveError> {
    let mut evicted = HashMap::new();
    loop {
        let mut resolver = Resolver::new(universe, held, installed, evicted)?;
        match resolver.choose(wanted) {
            Ok(()) => return resolver.answer(),
            // Something that was taken for want of a reason not to; now there is one.
            Err(Failure { error, evict: Some(package), .. })
                if !resolver.evicted.contains_key(&std::ptr::from_ref(package)) =>
            {
                evicted = resolver.evicted;
                evicted.insert(std::ptr::from_ref(package), error);
            }
            Err(failure) => return Err(failure.error),
        }
    }
}

/// Why a package cannot be had.
#[derive(Clone)]
struct Failure<'a> {
    error: ResolveError,
    /// The member without which it might not have happened.
    culprit: Option<usize>,
    /// The package in whose place another could be taken.
    evict: Option<&'a Package>,
}

impl From<ResolveError> for Failure<'_> {
    fn from(error: ResolveError) -> Self {
        Self { error, culprit: None, evict: None }
    }
}

struct Resolver<'a, 'h> {
    universe: &'a Universe,
    /// Installed, and to stay as they are.
    held: &'h HashSet<String>,
    system: System<'a>,
    /// The newest versions of what is installed in an older one, by their source.
    outdated: HashMap<&'a str, Vec<&'a Package>>,
    /// Versions that were asked for.
    pinned: HashMap<&'a str, &'a Package>,
    /// What would be chosen, if something that has to be here did not exclude it.
    evicted: HashMap<*const Package, ResolveError>,
    /// What has been found impossible, so that it is not tried again on every path.
    impossible: HashMap<*const Package, Failure<'a>>,
}

impl<'a, 'h> Resolver<'a, 'h> {
    fn new(
        universe: &'a Universe,
        held: &'h HashSet<String>,
        installed: &'a [Control],
        evicted: HashMap<*const Package, ResolveError>,
    ) -> Result<Self, ResolveError> {
        let system = System::of(universe.architecture(), installed)?;
        let mut outdated: HashMap<_, Vec<_>> = HashMap::new();
        for control in installed {
            if let Some(newest) = universe.newest(&control.name)
                && newest.control.version > control.version
                && !held.contains(&control.name)
            {
                outdated.entry(newest.control.built_from().0).or_default().push(newest);
            }
        }
        let (pinned, impossible) = (HashMap::new(), HashMap::new());
        Ok(Self { universe, held, system, outdated, pinned, evicted, impossible })
    }

    fn choose(&mut self, wanted: &[Request]) -> Result<(), Failure<'a>> {
        let mut found = vec![];
        for request in wanted {
            let here = self.system.named(&request.name).map(|number| self.system.members[number].control);
            let will_do = |control: &Control| {
                request.is_version(&control.version)
                    || (request.is_for_newest() && self.held.contains(&control.name))
            };
            if here.is_some_and(will_do) {
                continue;
            }
            let package = request.find(self.universe)?;
            self.pinned.insert(&package.control.name, package);
            found.push((request, package));
        }
        self.follow_suites(&found)?;
        // Everything asked for is here before any dependency, so that it decides choices of dependencies.
        let mut placed = vec![];
        for (request, package) in found {
            let package = self.pinned[package.control.name.as_str()];
            let here = self.system.named(&package.control.name).map(|number| &self.system.members[number]);
            let is_kept = here.is_some_and(|member| {
                let version = &member.control.version;
                *version == package.control.version
                    || (request.is_for_newest() && *version > package.control.version)
            });
            if !is_kept {
                placed.push(self.place(package, None, None)?);
            }
        }
        placed.into_iter().try_for_each(|number| self.complete(number))
    }

    /// Returns the one version of this name that may be chosen.
    fn candidate(&self, name: &str) -> Option<&'a Package> {
        let universe = self.universe;
        let newest = || universe.newest(name).filter(|package| self.is_news(package));
        self.pinned.get(name).copied().or_else(newest)
    }

    /// Tells whether what is installed is older, or not there.
    fn is_news(&self, package: &Package) -> bool {
        let here = self.system.named(&package.control.name);
        here.is_none_or(|number| self.system.members[number].control.version < package.control.version)
    }

    /// Takes a package and everything that it needs.
    fn take(&mut self, package: &'a Package, parent: usize, needed: &Needed) -> Result<(), Failure<'a>> {
        if let Some(failure) = self.impossible.get(&std::ptr::from_ref(package)) {
            return Err(failure.clone());
        }
        let before = self.system.members.len();
        let placed = self.place(package, Some(parent), Some(needed));
        placed.and_then(|number| self.complete(number)).inspect_err(|failure| {
            self.system.rewind(before);
            self.impossible.retain(|_, failure| failure.culprit.is_none_or(|culprit| culprit < before));
            if failure.culprit.is_none_or(|culprit| culprit < before) {
                self.impossible.insert(package, failure.clone());
            }
        })
    }

    /// Takes a package, and not yet what it needs. What excludes it fails; what is installed has to make room.
    fn place(
        &mut self,
        package: &'a Package,
        parent: Option<usize>,
        needed: Option<&Needed>,
    ) -> Result<usize, Failure<'a>> {
        if let Some(error) = self.evicted.get(&std::ptr::from_ref(package)) {
            return Err(error.clone().into());
        }
        let control = &package.control;
        let clashes = self.system.clashes(control)?;
        for clash in &clashes {
            let member = &self.system.members[clash.with];
            if member.package.is_none() && !member.control.essential {
                continue;
            }
            let is_asked_for = member.parent.is_none();
            return Err(Failure {
                error: self.system.conflict(control, parent, clash),
                culprit: Some(clash.with),
                evict: member.package.filter(|_| clash.declared_by_newcomer && !is_asked_for),
            });
        }
        let replaced = self.system.named(&control.name);
        let number = self.system.add(control, Some(package), parent)?;
        if let Some(replaced) = replaced {
            let because = parent.zip(needed).map(|(parent, needed)| {
                let who = &self.system.members[parent].control.name;
                format!("`{who}`, which has `{}: {}`", needed.field, needed.written())
            });
            self.system.members[replaced].gone = Some(Gone { by: number, because });
        }
        for clash in clashes {
            self.make_room(number, &clash)?;
        }
        self.keep_in_step(number);
        Ok(number)
    }

    /// Upgrades what is installed and built from the same source as a member, to the same version, where that can be.
    fn keep_in_step(&mut self, number: usize) {
        let (source, version) = self.system.members[number].control.built_from();
        let siblings = self.outdated.get(source).cloned().unwrap_or_default();
        for sibling in siblings {
            let name = &sibling.control.name;
            let is_due = sibling.control.built_from().1 == version && self.is_news(sibling);
            if is_due && self.candidate(name).is_some_and(|candidate| std::ptr::eq(candidate, sibling)) {
                let before = self.system.members.len();
                let placed = self.place(sibling, Some(number), None);
                if placed.and_then(|number| self.complete(number)).is_err() {
                    self.system.rewind(before);
                }
            }
        }
    }

    /// Upgrades what is installed and clashes with a member, or removes it.
    fn make_room(&mut self, number: usize, clash: &Clash) -> Result<(), Failure<'a>> {
        let control = self.system.members[number].control;
        let who = if clash.declared_by_newcomer { control } else { self.system.members[clash.with].control };
        let because = Some(format!("`{}`, which has `{clash}`", who.name));
        let installed = &mut self.system.members[clash.with];
        if installed.gone.is_some() {
            return Ok(());
        }
        let name = installed.control.name.as_str();
        installed.gone = Some(Gone { by: number, because });
        if let Some(newer) = self.candidate(name)
            && self.system.clashes(&newer.control)?.is_empty()
        {
            let number = self.system.add(&newer.control, Some(newer), Some(number))?;
            self.complete(number)?;
        }
        Ok(())
    }

    /// Takes what a member needs.
    fn complete(&mut self, number: usize) -> Result<(), Failure<'a>> {
        let facts = self.system.facts(self.system.members[number].control)?;
        for needed in &facts.depends {
            if !self.system.satisfies(needed) {
                self.satisfy(needed, number)?;
            }
        }
        Ok(())
    }

    fn satisfy(&mut self, needed: &Needed, number: usize) -> Result<(), Failure<'a>> {
        let mut first: Option<Failure<'_>> = None;
        for candidate in self.candidates(needed) {
            let Err(failure) = self.take(candidate, number, needed) else { return Ok(()) };
            match &mut first {
                None => first = Some(failure),
                Some(first) => first.culprit = first.culprit.max(failure.culprit),
            }
        }
        Err(first.unwrap_or_else(|| self.unsatisfiable(needed, number).into()))
    }

    /// Returns who could be taken for a dependency: what is here in another version, then each alternative in turn.
    fn candidates(&self, needed: &Needed) -> Vec<&'a Package> {
        let all: Vec<_> = needed.alternatives.iter().flat_map(|r| self.candidates_of(r)).collect();
        let is_here = |package: &&Package| self.system.named(&package.control.name).is_some();
        let (mut first, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_here);
        first.extend(rest);
        first
    }

    /// Returns who could stand for `relation`: the package itself, then providers, the most common kind first.
    fn candidates_of(&self, relation: &Relation) -> Vec<&'a Package> {
        let universe = self.universe;
        let is_candidate = |package: &Package| {
            let candidate = self.candidate(&package.control.name);
            candidate.is_some_and(|candidate| std::ptr::eq(candidate, package))
        };
        let real = self
            .candidate(&relation.name)
            .filter(|package| self.system.meets(relation, &package.control, Some(&package.control.version)));
        let mut providers: Vec<_> = universe
            .providers(&relation.name)
            .filter(|(package, version)| {
                is_candidate(package) && self.system.meets(relation, &package.control, *version)
            })
            .map(|(package, _)| package)
            .collect();
        if providers.len() > 1 {
            providers.sort_by_cached_key(|package| {
                let control = &package.control;
                (!control.essential, rank(&control.priority), Reverse(universe.mention(&control.name)))
            });
        }
        real.into_iter().chain(providers).collect()
    }

    fn unsatisfiable(&self, needed: &Needed, number: usize) -> ResolveError {
        let mut available = vec![];
        let mut would_do = None;
        for relation in &needed.alternatives {
            for Package { control, .. } in self.universe.versions(&relation.name) {
                let versioned = format!("{}={}", control.name, control.version);
                if self.system.meets(relation, control, Some(&control.version)) {
                    would_do.get_or_insert_with(|| versioned.clone());
                }
                let is_alone = needed.alternatives.len() == 1;
                available.push(if is_alone { control.version.to_string() } else { versioned });
            }
        }
        available.dedup();
        let chain = self.system.chain(Some(number));
        ResolveError::Unsatisfiable { chain, wanted: needed.written(), available, would_do }
    }

    /// Returns what was chosen, unless something that is installed would have to change.
    fn answer(self) -> Result<Vec<&'a Package>, ResolveError> {
        let change = |member: &system::Member<'_>| {
            let gone = member.gone.as_ref()?;
            let name = &member.control.name;
            let successor = self.system.named(name).map(|number| self.system.members[number].control);
            Some(Change {
                name: name.clone(),
                installed: member.control.version.to_string(),
                wanted: successor.map(|control| control.version.to_string()),
                because: gone.because.clone(),
            })
        };
        let mut changes: Vec<_> = self.system.members.iter().filter_map(change).collect();
        if !changes.is_empty() {
            changes.sort_by(|left, right| left.name.cmp(&right.name));
            return Err(ResolveError::Changes { changes });
        }
        let mut packages: Vec<_> = self.system.members.iter().filter_map(|member| member.package).collect();
        packages.sort_by(|left, right| left.control.name.cmp(&right.control.name));
        Ok(packages)
    }
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
