//! Where two trees differ.
//!
//! Two roots of a distribution have tens of thousands of entries in common, so the caller names the
//! paths worth comparing: those an overlay's upper directories hold.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use fs_err::File;

use crate::layer::{Diff, LayerOptions};
use crate::node::{Kind, Node};

/// One difference, its path relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The entry is new or differs.
    Present(PathBuf),
    /// Nothing is there any more.
    Removed(PathBuf),
}

/// Returns the paths that can differ between `lower` and `upper`, where `upper` is an overlay whose
/// upper directories are `written`.
///
/// What hides lower content as a whole, an opaque or a renamed directory, brings in every path below
/// it. The directories of one overlay must be on one machine with the caller seeing their
/// `trusted.overlay` (or, mounted with `userxattr`, `user.overlay`) attributes.
pub fn overlay_candidates(lower: &Path, upper: &Path, written: &[&Path]) -> io::Result<BTreeSet<PathBuf>> {
    let mut candidates = BTreeSet::new();
    for directory in written {
        let mut visit = |path: &Path, node: &Node| {
            candidates.insert(path.to_owned());
            if node.is_directory() && hides_lower(&directory.join(path))? {
                for view in [lower, upper] {
                    below(view, path, &mut candidates)?;
                }
            }
            Ok(true)
        };
        descend(directory, Path::new(""), &mut visit)?;
    }
    Ok(candidates)
}

/// Returns every path that is in one of two trees.
pub fn all_candidates(lower: &Path, upper: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut candidates = BTreeSet::new();
    for view in [lower, upper] {
        below(view, Path::new(""), &mut candidates)?;
    }
    Ok(candidates)
}

/// Returns every path below `root` that the options take.
pub(crate) fn walk(root: &Path, options: &LayerOptions) -> io::Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    let mut visit = |path: &Path, _: &Node| {
        let taken = options.takes(path);
        if taken {
            paths.insert(path.to_owned());
        }
        Ok(taken)
    };
    descend(root, Path::new(""), &mut visit)?;
    Ok(paths)
}

/// Returns where the trees of `diff` differ, sorted by path.
pub fn differences(diff: &Diff<'_>, options: &LayerOptions) -> io::Result<Vec<Change>> {
    let candidates = diff.candidates.iter().filter(|path| options.takes(path));
    changes(diff.lower, diff.upper, candidates).collect()
}

/// Compares the trees at `candidates`, which are sorted.
pub(crate) fn changes<'a>(
    lower: &'a Path,
    upper: &'a Path,
    candidates: impl Iterator<Item = &'a PathBuf> + 'a,
) -> impl Iterator<Item = io::Result<Change>> + 'a {
    let mut lower = View::new(lower);
    let mut upper = View::new(upper);
    candidates.filter_map(move |path| compare(&mut lower, &mut upper, path).transpose())
}

fn compare(lower: &mut View<'_>, upper: &mut View<'_>, path: &Path) -> io::Result<Option<Change>> {
    let change = match (lower.node(path)?, upper.node(path)?) {
        (None, None) => None,
        (None, Some(_)) => Some(Change::Present(path.to_owned())),
        (Some(before), Some(after)) => {
            let same = same_metadata(&before, &after)
                && (!matches!(after.kind, Kind::File { .. })
                    || same_content(&lower.root.join(path), &upper.root.join(path))?);
            (!same).then(|| Change::Present(path.to_owned()))
        }
        // Whatever took its directory's place removes it already.
        (Some(_), None) => {
            let kept = path.parent().is_none_or(|parent| parent == Path::new(""));
            let directory_remains = kept
                || upper
                    .node(path.parent().unwrap_or(Path::new("")))?
                    .is_some_and(|node| node.is_directory());
            directory_remains.then(|| Change::Removed(path.to_owned()))
        }
    };
    Ok(change)
}

/// A tree whose entries are looked up without ever following a link on the way.
struct View<'a> {
    root: &'a Path,
    directories: HashSet<PathBuf>,
}

impl<'a> View<'a> {
    fn new(root: &'a Path) -> Self {
        Self { root, directories: HashSet::new() }
    }

    fn node(&mut self, path: &Path) -> io::Result<Option<Node>> {
        if !self.is_directory(path.parent().unwrap_or(Path::new("")))? {
            return Ok(None);
        }
        let node = Node::read(&self.root.join(path))?;
        if node.as_ref().is_some_and(Node::is_directory) {
            self.directories.insert(path.to_owned());
        }
        Ok(node)
    }

    fn is_directory(&mut self, path: &Path) -> io::Result<bool> {
        if path == Path::new("") || self.directories.contains(path) {
            return Ok(true);
        }
        Ok(self.node(path)?.is_some_and(|node| node.is_directory()))
    }
}

fn same_metadata(before: &Node, after: &Node) -> bool {
    *before == Node { mtime: before.mtime, ..after.clone() }
}

fn same_content(before: &Path, after: &Path) -> io::Result<bool> {
    let mut before = BufReader::with_capacity(1 << 16, File::open(before)?);
    let mut after = BufReader::with_capacity(1 << 16, File::open(after)?);
    loop {
        let (one, other) = (before.fill_buf()?, after.fill_buf()?);
        let length = one.len().min(other.len());
        if length == 0 {
            return Ok(one.len() == other.len());
        }
        if one[..length] != other[..length] {
            return Ok(false);
        }
        before.consume(length);
        after.consume(length);
    }
}

fn hides_lower(directory: &Path) -> io::Result<bool> {
    for name in ["opaque", "redirect"] {
        for class in ["trusted", "user"] {
            let name = format!("{class}.overlay.{name}");
            match xattr::get(directory, OsStr::new(&name)) {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(false)
}

fn below(root: &Path, path: &Path, paths: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let mut visit = |path: &Path, _: &Node| {
        paths.insert(path.to_owned());
        Ok(true)
    };
    if !View::new(root).is_directory(path)? {
        return Ok(());
    }
    descend(root, path, &mut visit)
}

/// Visits everything below `root/path`, whose last component is a directory; the visitor says
/// whether a directory's content is visited too.
fn descend(
    root: &Path,
    path: &Path,
    visit: &mut impl FnMut(&Path, &Node) -> io::Result<bool>,
) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(root.join(path))? {
        names.push(entry?.file_name());
    }
    names.sort();
    for name in names {
        let path = path.join(name);
        if let Some(node) = Node::read(&root.join(&path))?
            && visit(&path, &node)?
            && node.is_directory()
        {
            descend(root, &path, visit)?;
        }
    }
    Ok(())
}
