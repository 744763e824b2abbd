//! The contents of many files of an image, each layer read once from its beginning to its end.
//!
//! A compressed layer can only be read from its beginning, so one file at a time would read it as often as it has files.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Read};
use std::path::Path;

use casque_format::digest::{Digest, Hasher};

use crate::layer_reader::Stop;
use crate::node::Kind;
use crate::read::ReadError;
use crate::tree::{Tree, TreeEntry};

impl Tree<'_> {
    /// Hands out the contents of the files at these paths, links not followed. Names of one file come together; a path
    /// that is no file is passed over.
    pub fn contents<'p>(
        &self,
        paths: impl IntoIterator<Item = &'p Path>,
        mut take: impl FnMut(&[&'p Path], &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        let mut wanted: BTreeMap<usize, BTreeMap<u64, Vec<&Path>>> = BTreeMap::new();
        for path in paths {
            if let Some(entry) = self.entries().get(path)
                && matches!(entry.node.kind, Kind::File { .. })
            {
                wanted.entry(entry.layer).or_default().entry(entry.offset).or_default().push(path);
            }
        }
        for (number, mut places) in wanted {
            let (archive, layer) = self.source(number);
            let visited = archive.plain(layer)?.visit(|entry, content| match places.remove(&entry.offset) {
                Some(paths) => take(&paths, content).map_err(Stop::Layer),
                None => Ok(()),
            });
            visited.map_err(|stop: Stop<Infallible>| match stop {
                Stop::Layer(error) => archive.unreadable(layer, error),
            })?;
        }
        Ok(())
    }

    /// Returns the digests of the files at these paths.
    pub fn digests<'p>(
        &self,
        paths: impl IntoIterator<Item = &'p Path>,
    ) -> Result<BTreeMap<&'p Path, Digest>, ReadError> {
        let mut digests = BTreeMap::new();
        let mut buffer = vec![0; 1 << 16];
        self.contents(paths, |paths, content| {
            let mut hasher = Hasher::default();
            loop {
                match content.read(&mut buffer)? {
                    0 => break,
                    read => hasher.update(&buffer[..read]),
                }
            }
            let digest = hasher.finish();
            digests.extend(paths.iter().map(|path| (*path, digest)));
            Ok(())
        })?;
        Ok(digests)
    }

    /// Returns whether two entries are one place of one layer, so that there is nothing to compare.
    pub fn is_shared(&self, entry: &TreeEntry, other: &Tree<'_>, others: &TreeEntry) -> bool {
        let (_, layer) = self.source(entry.layer);
        layer.diff_id == other.source(others.layer).1.diff_id && entry.offset == others.offset
    }
}
