//! Writing into an environment without ever leaving the root filesystem.
//!
//! The path is walked from the root, and a link on the way is refused, not followed: nothing that a package or an
//! earlier step left there can lead a write elsewhere.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use casque_format::digest::{Digest, Hasher};
use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use walkdir::WalkDir;

use crate::PythonError;

/// A directory tree to write into.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// Directories known to be no links.
    known: HashSet<PathBuf>,
    /// Directories that were not there before.
    made: Vec<PathBuf>,
}

/// What became of a file to be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is there now, with this digest and size.
    New(Digest, u64),
    /// Something was there, and stays.
    Occupied,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: HashSet::new(), made: Vec::new() }
    }

    /// Returns where `path`, relative to the root, is on disk.
    pub(crate) fn located(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// Returns where `path`, relative to the root, is on disk, with the directories above it made.
    pub(crate) fn place(&mut self, path: &Path) -> Result<PathBuf, PythonError> {
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        Ok(self.root.join(path))
    }

    /// Makes a directory, and those above it, open to all, unless it is there.
    pub(crate) fn directory(&mut self, path: &Path) -> Result<(), PythonError> {
        if self.known.contains(path) {
            return Ok(());
        }
        let mut reached = PathBuf::new();
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(in_the_way(path)) };
            reached.push(name);
            if self.known.contains(&reached) {
                continue;
            }
            let located = self.root.join(&reached);
            match fs::symlink_metadata(&located) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(in_the_way(&reached)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&located).map_err(PythonError::Disk)?;
                    set_mode(&located, 0o755)?;
                    self.made.push(located);
                }
                Err(error) => return Err(PythonError::Disk(error)),
            }
            self.known.insert(reached.clone());
        }
        Ok(())
    }

    /// Writes a file that is not there yet.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        content: &mut dyn Read,
        mode: u32,
    ) -> Result<Written, PythonError> {
        let located = self.place(path)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        options.options_mut().mode(0o600);
        let mut file = match options.open(&located) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Written::Occupied),
            opened => opened.map_err(PythonError::Disk)?,
        };
        let (digest, size) = copy(content, &mut file, &located)?;
        drop(file);
        set_mode(&located, mode)?;
        Ok(Written::New(digest, size))
    }

    /// Makes a link, unless the same one is there.
    pub(crate) fn link(&mut self, path: &Path, target: &str) -> Result<(), PythonError> {
        let located = self.place(path)?;
        match fs::symlink_metadata(&located) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                symlink(target, &located).map_err(PythonError::Disk)
            }
            Err(error) => Err(PythonError::Disk(error)),
            Ok(metadata) if metadata.is_symlink() => {
                let found = fs::read_link(&located).map_err(PythonError::Disk)?;
                if found == Path::new(target) { Ok(()) } else { Err(in_the_way(path)) }
            }
            Ok(_) => Err(in_the_way(path)),
        }
    }

    /// Gives everything below `path`, and every directory that was made, the time `epoch`.
    pub(crate) fn settle(&self, path: &Path, epoch: i64) -> Result<(), PythonError> {
        for entry in WalkDir::new(self.root.join(path)) {
            let entry = entry.map_err(|error| PythonError::Disk(error.into()))?;
            set_time(entry.path(), epoch)?;
        }
        self.made.iter().try_for_each(|made| set_time(made, epoch))
    }
}

pub(crate) fn in_the_way(path: &Path) -> PythonError {
    PythonError::InTheWay { path: format!("/{}", path.display()) }
}

/// Returns the digest of a file that is there, or nothing when it is not a file.
pub(crate) fn digest_of(located: &Path) -> Result<Option<Digest>, PythonError> {
    if !fs::symlink_metadata(located).map_err(PythonError::Disk)?.is_file() {
        return Ok(None);
    }
    let mut file = fs::File::open(located).map_err(PythonError::Disk)?;
    Ok(Some(digest_of_content(&mut file, located)?.0))
}

/// Returns the digest and the size of what is to be at `located`.
pub(crate) fn digest_of_content(
    content: &mut dyn Read,
    located: &Path,
) -> Result<(Digest, u64), PythonError> {
    copy(content, &mut io::sink(), located)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, located: &Path) -> Result<(Digest, u64), PythonError> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), size)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(at(error, located)),
        };
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(|error| at(error, located))?;
        size += count as u64;
    }
}

fn set_mode(located: &Path, mode: u32) -> Result<(), PythonError> {
    fs::set_permissions(located, std::fs::Permissions::from_mode(mode)).map_err(PythonError::Disk)
}

fn set_time(located: &Path, epoch: i64) -> Result<(), PythonError> {
    let moment = Timespec { tv_sec: epoch, tv_nsec: 0 };
    let times = Timestamps { last_access: moment, last_modification: moment };
    utimensat(CWD, located, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| at(error.into(), located))
}

/// Adds the path, as `fs_err` does, to an error of something that `fs_err` does not wrap.
fn at(error: io::Error, path: &Path) -> PythonError {
    let text = format!("cannot write `{}`: {error}", path.display());
    PythonError::Disk(io::Error::new(error.kind(), text))
}
