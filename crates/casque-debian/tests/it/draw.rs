//! Sets of packages, drawn by a seed.
//!
//! Each name is drawn by its own number, not by its place among the names: when the archive gains a package or loses
//! one, all sets but those that it is in stay what they are.

use std::collections::BTreeSet;

use casque_debian::{Package, Universe};

/// Decides which sets there are.
const SEED: u64 = 20_250_614;
const LARGEST: u64 = 8;

/// What a set is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything in the archive.
    Any,
    /// Packages that leave a choice: they depend on alternatives, or on what only others provide.
    Choice,
    /// A name that is only provided, and anything.
    Virtual,
    /// Two packages of which one conflicts with the other or breaks it, and anything.
    Conflict,
    /// Versions and suites that are asked for.
    Version,
}

const KINDS: [Kind; 5] = [Kind::Any, Kind::Choice, Kind::Virtual, Kind::Conflict, Kind::Version];

/// Names to draw from.
pub struct Pools<'a> {
    universe: &'a Universe,
    any: Vec<(u64, &'a str)>,
    choice: Vec<(u64, &'a str)>,
    provided: Vec<(u64, &'a str)>,
    conflict: Vec<(u64, &'a str)>,
    version: Vec<(u64, &'a str)>,
}

impl<'a> Pools<'a> {
    pub fn new(universe: &'a Universe) -> Self {
        let newest = || universe.packages().iter().filter(|p| universe.is_newest(p));
        let name = |package: &&'a Package| package.control.name.as_str();
        let several = |package: &&Package| universe.versions(&package.control.name).count() > 1;
        let provided: BTreeSet<&str> = newest()
            .flat_map(|p| p.control.relations.provides.split(','))
            .filter_map(|text| text.split(['(', ':']).next().map(str::trim))
            .filter(|name| !name.is_empty() && universe.newest(name).is_none())
            .collect();
        let numbered = |names: Vec<&'a str>| names.into_iter().map(|name| (number(name), name)).collect();
        Self {
            universe,
            any: numbered(newest().map(|p| name(&p)).collect()),
            choice: numbered(newest().filter(|p| leaves_a_choice(universe, p)).map(|p| name(&p)).collect()),
            provided: numbered(provided.into_iter().collect()),
            conflict: numbered(
                newest().filter(|p| opponent(universe, p).is_some()).map(|p| name(&p)).collect(),
            ),
            version: numbered(newest().filter(several).map(|p| name(&p)).collect()),
        }
    }

    /// Draws the set with this number.
    pub fn draw(&self, set: u64) -> (Kind, Vec<String>) {
        let kind = KINDS[usize::try_from(set).unwrap() % KINDS.len()];
        let size = usize::try_from(mix(SEED ^ mix(set)) % LARGEST).unwrap() + 1;
        let names = match kind {
            Kind::Any => pick(&self.any, set, size),
            Kind::Choice => pick(&self.choice, set, size),
            Kind::Virtual => [pick(&self.provided, set, 1), pick(&self.any, set, size - 1)].concat(),
            Kind::Conflict => {
                let one = pick(&self.conflict, set, 1);
                let newest = self.universe.newest(&one[0]).unwrap();
                let other = opponent(self.universe, newest).unwrap();
                [one, vec![other], pick(&self.any, set, size.saturating_sub(2))].concat()
            }
            Kind::Version => {
                let mut names = pick(&self.version, set, size);
                for (index, name) in names.iter_mut().enumerate() {
                    let which = mix(set ^ number(name));
                    let versions: Vec<_> =
                        self.universe.versions(name).map(|p| p.control.version.clone()).collect();
                    let last = versions.last().unwrap();
                    match which % 4 {
                        0 => name.push_str("/bookworm"),
                        1 if index == 0 => name.push_str("/oldstable-security"),
                        2 => *name = format!("{name}={last}"),
                        _ => {}
                    }
                }
                names
            }
        };
        (kind, names)
    }
}

fn leaves_a_choice(universe: &Universe, package: &Package) -> bool {
    let groups = package.control.dependencies("amd64").unwrap();
    groups.iter().any(|group| group.len() > 1 || universe.newest(&group[0].name).is_none())
}

/// Returns a package that cannot be beside this one.
fn opponent(universe: &Universe, package: &Package) -> Option<String> {
    let conflicts = package.control.conflicts("amd64").unwrap();
    conflicts.into_iter().flatten().find_map(|relation| {
        let real = universe.newest(&relation.name).filter(|p| relation.accepts(&p.control.version));
        let mut providers = universe.providers(&relation.name).map(|(package, _)| package);
        let provider = providers.find(|provider| universe.is_newest(provider));
        let other = &real.or(provider)?.control.name;
        (*other != package.control.name).then(|| other.clone())
    })
}

/// Takes the names that have the smallest numbers for this set.
fn pick(pool: &[(u64, &str)], set: u64, count: usize) -> Vec<String> {
    let salt = mix(SEED.wrapping_add(set));
    let mut best: Vec<(u64, &str)> = vec![];
    for (number, name) in pool {
        let place = (mix(number ^ salt), *name);
        let at = best.partition_point(|other| *other < place);
        if at < count {
            best.insert(at, place);
            best.truncate(count);
        }
    }
    best.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// FNV-1a.
fn number(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The last steps of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
