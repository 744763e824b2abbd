//! The entries of one layer, written in the order they are given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use casque_format::digest::Hasher;
use fs_err::File;

use super::LayerError;
use crate::diff::Change;
use crate::node::{self, Identity, Node};
use crate::tar_writer::TarWriter;

/// Learns digest and length of what passes through.
pub(super) struct Measured<W> {
    pub(super) out: W,
    pub(super) hasher: Hasher,
    pub(super) size: u64,
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes changes as entries, with the directories they are in before them.
pub(super) struct LayerWriter<'a, W: Write> {
    directory: &'a Path,
    tar: TarWriter<W>,
    root: &'a Path,
    epoch: u64,
    written: BTreeSet<PathBuf>,
    /// The time of directories that are there for the entries in them; none means they are as the tree has them.
    directories: Option<u64>,
    /// The first name in this layer of each file that has several.
    links: HashMap<Identity, PathBuf>,
}

impl<'a, W: Write> LayerWriter<'a, W> {
    pub(super) fn new(out: W, root: &'a Path, epoch: u64, directory: &'a Path) -> Self {
        let tar = TarWriter::new(out);
        let (written, links) = (BTreeSet::new(), HashMap::new());
        Self { directory, tar, root, epoch, written, directories: None, links }
    }

    /// Lets directories be what they are by default, whatever the tree says.
    pub(super) fn with_plain_directories(self, time: u64) -> Self {
        Self { directories: Some(time.min(self.epoch)), ..self }
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.tar.finish()
    }

    pub(super) fn change(&mut self, change: Change) -> Result<(), LayerError> {
        match change {
            Change::Present(path) => self.entry(path, None),
            Change::Removed(path) => self.whiteout(&path),
        }
    }

    /// Writes what is at `path`, with `time` in place of its own.
    pub(super) fn entry(&mut self, path: PathBuf, time: Option<u64>) -> Result<(), LayerError> {
        if path == Path::new("") || self.written.contains(&path) {
            return Ok(());
        }
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".wh.")) {
            return Err(LayerError::ReservedName { path });
        }
        let full = self.root.join(&path);
        let Some((mut node, identity)) = node::read_linked(&full).map_err(LayerError::Read)? else {
            return Ok(());
        };
        self.parents(&path)?;
        node.mtime = time.unwrap_or(node.mtime).min(self.epoch);
        if let Some(target) = identity.and_then(|identity| self.links.get(&identity)) {
            let result = self.tar.append_hard_link(&path, &node, target);
            result.map_err(|source| self.write_error(source))?;
        } else if matches!(node.kind, node::Kind::File { .. }) {
            let file = File::open(&full).map_err(LayerError::Read)?;
            let mut content = Content { file, failure: None };
            if let Err(error) = self.tar.append(&path, &node, &mut content) {
                return Err(match content.failure {
                    Some(source) => LayerError::Content { path, source },
                    None if error.kind() == io::ErrorKind::UnexpectedEof => {
                        LayerError::Content { path, source: shrunk() }
                    }
                    None => self.write_error(error),
                });
            }
        } else {
            let result = self.tar.append(&path, &node, &mut io::empty());
            result.map_err(|source| self.write_error(source))?;
        }
        if let Some(identity) = identity {
            self.links.entry(identity).or_insert_with(|| path.clone());
        }
        self.written.insert(path);
        Ok(())
    }

    fn whiteout(&mut self, path: &Path) -> Result<(), LayerError> {
        self.parents(path)?;
        let name = path.file_name().expect("the root itself is never removed");
        let mark = [b".wh.", name.as_encoded_bytes()].concat();
        let node = Node {
            kind: node::Kind::File { size: 0 },
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: self.epoch,
            xattrs: BTreeMap::new(),
        };
        let mark = path.with_file_name(os_string(mark));
        let result = self.tar.append(&mark, &node, &mut io::empty());
        result.map_err(|source| self.write_error(source))
    }

    fn parents(&mut self, path: &Path) -> Result<(), LayerError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        let Some(time) = self.directories else { return self.entry(parent.to_owned(), None) };
        if parent == Path::new("") || self.written.contains(parent) {
            return Ok(());
        }
        self.parents(parent)?;
        let result = self.tar.append(parent, &Node::plain_directory(time), &mut io::empty());
        result.map_err(|source| self.write_error(source))?;
        self.written.insert(parent.to_owned());
        Ok(())
    }

    fn write_error(&self, source: io::Error) -> LayerError {
        LayerError::Write { directory: self.directory.to_owned(), source }
    }
}

/// A file being read, remembering its own failure so that it is not taken for one of the output.
struct Content {
    file: File,
    failure: Option<io::Error>,
}

impl io::Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}

fn shrunk() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read")
}

fn os_string(bytes: Vec<u8>) -> OsString {
    OsStringExt::from_vec(bytes)
}
