//! `name/suite`: which versions the suite gives beside the one that is asked for.
//!
//! apt's manual says only that the suite's version is selected; which of its dependencies come from there too was seen
//! by asking apt about archives of a few packages, and is what the tests of `name/suite` say.

use std::collections::HashMap;

use super::Resolver;
use super::error::ResolveError;
use super::request::{Request, is_of};
use super::system::{Needed, System};
use crate::relation::Relation;
use crate::universe::Package;

impl<'a> Resolver<'a, '_> {
    /// Pins the versions of a suite that those packages need which were asked for by suite.
    pub(super) fn follow_suites(&mut self, found: &[(&Request, &'a Package)]) -> Result<(), ResolveError> {
        if found.iter().all(|(request, _)| request.suite().is_none()) {
            return Ok(());
        }
        let installed: Vec<_> = self.system.members.iter().map(|member| member.control).collect();
        let asked = found.iter().map(|(_, package)| &package.control);
        let mut soon = System::of(self.universe.architecture(), installed.into_iter().chain(asked))?;
        // Names whose version is decided, and whether that leads somewhere.
        let mut decided: HashMap<&str, bool> = HashMap::new();
        for (request, package) in found {
            if !request.is_for_newest() {
                decided.insert(&package.control.name, true);
            }
        }
        for (request, package) in found {
            if let Some(suite) = request.suite() {
                self.follow(package, suite, &mut soon, &mut decided)?;
            }
        }
        Ok(())
    }

    /// Pins the versions of a suite for what a package needs, where nothing that would be chosen anyway can be
    /// installed just so beside what will be there `soon`. Like apt, stops at the first need that neither way meets.
    fn follow(
        &mut self,
        package: &'a Package,
        suite: &str,
        soon: &mut System<'a>,
        decided: &mut HashMap<&'a str, bool>,
    ) -> Result<bool, ResolveError> {
        for needed in &self.system.facts(&package.control)?.depends {
            if !self.is_met_soon(needed, soon)? && !self.follow_into(needed, suite, soon, decided)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_met_soon(&mut self, needed: &Needed, soon: &System<'a>) -> Result<bool, ResolveError> {
        if self.system.satisfies(needed) {
            return Ok(true);
        }
        for candidate in self.candidates(needed) {
            if self.system.clashes(&candidate.control)?.is_empty()
                && self.system.facts(&candidate.control)?.depends.iter().all(|needed| soon.satisfies(needed))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Pins a version of the suite for the first alternative for which that leads somewhere. Only those count that say
    /// which versions will do.
    fn follow_into(
        &mut self,
        needed: &Needed,
        suite: &str,
        soon: &mut System<'a>,
        decided: &mut HashMap<&'a str, bool>,
    ) -> Result<bool, ResolveError> {
        let universe = self.universe;
        let of_suite = |relation: &Relation| {
            let mut versions = universe.versions(&relation.name).filter(|_| relation.version.is_some());
            versions.find(|version| {
                self.system.meets(relation, &version.control, Some(&version.control.version))
                    && is_of(universe, version, suite)
            })
        };
        let found: Vec<_> = needed.alternatives.iter().filter_map(of_suite).collect();
        for (index, package) in found.iter().enumerate() {
            let name = package.control.name.as_str();
            match decided.insert(name, true) {
                Some(true) => return Ok(true),
                Some(false) => {
                    decided.insert(name, false);
                    continue;
                }
                None => {}
            }
            let before = self.pinned.insert(name, package);
            if self.follow(package, suite, soon, decided)? {
                return Ok(true);
            }
            decided.insert(name, false);
            if index + 1 < found.len() {
                self.pinned.remove(name);
                self.pinned.extend(before.map(|before| (name, before)));
            }
        }
        Ok(false)
    }
}
