//! One entry of a file tree and what a layer records of it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a layer records of one entry, its content apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds of the last change.
    pub mtime: u64,
    /// Extended attributes that belong to an image: `security.capability` and `user.*`.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of so many bytes.
    File {
        /// Its length.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: PathBuf,
    },
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Which file on disk an entry is: two entries with the same identity are hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Node {
    /// Reads what is at `path` without following a link there.
    ///
    /// Nothing there, or a socket, which no archive can hold and no program expects to find: `None`.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        Ok(read_linked(path)?.map(|(node, _)| node))
    }

    /// Returns a directory of root's that everybody may read.
    pub fn plain_directory(mtime: u64) -> Self {
        Self { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
    }

    /// Returns whether it is one, whatever its time.
    pub fn is_plain_directory(&self) -> bool {
        *self == Self::plain_directory(self.mtime)
    }

    /// Returns whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// Like [`Node::read`], with the identity of a file that has several names.
pub(crate) fn read_linked(path: &Path) -> io::Result<Option<(Node, Option<Identity>)>> {
    let metadata = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let file_type = metadata.file_type();
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    let kind = if file_type.is_file() {
        Kind::File { size: metadata.size() }
    } else if file_type.is_dir() {
        Kind::Directory
    } else if file_type.is_symlink() {
        Kind::Symlink { target: fs_err::read_link(path)? }
    } else if file_type.is_char_device() {
        Kind::CharacterDevice { major, minor }
    } else if file_type.is_block_device() {
        Kind::BlockDevice { major, minor }
    } else if file_type.is_fifo() {
        Kind::Fifo
    } else {
        return Ok(None);
    };
    let identity = (metadata.nlink() > 1 && kind != Kind::Directory)
        .then(|| Identity { device: metadata.dev(), inode: metadata.ino() });
    let node = Node {
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: u64::try_from(metadata.mtime()).unwrap_or(0),
        xattrs: read_xattrs(path)?,
    };
    Ok(Some((node, identity)))
}

/// Returns whether nothing can be at a path, its parent perhaps being no directory.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_xattrs(path: &Path) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        Err(error) => return Err(with_path(&error, path)),
    };
    let mut xattrs = BTreeMap::new();
    for name in names.filter(|name| is_recorded(name)) {
        if let Some(value) = xattr::get(path, &name).map_err(|error| with_path(&error, path))? {
            xattrs.insert(name, value);
        }
    }
    Ok(xattrs)
}

/// Returns whether an extended attribute belongs to an image. Those of `system.`, `trusted.` and the
/// overlay's own say something about the machine, and engines drop them.
pub(crate) fn is_recorded(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

fn with_path(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot read the extended attributes of `{}`: {error}", path.display()),
    )
}
