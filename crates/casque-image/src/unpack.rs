//! Layers made into a root filesystem.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err::OpenOptions;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};
use thiserror::Error;

use crate::layer_reader::{Item, LayerEntry, Stop};
use crate::node::{Kind, Node, is_absent, is_recorded};
use crate::read::{Archive, ReadError};
use crate::resolve;

/// Why an image could not be unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The archive is at fault.
    #[error(transparent)]
    Archive(#[from] ReadError),
    /// An entry cannot be made, on a full disk for example.
    #[error("cannot unpack `{}`", path.display())]
    Apply {
        /// Where it should be.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// Unpacks every layer of `archive` into `root`, an empty directory that nobody else writes to.
///
/// Owners and set-id bits are kept, so the caller is root, perhaps of a user namespace. Device nodes
/// that may not be made there are left out. After an error, `root` holds something incomplete.
pub fn unpack(archive: &Archive, root: &Path) -> Result<(), UnpackError> {
    archive.require_whole()?;
    let mut unpacker = Unpacker { root, written: HashSet::new(), times: BTreeMap::new() };
    for layer in archive.layers() {
        unpacker.written.clear();
        archive.stream_layer(layer, |entry, content| {
            let path = root.join(&entry.path);
            let mut content = Content { inner: content, failure: None };
            let applied = unpacker.apply(entry, &mut content);
            applied.map_err(|source| match content.failure {
                Some(failure) => Stop::Layer(failure),
                None => Stop::Visitor(UnpackError::Apply { path, source }),
            })
        })?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: &'a Path,
    /// What this layer made: its own deletions do not touch that.
    written: HashSet<PathBuf>,
    /// Times of directories, set last since every entry inside changes them.
    times: BTreeMap<PathBuf, u64>,
}

impl Unpacker<'_> {
    fn apply(&mut self, entry: LayerEntry, content: &mut dyn Read) -> io::Result<()> {
        let path = self.place(&entry.path)?;
        match entry.item {
            Item::Whiteout => {
                if !self.written.contains(&path) {
                    self.remove(&path)?;
                }
                return Ok(());
            }
            Item::Opaque => return self.clear(&path),
            Item::HardLink { target } => {
                let target = self.place(&target)?;
                if target != path {
                    self.remove(&path)?;
                    fs_err::hard_link(&target, &path)?;
                }
            }
            Item::Node(node) => self.make(&path, &node, content)?,
        }
        self.written.insert(path);
        Ok(())
    }

    /// Returns where an entry is: links in front of its last component lead inside the root.
    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let Some(name) = path.file_name() else { return Ok(self.root.to_owned()) };
        let parent =
            resolve::follow(path.parent().unwrap_or(Path::new("")), |path| resolve::look(self.root, path))?;
        let parent = parent.ok_or(rustix::io::Errno::LOOP)?;
        let parent = self.root.join(parent);
        fs_err::create_dir_all(&parent)?;
        Ok(parent.join(name))
    }

    fn make(&mut self, path: &Path, node: &Node, content: &mut dyn Read) -> io::Result<()> {
        let keeps = node.kind == Kind::Directory && is_directory(path)?;
        if !keeps {
            self.remove(path)?;
            if !create(path, &node.kind, content)? {
                return Ok(());
            }
        }
        fs_err::os::unix::fs::lchown(path, Some(node.uid), Some(node.gid)).map_err(|error| {
            if error.kind() != io::ErrorKind::InvalidInput {
                return error;
            }
            // In a user namespace there are only so many.
            let (uid, gid) = (node.uid, node.gid);
            io::Error::other(format!(
                "it belongs to user {uid} and group {gid}, and this ordinary user has fewer subordinate ids"
            ))
        })?;
        let is_link = matches!(node.kind, Kind::Symlink { .. });
        if !is_link {
            // After the owner, whose change clears set-id bits and capabilities.
            rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(node.mode), AtFlags::empty())?;
        }
        set_xattrs(path, node, keeps)?;
        if node.kind == Kind::Directory {
            self.times.insert(path.to_owned(), node.mtime);
            return Ok(());
        }
        set_time(path, node.mtime)
    }

    /// Removes what lower layers left in a directory.
    fn clear(&mut self, directory: &Path) -> io::Result<()> {
        if !is_directory(directory)? {
            return Ok(());
        }
        for entry in fs_err::read_dir(directory)? {
            let path = entry?.path();
            if !self.written.iter().any(|written| written.starts_with(&path)) {
                self.remove(&path)?;
            } else if !self.written.contains(&path) || is_directory(&path)? {
                self.clear(&path)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), UnpackError> {
        for (path, mtime) in self.times.into_iter().rev() {
            set_time(&path, mtime).map_err(|source| UnpackError::Apply { path, source })?;
        }
        Ok(())
    }

    /// Removes what is at `path`, and forgets the directories that were there: where one was, a link
    /// out of the root may be next.
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match fs_err::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let below = self.times.range(path.to_owned()..).map(|(known, _)| known);
                let gone = below.take_while(|known| known.starts_with(path));
                for path in gone.cloned().collect::<Vec<_>>() {
                    self.times.remove(&path);
                }
                fs_err::remove_dir_all(path)
            }
            Ok(_) => fs_err::remove_file(path),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Makes an entry where nothing is; `false` for a device that may not be made here.
fn create(path: &Path, kind: &Kind, content: &mut dyn Read) -> io::Result<bool> {
    let device = |file_type, major, minor| {
        let number = rustix::fs::makedev(major, minor);
        match rustix::fs::mknodat(CWD, path, file_type, Mode::from_raw_mode(0o600), number) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::PERM) => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    match kind {
        Kind::File { size } => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            let copied = io::copy(content, &mut file)?;
            if copied != *size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Kind::Directory => fs_err::create_dir(path)?,
        Kind::Symlink { target } => fs_err::os::unix::fs::symlink(target, path)?,
        Kind::CharacterDevice { major, minor } => {
            return device(FileType::CharacterDevice, *major, *minor);
        }
        Kind::BlockDevice { major, minor } => return device(FileType::BlockDevice, *major, *minor),
        Kind::Fifo => return device(FileType::Fifo, 0, 0),
    }
    Ok(true)
}

fn set_xattrs(path: &Path, node: &Node, existed: bool) -> io::Result<()> {
    if existed {
        let names = xattr::list(path).into_iter().flatten();
        for name in names.filter(|name| is_recorded(name) && !node.xattrs.contains_key(name)) {
            xattr::remove(path, name)?;
        }
    }
    for (name, value) in &node.xattrs {
        match xattr::set(path, name, value) {
            // Decoration of a desktop or a downloader, which not every filesystem can hold.
            Err(error)
                if error.kind() == io::ErrorKind::Unsupported
                    && name.as_encoded_bytes().starts_with(b"user.") => {}
            result => result?,
        }
    }
    Ok(())
}

fn set_time(path: &Path, seconds: u64) -> io::Result<()> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn is_directory(path: &Path) -> io::Result<bool> {
    match fs_err::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An entry's content, remembering its own failure so that it is not taken for one of the disk.
struct Content<'a> {
    inner: &'a mut dyn Read,
    failure: Option<io::Error>,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}
