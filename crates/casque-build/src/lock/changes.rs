//! What a new lock changes against the one before.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Lockfile;

/// What a new lock changes, sorted by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LockChanges {
    /// What was not there.
    pub added: Vec<Entry>,
    /// What is gone.
    pub removed: Vec<Entry>,
    /// What has another version, or comes from another archive.
    pub changed: Vec<Moved>,
}

/// What kind of thing a lock pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The image that the product starts from.
    Base,
    /// A Debian package.
    Package,
    /// A Python distribution, named `LAYER/NAME`, or `LAYER:VENV/NAME` where the layer has several environments.
    Python,
}

/// Something that a lock pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The archive it comes from; empty for a base and for a Python distribution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub archive: String,
}

/// Something that both locks pin, differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// As it was.
    pub old: Entry,
    /// As it is.
    pub new: Entry,
}

impl LockChanges {
    /// Compares a lock with the one before; where there was none, everything is new.
    pub fn between(old: Option<&Lockfile>, new: &Lockfile) -> Self {
        let mut before = old.map(entries).unwrap_or_default();
        let mut changes = Self::default();
        for (key, entry) in entries(new) {
            match before.remove(&key) {
                None => changes.added.push(entry),
                Some(old) if old != entry => changes.changed.push(Moved { old, new: entry }),
                Some(_) => {}
            }
        }
        changes.removed = before.into_values().collect();
        changes
    }
}

fn entries(lock: &Lockfile) -> BTreeMap<(Kind, String), Entry> {
    let packages = lock.packages.iter().map(|pin| Entry {
        kind: Kind::Package,
        name: pin.name.clone(),
        version: pin.version.to_string(),
        archive: pin.archive.clone(),
    });
    let python = lock.python.iter().flat_map(|set| {
        set.distributions.iter().map(|distribution| Entry {
            kind: Kind::Python,
            name: match &set.venv {
                Some(venv) => format!("{}:{venv}/{}", set.layer, distribution.name),
                None => format!("{}/{}", set.layer, distribution.name),
            },
            version: distribution.version.clone(),
            archive: String::new(),
        })
    });
    let base = lock.base.iter().map(|base| Entry {
        kind: Kind::Base,
        name: base.from.clone(),
        version: base.image.oci(),
        archive: String::new(),
    });
    base.chain(packages).chain(python).map(|entry| ((entry.kind, entry.name.clone()), entry)).collect()
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)?;
        if self.archive.is_empty() { Ok(()) } else { write!(formatter, " ({})", self.archive) }
    }
}

impl fmt::Display for LockChanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = vec![];
        lines.extend(self.added.iter().map(|entry| format!("+ {entry}")));
        lines.extend(self.removed.iter().map(|entry| format!("- {entry}")));
        lines.extend(self.changed.iter().map(|Moved { old, new }| {
            let from = if old.archive == new.archive {
                old.version.clone()
            } else {
                format!("{} ({})", old.version, old.archive)
            };
            let archive = if new.archive.is_empty() { String::new() } else { format!(" ({})", new.archive) };
            format!("* {} {from} -> {}{archive}", new.name, new.version)
        }));
        if lines.is_empty() {
            lines.push("nothing changed".to_owned());
        }
        formatter.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a lock of packages, `name version archive` each.
    fn lock(packages: &[&str]) -> Lockfile {
        let package = |text: &&str| {
            let mut words = text.split(' ');
            let mut word = || words.next().unwrap();
            format!(
                "[[package]]\nname = \"{}\"\nversion = \"{}\"\narchitecture = \"all\"\narchive = \"{}\"\n\
                 filename = \"x\"\nurls = []\nsize = 1\nsha256 = \"{}\"\n",
                word(),
                word(),
                word(),
                "0".repeat(64)
            )
        };
        let packages: String = packages.iter().map(package).collect();
        toml::from_str(&format!("version = 1\n{packages}")).unwrap()
    }

    #[test]
    fn what_came_went_and_moved_is_told_apart() {
        let old = lock(&["gone 1 main", "moved 1 main", "same 1 main", "switched 1 main"]);
        let new = lock(&["came 2 main", "moved 1.1 security", "same 1 main", "switched 2 main"]);
        assert_eq!(
            LockChanges::between(Some(&old), &new).to_string(),
            "+ came 2 (main)\n- gone 1 (main)\n* moved 1 (main) -> 1.1 (security)\n* switched 1 -> 2 (main)"
        );
        assert_eq!(LockChanges::between(Some(&new), &new).to_string(), "nothing changed");
        assert_eq!(LockChanges::between(None, &lock(&["came 2 main"])).to_string(), "+ came 2 (main)");
    }

    #[test]
    fn the_json_has_the_kind_the_versions_and_the_archives() {
        let changes = LockChanges::between(Some(&lock(&["a 1 main"])), &lock(&["a 2 main"]));
        assert_eq!(
            serde_json::to_string(&changes).unwrap(),
            r#"{"added":[],"removed":[],"changed":[{"old":{"kind":"package","name":"a","version":"1","archive":"main"},"new":{"kind":"package","name":"a","version":"2","archive":"main"}}]}"#
        );
    }
}
