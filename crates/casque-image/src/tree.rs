//! The entries an image shows when its layers lie on top of each other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::layer_reader::{Item, LayerEntry, Stop};
use crate::node::{Kind, Node};
use crate::read::{Archive, ReadError, ReadLayer};
use crate::resolve::{self, Found};

/// The merged view of an image's layers.
#[derive(Debug)]
pub struct Tree<'a> {
    archive: &'a Archive,
    /// Where each layer is read; none of what a thin archive leaves out.
    sources: Vec<Option<(&'a Archive, &'a ReadLayer)>>,
    entries: BTreeMap<PathBuf, TreeEntry>,
}

/// One entry of the merged view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub node: Node,
    /// The layer it comes from, counted from the lowest.
    pub layer: usize,
    pub(crate) offset: u64,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(archive: &'a Archive) -> Result<Self, ReadError> {
        Self::borrowing(archive, archive)
    }

    /// Reads the layers that a thin archive leaves out in another one, as far as that has them.
    pub fn borrowing(archive: &'a Archive, lender: &'a Archive) -> Result<Self, ReadError> {
        let lent = |layer: &ReadLayer| {
            let same = |other: &&ReadLayer| !other.left_out && other.diff_id == layer.diff_id;
            lender.layers().iter().find(same).map(|layer| (lender, layer))
        };
        let source = |layer: &'a ReadLayer| if layer.left_out { lent(layer) } else { Some((archive, layer)) };
        let sources: Vec<_> = archive.layers().iter().map(source).collect();
        let mut tree = Self { archive, sources, entries: BTreeMap::new() };
        for number in 0..tree.sources.len() {
            let Some((archive, layer)) = tree.sources[number] else { continue };
            let scanned = archive.plain(layer)?.scan(|entry| {
                tree.apply(number, entry);
                Ok::<(), Infallible>(())
            });
            scanned.map_err(|Stop::Layer(error)| archive.unreadable(layer, error))?;
        }
        Ok(tree)
    }

    /// Returns how many layers could not be read.
    pub fn unread_layers(&self) -> usize {
        self.sources.iter().filter(|source| source.is_none()).count()
    }

    /// Returns where an entry's layer is read.
    pub(crate) fn source(&self, layer: usize) -> (&'a Archive, &'a ReadLayer) {
        self.sources[layer].expect("an entry comes from a layer that was read")
    }

    /// Returns every entry by its path relative to the root, sorted.
    pub fn entries(&self) -> &BTreeMap<PathBuf, TreeEntry> {
        &self.entries
    }

    /// Returns what is at `path`, links followed.
    pub fn get(&self, path: &Path) -> Option<&TreeEntry> {
        let look = |path: &Path| {
            Ok::<_, Infallible>(match self.entries.get(path).map(|entry| &entry.node.kind) {
                Some(Kind::Symlink { target }) => Found::Link(target.clone()),
                _ => Found::Other,
            })
        };
        let Ok(resolved) = resolve::follow(path, look);
        self.entries.get(&resolved?)
    }

    /// Reads the file at `path`, links followed; `None` when there is no file.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(entry) = self.get(path) else { return Ok(None) };
        let Kind::File { size } = entry.node.kind else { return Ok(None) };
        if size > limit {
            let (archive, member) = (self.archive.path().to_owned(), path.display().to_string());
            return Err(ReadError::TooLarge { archive, member, limit });
        }
        let (archive, layer) = self.source(entry.layer);
        let unreadable = |error| archive.unreadable(layer, error);
        let reader = archive.plain(layer)?.from(entry.offset).map_err(unreadable)?;
        let mut bytes = Vec::new();
        reader.take(size).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 != size {
            return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some(bytes))
    }

    fn apply(&mut self, layer: usize, entry: LayerEntry) {
        let LayerEntry { path, item, offset } = entry;
        match item {
            Item::Whiteout => self.remove(&path, layer),
            Item::Opaque => self.remove_below(&path, layer),
            Item::Node(node) => {
                if node.kind != Kind::Directory {
                    self.remove_below(&path, layer + 1);
                }
                self.entries.insert(path, TreeEntry { node, layer, offset });
            }
            Item::HardLink { target } => {
                if let Some(found) = self.entries.get(&target).cloned() {
                    self.remove_below(&path, layer + 1);
                    self.entries.insert(path, found);
                }
            }
        }
    }

    /// Removes what layers below `layer` put at `path` and below it.
    fn remove(&mut self, path: &Path, layer: usize) {
        self.remove_below(path, layer);
        if self.entries.get(path).is_some_and(|entry| entry.layer < layer) {
            self.entries.remove(path);
        }
    }

    fn remove_below(&mut self, path: &Path, layer: usize) {
        let below = self.entries.range(path.to_owned()..).skip_while(|(found, _)| *found == path);
        let below = below.take_while(|(found, _)| found.starts_with(path));
        let old = below.filter(|(_, entry)| entry.layer < layer);
        let paths: Vec<PathBuf> = old.map(|(found, _)| found.clone()).collect();
        for path in paths {
            self.entries.remove(&path);
        }
    }
}
