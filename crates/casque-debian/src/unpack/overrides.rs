//! Owners and modes that the system's administrator gave to files of packages: dpkg-statoverride(1).

use std::collections::HashMap;
use std::path::Path;

use super::UnpackError;
use super::database::DATABASE;
use super::tree::{Attributes, Tree};

/// What `statoverride` of one root says, by absolute path.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    entries: HashMap<String, Override>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Override {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Overrides {
    /// Reads the overrides of a root, whose own users they name.
    pub(super) fn read(tree: &Tree) -> Result<Self, UnpackError> {
        let mut entries = HashMap::new();
        let text = tree.read(&Path::new(DATABASE).join("statoverride"))?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (users, groups) = (tree.read(Path::new("etc/passwd"))?, tree.read(Path::new("etc/group"))?);
        let (users, groups) = (ids(&users), ids(&groups));
        for line in text.lines().filter(|line| !line.is_empty()) {
            let unusable = || UnpackError::Override { line: line.to_owned() };
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().ok_or_else(unusable);
            let (user, group, mode, path) = (word()?, word()?, word()?, word()?);
            let entry = Override {
                uid: id(user, &users).ok_or_else(unusable)?,
                gid: id(group, &groups).ok_or_else(unusable)?,
                mode: u32::from_str_radix(mode, 8).map_err(|_| unusable())?,
            };
            entries.insert(path.to_owned(), entry);
        }
        Ok(Self { entries })
    }

    /// Gives the entry at the absolute `path` its owner and mode.
    pub(super) fn apply(&self, path: &str, attributes: &mut Attributes) {
        if let Some(entry) = self.entries.get(path) {
            (attributes.uid, attributes.gid, attributes.mode) = (entry.uid, entry.gid, entry.mode & 0o7777);
        }
    }
}

/// Returns the numbers of a passwd(5) or group(5).
fn ids(text: &str) -> HashMap<&str, u32> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?, fields.nth(1)?.parse().ok()?))
        })
        .collect()
}

/// A name, or a number after `#`.
fn id(text: &str, known: &HashMap<&str, u32>) -> Option<u32> {
    text.strip_prefix('#').map_or_else(|| known.get(text).copied(), |number| number.parse().ok())
}
