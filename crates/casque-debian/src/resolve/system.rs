//! The system that is being chosen: what is installed, what was chosen on top, and what that satisfies and excludes.

use std::collections::HashMap;
use std::rc::Rc;

use super::error::{ResolveError, Step};
use crate::control::{Control, ControlError};
use crate::relation::{Alternatives, Relation, parse_relations};
use crate::universe::Package;
use crate::version::Version;

/// What a package says about others, parsed.
pub(super) struct Facts {
    pub(super) depends: Vec<Needed>,
    pub(super) excludes: Vec<Excluded>,
    provides: Vec<Relation>,
}

/// What a package depends on.
pub(super) struct Needed {
    pub(super) field: &'static str,
    pub(super) alternatives: Alternatives,
}

/// What cannot be beside a package.
#[derive(Clone)]
pub(super) struct Excluded {
    field: &'static str,
    relation: Relation,
}

/// A package of the system.
pub(super) struct Member<'a> {
    pub(super) control: &'a Control,
    /// Where it is from; none when it is installed already.
    pub(super) package: Option<&'a Package>,
    /// Who needs it, by number; none when it was asked for or is installed.
    pub(super) parent: Option<usize>,
    /// It is installed and goes, or another version takes its place.
    pub(super) gone: Option<Gone>,
    facts: Rc<Facts>,
}

/// Why something installed cannot stay.
pub(super) struct Gone {
    /// Which member it is that takes its place, or cannot be beside it.
    pub(super) by: usize,
    /// Who says so, with which words; none when it was asked for.
    pub(super) because: Option<String>,
}

/// Two packages that cannot be together.
pub(super) struct Clash {
    /// Which member it is.
    pub(super) with: usize,
    /// The newcomer says so.
    pub(super) declared_by_newcomer: bool,
    excluded: Excluded,
}

/// What is installed and what was chosen, in that order.
pub(super) struct System<'a> {
    architecture: &'a str,
    pub(super) members: Vec<Member<'a>>,
    /// Every name that is here, real or provided, and whose it is.
    present: HashMap<String, Vec<(usize, Option<Version>)>>,
    /// Every name that is excluded, and by whom.
    excluded: HashMap<String, Vec<(usize, Excluded)>>,
    facts: HashMap<*const Control, Rc<Facts>>,
}

impl<'a> System<'a> {
    pub(super) fn of(
        architecture: &'a str,
        installed: impl IntoIterator<Item = &'a Control>,
    ) -> Result<Self, ResolveError> {
        let mut system = Self {
            architecture,
            members: vec![],
            present: HashMap::new(),
            excluded: HashMap::new(),
            facts: HashMap::new(),
        };
        for control in installed {
            system.add(control, None, None)?;
        }
        Ok(system)
    }

    /// Adds a package and returns its number.
    pub(super) fn add(
        &mut self,
        control: &'a Control,
        package: Option<&'a Package>,
        parent: Option<usize>,
    ) -> Result<usize, ResolveError> {
        let facts = self.facts(control)?;
        let number = self.members.len();
        let own = (number, Some(control.version.clone()));
        self.present.entry(control.name.clone()).or_default().push(own);
        for provided in &facts.provides {
            let version = provided.version.as_ref().map(|(_, version)| version.clone());
            self.present.entry(provided.name.clone()).or_default().push((number, version));
        }
        for excluded in &facts.excludes {
            let name = excluded.relation.name.clone();
            self.excluded.entry(name).or_default().push((number, excluded.clone()));
        }
        self.members.push(Member { control, package, parent, gone: None, facts });
        Ok(number)
    }

    /// Takes back every member from this number on, and what they made of those before.
    pub(super) fn rewind(&mut self, length: usize) {
        for member in self.members.drain(length..) {
            let provided = member.facts.provides.iter().map(|relation| relation.name.as_str());
            for name in provided.chain([member.control.name.as_str()]) {
                if let Some(all) = self.present.get_mut(name) {
                    all.retain(|(number, _)| *number < length);
                }
            }
            for excluded in &member.facts.excludes {
                if let Some(all) = self.excluded.get_mut(&excluded.relation.name) {
                    all.retain(|(number, _)| *number < length);
                }
            }
        }
        for member in &mut self.members {
            member.gone.take_if(|gone| gone.by >= length);
        }
    }

    /// Returns what a package says about others.
    pub(super) fn facts(&mut self, control: &Control) -> Result<Rc<Facts>, ResolveError> {
        if let Some(facts) = self.facts.get(&std::ptr::from_ref(control)) {
            return Ok(Rc::clone(facts));
        }
        let facts = Rc::new(Facts::new(control, self.architecture).map_err(ResolveError::Control)?);
        self.facts.insert(control, Rc::clone(&facts));
        Ok(facts)
    }

    /// Returns the member of this name that stays.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        let all = self.present.get(name)?;
        all.iter().map(|(number, _)| *number).find(|number| {
            let member = &self.members[*number];
            member.gone.is_none() && member.control.name == name
        })
    }

    /// Tells whether something here satisfies a dependency.
    pub(super) fn satisfies(&self, needed: &Needed) -> bool {
        needed.alternatives.iter().any(|relation| self.satisfying(relation).is_some())
    }

    /// Returns who satisfies `relation`.
    pub(super) fn satisfying(&self, relation: &Relation) -> Option<usize> {
        let all = self.present.get(&relation.name)?;
        let hit = all.iter().find(|(number, version)| {
            let member = &self.members[*number];
            member.gone.is_none() && self.meets(relation, member.control, version.as_ref())
        });
        hit.map(|(number, _)| *number)
    }

    /// Tells whether a package, which has or provides the relation's name in this version, satisfies it.
    pub(super) fn meets(&self, relation: &Relation, control: &Control, version: Option<&Version>) -> bool {
        let is_here = match relation.qualifier.as_deref() {
            None | Some("native") => true,
            // Only what says that its interface is the same everywhere may be any.
            Some("any") => control.multi_arch_allowed,
            Some(architecture) => architecture == self.architecture,
        };
        let provides_any = || {
            let all = parse_relations(&control.relations.provides, self.architecture).unwrap_or_default();
            all.iter().flatten().any(|p| p.name == relation.name && p.qualifier == relation.qualifier)
        };
        relation.accepts_provided(version) && (is_here || provides_any())
    }

    /// Returns the members that cannot be together with a package.
    pub(super) fn clashes(&mut self, control: &Control) -> Result<Vec<Clash>, ResolveError> {
        let facts = self.facts(control)?;
        let stays = |number: usize| {
            let member = &self.members[number];
            member.gone.is_none() && member.control.name != control.name
        };
        let mut clashes = vec![];
        for excluded in &facts.excludes {
            let all = self.present.get(&excluded.relation.name).into_iter().flatten();
            let hit = all.filter(|(number, version)| {
                stays(*number) && excluded.relation.accepts_provided(version.as_ref())
            });
            let clash = |(with, _): &(usize, _)| Clash {
                with: *with,
                declared_by_newcomer: true,
                excluded: excluded.clone(),
            };
            clashes.extend(hit.map(clash));
        }
        let own = [(control.name.as_str(), Some(&control.version))];
        let provided = facts
            .provides
            .iter()
            .map(|relation| (relation.name.as_str(), relation.version.as_ref().map(|(_, version)| version)));
        for (name, version) in own.into_iter().chain(provided) {
            for (number, excluded) in self.excluded.get(name).into_iter().flatten() {
                if stays(*number) && excluded.relation.accepts_provided(version) {
                    let excluded = excluded.clone();
                    clashes.push(Clash { with: *number, declared_by_newcomer: false, excluded });
                }
            }
        }
        Ok(clashes)
    }

    /// Returns the way from what was asked for to this member.
    pub(super) fn chain(&self, number: Option<usize>) -> Vec<Step> {
        let mut chain = vec![];
        let mut next = number;
        while let Some(number) = next {
            let member = &self.members[number];
            chain.push(step(member.control, member.package.is_none()));
            next = member.parent;
        }
        chain.reverse();
        chain
    }

    /// Says that a package, which `parent` needs, cannot be here because of a member.
    pub(super) fn conflict(&self, control: &Control, parent: Option<usize>, clash: &Clash) -> ResolveError {
        let mut newcomer = self.chain(parent);
        newcomer.push(step(control, false));
        let member = self.chain(Some(clash.with));
        let other = self.members[clash.with].control;
        let (left, right, about) =
            if clash.declared_by_newcomer { (newcomer, member, other) } else { (member, newcomer, control) };
        let relation = &clash.excluded.relation;
        let because = if about.name == relation.name {
            "is there as well".to_owned()
        } else {
            format!("provides `{}`", relation.name)
        };
        ResolveError::Conflict { left, right, relation: clash.excluded.to_string(), because }
    }
}

impl std::fmt::Display for Excluded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.field, self.relation)
    }
}

impl std::fmt::Display for Clash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.excluded.fmt(formatter)
    }
}

impl Needed {
    /// Returns the alternatives as they are written.
    pub(super) fn written(&self) -> String {
        self.alternatives.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }
}

fn step(control: &Control, installed: bool) -> Step {
    Step { name: control.name.clone(), version: control.version.to_string(), installed }
}

impl Facts {
    fn new(control: &Control, architecture: &str) -> Result<Self, ControlError> {
        let first = control.pre_dependencies(architecture)?.len();
        let depends =
            control.dependencies(architecture)?.into_iter().enumerate().map(|(index, alternatives)| Needed {
                field: if index < first { "Pre-Depends" } else { "Depends" },
                alternatives,
            });
        let conflicts =
            parse_relations(&control.relations.conflicts, architecture).map_or(0, |all| all.len());
        let applies = |relation: &Relation| {
            let qualifier = relation.qualifier.as_deref();
            qualifier.is_none_or(|qualifier| ["any", "native", architecture].contains(&qualifier))
        };
        let excludes = control.conflicts(architecture)?.into_iter().enumerate().flat_map(|(index, all)| {
            let field = if index < conflicts { "Conflicts" } else { "Breaks" };
            all.into_iter().filter(applies).map(move |relation| Excluded { field, relation })
        });
        let provides = control.provides(architecture)?.into_iter().flatten().collect();
        Ok(Self { depends: depends.collect(), excludes: excludes.collect(), provides })
    }
}
