//! In which order packages are configured.
//!
//! dpkg sorts out `Depends` within one call, and not `Pre-Depends`; so a package starts a new call when one of its
//! `Pre-Depends` would otherwise be configured in the same one. The order is fixed by the packages alone: it decides
//! which number each system user gets.

use std::collections::HashMap;

use crate::control::{Control, ControlError};

/// Packages for one call of `dpkg --configure`, in order.
pub type Batch = Vec<String>;

/// Configured before all others, each with what it needs: the users and the base of the system.
const FIRST: [&str; 2] = ["base-passwd", "base-files"];

/// Returns the batches in which to configure `packages`.
pub fn configure_batches(packages: &[&Control], architecture: &str) -> Result<Vec<Batch>, ControlError> {
    let graph = Graph::new(packages, architecture)?;
    let mut batches: Vec<Batch> = vec![];
    for group in graph.groups(packages) {
        let mut current: Vec<usize> = vec![];
        for index in group {
            if graph.pre_depends[index].iter().any(|needed| current.contains(needed)) {
                batches.push(current.drain(..).map(|index| packages[index].database_name()).collect());
            }
            current.push(index);
        }
        if !current.is_empty() {
            batches.push(current.into_iter().map(|index| packages[index].database_name()).collect());
        }
    }
    Ok(batches)
}

/// Returns the order in which to run the `preinst` of those `packages` that have one.
pub fn preinst_order(packages: &[&Control], architecture: &str) -> Result<Vec<String>, ControlError> {
    let graph = Graph::new(packages, architecture)?;
    Ok(graph.groups(packages).concat().into_iter().map(|index| packages[index].database_name()).collect())
}

/// Who depends on whom, by number.
struct Graph {
    depends: Vec<Vec<usize>>,
    pre_depends: Vec<Vec<usize>>,
    /// The numbers in the order in which a choice is free.
    preference: Vec<usize>,
}

impl Graph {
    fn new(packages: &[&Control], architecture: &str) -> Result<Self, ControlError> {
        let mut standing_for: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, control) in packages.iter().enumerate() {
            standing_for.entry(control.name.clone()).or_default().push(index);
            for relation in control.provides(architecture)?.into_iter().flatten() {
                standing_for.entry(relation.name).or_default().push(index);
            }
        }
        let edges = |groups: Vec<crate::relation::Alternatives>| {
            let mut edges: Vec<usize> = groups
                .into_iter()
                .flatten()
                .filter_map(|r| standing_for.get(&r.name))
                .flatten()
                .copied()
                .collect();
            edges.sort_by_key(|index| &packages[*index].name);
            edges.dedup();
            edges
        };
        let mut depends = vec![];
        let mut pre_depends = vec![];
        for control in packages {
            depends.push(edges(control.dependencies(architecture)?));
            pre_depends.push(edges(control.pre_dependencies(architecture)?));
        }
        let mut preference: Vec<usize> = (0..packages.len()).collect();
        preference.sort_by_key(|index| &packages[*index].name);
        Ok(Self { depends, pre_depends, preference })
    }

    /// What is needed comes before what needs it: first the [`FIRST`] ones, then what is essential, then the rest. A
    /// circle is entered at its preferred package; `Pre-Depends` are never part of one.
    fn groups(&self, packages: &[&Control]) -> Vec<Vec<usize>> {
        let rank = |control: &Control| {
            let first = FIRST.iter().position(|name| *name == control.name);
            first.unwrap_or(if control.essential { FIRST.len() } else { FIRST.len() + 1 })
        };
        let mut seen = vec![false; self.depends.len()];
        let mut groups = vec![vec![]; FIRST.len() + 2];
        for (wanted, group) in groups.iter_mut().enumerate() {
            for &index in self.preference.iter().filter(|index| rank(packages[**index]) == wanted) {
                self.visit(index, &mut seen, group);
            }
        }
        groups
    }

    fn visit(&self, index: usize, seen: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[index], true) {
            return;
        }
        for &needed in self.pre_depends[index].iter().chain(&self.depends[index]) {
            self.visit(needed, seen, order);
        }
        order.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::stanzas;

    fn controls(text: &str) -> Vec<Control> {
        stanzas(text).map(|stanza| Control::parse(&stanza).unwrap()).collect()
    }

    const PACKAGES: &str = "\
Package: web\nVersion: 1\nArchitecture: all\nDepends: lib, awk\nPre-Depends: setup\n
Package: lib\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\nDepends: data\n
Package: data\nVersion: 1\nArchitecture: all\nDepends: lib\n
Package: setup\nVersion: 1\nArchitecture: all\n
Package: mawk\nVersion: 1\nArchitecture: amd64\nProvides: awk\n
Package: base-files\nVersion: 1\nArchitecture: amd64\nEssential: yes\nPre-Depends: awk\n
Package: bash\nVersion: 1\nArchitecture: amd64\nEssential: yes\nDepends: base-files\n
Package: base-passwd\nVersion: 1\nArchitecture: amd64\nEssential: yes\n";

    #[test]
    fn what_is_needed_is_configured_first_and_pre_depends_in_an_earlier_call() {
        let controls = controls(PACKAGES);
        let batches = configure_batches(&controls.iter().collect::<Vec<_>>(), "amd64").unwrap();
        assert_eq!(
            batches,
            [
                vec!["base-passwd"],
                vec!["mawk"],
                vec!["base-files"],
                vec!["bash"],
                vec!["lib:amd64", "data", "setup"],
                vec!["web"]
            ]
        );
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_given() {
        let controls = controls(PACKAGES);
        let forward = preinst_order(&controls.iter().collect::<Vec<_>>(), "amd64").unwrap();
        let backward = preinst_order(&controls.iter().rev().collect::<Vec<_>>(), "amd64").unwrap();
        assert_eq!(forward, backward);
        assert_eq!(forward.first().map(String::as_str), Some("base-passwd"));
    }
}
