//! The difference of a stage, split by whom its files belong to: so that a layer changes only with what is in it.
//!
//! What a Debian package or a Python distribution brought, and nothing changed since, is its owner's. Bytecode of
//! Debian's own sources is generated. Everything else is the state of the stage, and lies on top: it also says what
//! directories really are, which the layers below only make up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use casque_debian::{Brought, PackageFiles};
use casque_format::digest::{Digest, Hasher};
use casque_image::diff::Change;
use casque_image::node::{Kind, Node};
use casque_python::InstalledDistribution;
use fs_err::File;

use crate::error::BuildError;
use crate::parallel;

/// The time of what has none that is the same each time; zip archives know none before it.
pub(crate) const FIXED_TIME: u64 = 315_532_800;

/// Files of one owner, each with the time it gets in place of its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) files: BTreeMap<PathBuf, Option<u64>>,
    pub(crate) size: u64,
}

/// A difference in parts that add up to it.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// By owner: a source package, or a Python distribution with `python:` before its name.
    pub(crate) owners: BTreeMap<String, Owned>,
    /// Bytecode of sources that belong to Debian packages.
    pub(crate) generated: Owned,
    /// The rest, sorted by path.
    pub(crate) state: Vec<Change>,
}

/// Whose a changed entry is.
enum Owner {
    Named(String, Option<u64>),
    Generated,
    State,
}

/// Splits `changes`, after which the root filesystem is `root`.
///
/// # Errors
/// A file of the root that cannot be read.
pub(crate) fn split(root: &Path, changes: &[Change]) -> Result<Split, BuildError> {
    let packages = PackageFiles::read(root).map_err(BuildError::Root)?;
    let distributions = distributions(root, changes, &packages)?;
    let judged = parallel::map(changes, |change| judge(root, change, &packages, &distributions));
    let mut split = Split::default();
    let mut directories = Vec::new();
    let mut state = BTreeSet::new();
    let mut compiled = Vec::new();
    for (change, judged) in changes.iter().zip(judged) {
        let (owner, node) = judged.map_err(BuildError::Root)?;
        let Change::Present(path) = change else { continue };
        match (owner, node) {
            (_, Some(node)) if node.is_directory() => directories.push((path, node)),
            (Owner::State, _) | (_, None) => drop(state.insert(path.clone())),
            (owner, Some(node)) => compiled.push((path, owner, node)),
        }
    }
    for (path, owner, node) in compiled {
        let Kind::File { size } = node.kind else {
            split.put(path, owner, 0);
            continue;
        };
        match source_of(path) {
            // What was compiled from a changed source is no more the owner's than that.
            Some(source) if state.contains(&source) => drop(state.insert(path.clone())),
            _ => split.put(path, owner, size),
        }
    }
    let made_up = split.directories();
    for (path, node) in directories {
        if !node.is_plain_directory() || !made_up.contains(path) {
            state.insert(path.clone());
        }
    }
    for path in made_up {
        let node = Node::read(&root.join(&path)).map_err(BuildError::Root)?;
        if node.is_some_and(|node| !node.is_plain_directory()) {
            state.insert(path);
        }
    }
    let removed = changes.iter().filter(|change| matches!(change, Change::Removed(_))).cloned();
    split.state = state.into_iter().map(Change::Present).chain(removed).collect();
    split.state.sort_by(|one, other| path_of(one).cmp(path_of(other)));
    Ok(split)
}

impl Split {
    /// Counts what was generated as state.
    pub(crate) fn generates_nothing(&mut self) {
        let files = std::mem::take(&mut self.generated).files.into_keys();
        self.state.extend(files.map(Change::Present));
        self.state.sort_by(|one, other| path_of(one).cmp(path_of(other)));
    }

    fn put(&mut self, path: &Path, owner: Owner, size: u64) {
        let (owned, time) = match owner {
            Owner::Named(name, time) => (self.owners.entry(name).or_default(), time),
            Owner::Generated | Owner::State => (&mut self.generated, Some(FIXED_TIME)),
        };
        owned.files.insert(path.to_owned(), time);
        owned.size += size;
    }

    /// Returns the directories that the layers of owners make up.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let owned = self.owners.values().chain([&self.generated]);
        let paths = owned.flat_map(|owned| owned.files.keys()).flat_map(|path| path.ancestors().skip(1));
        paths.filter(|path| *path != Path::new("")).map(Path::to_owned).collect()
    }
}

fn path_of(change: &Change) -> &Path {
    match change {
        Change::Present(path) | Change::Removed(path) => path,
    }
}

/// Files of the distributions whose records changed.
type Distributions = HashMap<PathBuf, (String, Option<Digest>)>;

fn distributions(
    root: &Path,
    changes: &[Change],
    packages: &PackageFiles,
) -> Result<Distributions, BuildError> {
    let mut found = HashMap::new();
    for change in changes {
        let Change::Present(path) = change else { continue };
        if path.file_name().is_none_or(|name| name != "RECORD") || packages.source(path).is_some() {
            continue;
        }
        let Some(distribution) = InstalledDistribution::read(root, path)? else { continue };
        let name = format!("python:{}", distribution.name);
        found.extend(distribution.files.into_iter().map(|(path, digest)| (path, (name.clone(), digest))));
    }
    Ok(found)
}

fn judge(
    root: &Path,
    change: &Change,
    packages: &PackageFiles,
    distributions: &Distributions,
) -> io::Result<(Owner, Option<Node>)> {
    let Change::Present(path) = change else { return Ok((Owner::State, None)) };
    let Some(node) = Node::read(&root.join(path))? else { return Ok((Owner::State, None)) };
    // No package brings extended attributes; scripts set them.
    if node.is_directory() || !node.xattrs.is_empty() {
        return Ok((Owner::State, Some(node)));
    }
    let owner = if let Some(source) = packages.source(path) {
        match packages.brought(root, path)? {
            Brought::Plain => Owner::Named(source.to_owned(), None),
            Brought::Record => Owner::Named(source.to_owned(), Some(FIXED_TIME)),
            Brought::Changed => Owner::State,
        }
    } else if let Some((name, digest)) = distributions.get(path) {
        let same = matches!(node.kind, Kind::File { .. })
            && match digest {
                Some(digest) => *digest == digest_of_file(&root.join(path))?,
                None => true,
            };
        if same { Owner::Named(name.clone(), Some(FIXED_TIME)) } else { Owner::State }
    } else if let Some(source) = source_of(path) {
        match distributions.get(&source) {
            Some((name, _)) => Owner::Named(name.clone(), Some(FIXED_TIME)),
            None if packages.source(&source).is_some() => Owner::Generated,
            None => Owner::State,
        }
    } else {
        Owner::State
    };
    Ok((owner, Some(node)))
}

/// Returns the source that `path`, when it is bytecode, was compiled from.
fn source_of(path: &Path) -> Option<PathBuf> {
    let cache =
        path.parent().filter(|directory| directory.file_name().is_some_and(|name| name == "__pycache__"))?;
    let name = path.file_name()?.to_str()?.strip_suffix(".pyc")?;
    let (module, _) = name.rsplit_once(".cpython-")?;
    Some(cache.parent()?.join(format!("{module}.py")))
}

/// Returns the digest of a file's content.
pub(crate) fn digest_of_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    io::copy(&mut file, &mut HashWriter(&mut hasher))?;
    Ok(hasher.finish())
}

struct HashWriter<'a>(&'a mut Hasher);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
