//! Packages compared by name and version.

use std::collections::{BTreeMap, BTreeSet};

use casque_debian::Version;
use casque_format::difference::{Package, Step};

/// Versions by name.
pub(super) type Versions = BTreeMap<String, String>;

/// Compares Debian packages.
pub(super) fn debian(old: &Versions, new: &Versions) -> Vec<Package> {
    let step = |old: &str, new: &str| match Version::new(new).cmp(&Version::new(old)) {
        std::cmp::Ordering::Less => Step::Downgraded,
        std::cmp::Ordering::Equal => Step::Changed,
        std::cmp::Ordering::Greater => Step::Upgraded,
    };
    compare(old, new, None, step)
}

/// Compares Python distributions, place by place. An environment that moved is still the same environment when there is no
/// other that it could be.
pub(super) fn python(old: &BTreeMap<String, Versions>, new: &BTreeMap<String, Versions>) -> Vec<Package> {
    let none = Versions::new();
    let only_old: Vec<&String> = old.keys().filter(|place| !new.contains_key(*place)).collect();
    let only_new: Vec<&String> = new.keys().filter(|place| !old.contains_key(*place)).collect();
    let moved = match (&only_old[..], &only_new[..]) {
        ([from], [to]) => Some((*from, *to)),
        _ => None,
    };
    let mut packages = Vec::new();
    let places: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for place in places {
        let before = match moved {
            Some((from, _)) if from == place => continue,
            Some((from, to)) if to == place => &old[from],
            _ => old.get(place).unwrap_or(&none),
        };
        packages.extend(compare(before, new.get(place).unwrap_or(&none), Some(place), later));
    }
    packages
}

fn compare(
    old: &Versions,
    new: &Versions,
    place: Option<&String>,
    step: impl Fn(&str, &str) -> Step,
) -> Vec<Package> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let package = |name: &String| {
        let (old, new) = (old.get(name), new.get(name));
        let how = match (old, new) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(old), Some(new)) => step(old, new),
            (None, _) => Step::Added,
            (_, None) => Step::Removed,
        };
        Some(Package { name: name.clone(), place: place.cloned(), how, old: old.cloned(), new: new.cloned() })
    };
    names.into_iter().filter_map(package).collect()
}

/// Compares two versions of Python: numbers with dots are in order, for anything else only their maker knows.
fn later(old: &str, new: &str) -> Step {
    let numbers =
        |version: &str| version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>();
    match (numbers(old), numbers(new)) {
        (Some(old), Some(new)) if old < new => Step::Upgraded,
        (Some(old), Some(new)) if old > new => Step::Downgraded,
        _ => Step::Changed,
    }
}
