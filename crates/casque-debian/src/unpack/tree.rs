//! Writing into a root directory without ever leaving it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::UnpackError;

/// As many links as Linux follows in one path.
const MOST_LINKS: usize = 40;

/// A root directory. Paths given to it are relative and already known to have no `..` in them.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Directories whose path is free of links: where each name of a directory really is.
    resolved: RefCell<HashMap<PathBuf, PathBuf>>,
    /// The times that new directories get when nothing is written into them any more.
    times: RefCell<BTreeMap<PathBuf, i64>>,
}

/// What an entry of a package says about its file.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) modified: i64,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), resolved: RefCell::default(), times: RefCell::default() }
    }

    /// Returns where `path` is on disk: links in its directories are followed as if `/` were the root, a link at its
    /// end is not. What does not exist is a directory yet to be made.
    pub(super) fn locate(&self, path: &Path) -> Result<PathBuf, UnpackError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(self.root.clone());
        };
        Ok(self.locate_directory(parent)?.join(name))
    }

    fn locate_directory(&self, path: &Path) -> Result<PathBuf, UnpackError> {
        if let Some(known) = self.resolved.borrow().get(path) {
            return Ok(known.clone());
        }
        let mut pending: Vec<OsString> = components(path).rev().collect();
        let mut inside = PathBuf::new();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == ".." {
                inside.pop();
                continue;
            }
            let next = self.root.join(&inside).join(&name);
            match next.symlink_metadata() {
                Ok(metadata) if metadata.is_symlink() => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(UnpackError::Circle { path: next });
                    }
                    let target = fs::read_link(&next).map_err(UnpackError::Disk)?;
                    if target.is_absolute() {
                        inside = PathBuf::new();
                    }
                    pending.extend(components(&target).rev());
                }
                _ => inside.push(&name),
            }
        }
        let located = self.root.join(inside);
        if located.is_dir() {
            self.resolved.borrow_mut().insert(path.to_owned(), located.clone());
        }
        Ok(located)
    }

    /// Tells whether `path` is a directory, or a link to one.
    pub(super) fn is_directory(&self, path: &Path) -> Result<bool, UnpackError> {
        Ok(self.locate_directory(path)?.is_dir())
    }

    /// Makes a directory, and those above it, owned by root and open to all, unless it is there.
    pub(super) fn make_directory(&self, path: &Path) -> Result<PathBuf, UnpackError> {
        let located = self.locate_directory(path)?;
        if located.is_dir() {
            return Ok(located);
        }
        // What a link points to may be missing as well, so this goes by where the directory is, not by its name.
        let inside = located.strip_prefix(&self.root).expect("what was located is below the root");
        let mut directory = self.root.clone();
        if !directory.is_dir() {
            fs::create_dir_all(&directory).map_err(UnpackError::Disk)?;
            set_mode(&directory, 0o755)?;
        }
        for name in inside {
            directory.push(name);
            if !directory.is_dir() {
                fs::create_dir(&directory).map_err(UnpackError::Disk)?;
                set_mode(&directory, 0o755)?;
            }
        }
        Ok(located)
    }

    /// Makes a link as the system's own; one that is there already stays when it is the same.
    pub(super) fn make_link(&self, path: &Path, target: &Path) -> Result<(), UnpackError> {
        let located = self.locate(path)?;
        match fs::read_link(&located) {
            Ok(found) if found == target => Ok(()),
            _ => symlink(target, &located).map_err(UnpackError::Disk),
        }
    }

    /// Makes a package's directory. One that is there stays as it is, a link to one as well.
    pub(super) fn put_directory(&self, path: &Path, attributes: &Attributes) -> Result<(), UnpackError> {
        if self.is_directory(path)? {
            return Ok(());
        }
        let located = self.place(path)?;
        fs::create_dir(&located).map_err(UnpackError::Disk)?;
        self.dress(&located, attributes)?;
        self.times.borrow_mut().insert(located, attributes.modified);
        Ok(())
    }

    /// Writes a package's file.
    pub(super) fn put_file(
        &self,
        path: &Path,
        content: &mut dyn io::Read,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let located = self.place(path)?;
        let mut file = fs::OpenOptions::new();
        file.write(true).create_new(true);
        file.options_mut().mode(0o600);
        let mut file = file.open(&located).map_err(UnpackError::Disk)?;
        io::copy(content, &mut file).map_err(|error| at(error, &located))?;
        drop(file);
        self.dress(&located, attributes)?;
        set_time(&located, attributes.modified)
    }

    /// Makes a package's link. It does not take the place of a directory, which dpkg keeps too.
    pub(super) fn put_link(
        &self,
        path: &Path,
        target: &Path,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        if self.is_directory(path)? {
            return Ok(());
        }
        let located = self.place(path)?;
        symlink(target, &located).map_err(UnpackError::Disk)?;
        set_owner(&located, attributes)?;
        set_time(&located, attributes.modified)
    }

    /// Makes another name of a file that is there.
    pub(super) fn put_hard_link(&self, path: &Path, target: &Path) -> Result<(), UnpackError> {
        let target = self.locate(target)?;
        let located = self.place(path)?;
        fs::hard_link(&target, &located).map_err(UnpackError::Disk)
    }

    /// Writes a file of dpkg's own, whole or not at all.
    pub(super) fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), UnpackError> {
        self.make_directory(path.parent().unwrap_or(Path::new("")))?;
        let located = self.locate(path)?;
        let mut temporary = located.clone().into_os_string();
        temporary.push(".casque-new");
        fs::write(&temporary, content).map_err(UnpackError::Disk)?;
        set_mode(Path::new(&temporary), mode)?;
        fs::rename(&temporary, &located).map_err(UnpackError::Disk)
    }

    /// Reads a text file; one that is not there is empty.
    pub(super) fn read(&self, path: &Path) -> Result<String, UnpackError> {
        match fs::read(self.locate(path)?) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(UnpackError::Disk(error)),
        }
    }

    /// Gives new directories their times. Nothing may be written afterwards.
    pub(super) fn finish(&self) -> Result<(), UnpackError> {
        let times = self.times.take();
        times.iter().try_for_each(|(path, modified)| set_time(path, *modified))
    }

    /// Returns where `path` is on disk and makes sure that nothing is there. What was there is unlinked, never written
    /// to: it may have other names.
    fn place(&self, path: &Path) -> Result<PathBuf, UnpackError> {
        self.make_directory(path.parent().unwrap_or(Path::new("")))?;
        let located = self.locate(path)?;
        match fs::remove_file(&located) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(UnpackError::Disk(error)),
            _ => Ok(located),
        }
    }

    /// The owner comes before the mode: changing it takes set-id bits away.
    fn dress(&self, located: &Path, attributes: &Attributes) -> Result<(), UnpackError> {
        set_owner(located, attributes)?;
        set_mode(located, attributes.mode)?;
        for (name, value) in &attributes.xattrs {
            xattr::set(located, name, value).map_err(|error| at(error, located))?;
        }
        Ok(())
    }
}

fn components(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

fn set_owner(path: &Path, attributes: &Attributes) -> Result<(), UnpackError> {
    fs::os::unix::fs::lchown(path, Some(attributes.uid), Some(attributes.gid)).map_err(UnpackError::Disk)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), UnpackError> {
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(UnpackError::Disk)
}

fn set_time(path: &Path, modified: i64) -> Result<(), UnpackError> {
    let time = Timespec { tv_sec: modified, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| at(error.into(), path))
}

/// Adds the path, as `fs_err` does, to an error of something that `fs_err` does not wrap.
fn at(error: io::Error, path: &Path) -> UnpackError {
    UnpackError::Disk(io::Error::new(error.kind(), format!("cannot write `{}`: {error}", path.display())))
}
