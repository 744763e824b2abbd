//! Where a backup is unpacked before it is believed.
//!
//! A directory comes before what is in it, and is finished when something else follows. So each file is made in a directory
//! that this process has made itself and still holds open: no link in a backup leads anywhere.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, linkat,
    mkdirat, open, openat, symlinkat,
};

use super::owners::Owners;
use super::{Trouble, Unusable, file};

/// What a file has beside its content.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
}

/// A directory that becomes the volume.
pub struct Stage {
    base: OwnedFd,
    owners: Owners,
    open: Vec<Directory>,
}

struct Directory {
    path: PathBuf,
    made: OwnedFd,
    meta: Meta,
}

impl Stage {
    /// Unpacks into `directory`.
    pub fn new(directory: &Path, owners: Owners) -> Result<Self, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let base = open(directory, flags, Mode::empty()).map_err(file("open", directory))?;
        Ok(Self { base, owners, open: Vec::new() })
    }

    pub fn directory(&mut self, path: &Path, meta: Meta) -> Result<(), Trouble> {
        let (parent, name) = self.place(path)?;
        mkdirat(parent, name, Mode::from_raw_mode(0o700)).map_err(file("make", path))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(parent, name, flags, Mode::empty()).map_err(file("open", path))?;
        self.open.push(Directory { path: path.to_owned(), made, meta });
        Ok(())
    }

    /// Makes a file, to be written and sealed.
    pub fn file(&mut self, path: &Path) -> Result<File, Trouble> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(parent, name, flags, Mode::from_raw_mode(0o600)).map_err(file("make", path))?;
        Ok(File::from(made))
    }

    /// Gives what is written its owner, mode and time.
    pub fn seal(&self, made: impl AsFd, path: &Path, meta: Meta) -> Result<(), Trouble> {
        if let Some((uid, gid)) = self.owners.owner(path, meta.owner) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            fchown(&made, uid, gid).map_err(file("give away", path))?;
        }
        // After the owner, whose change takes some bits away.
        fchmod(&made, Mode::from_raw_mode(meta.mode)).map_err(file("set the mode of", path))?;
        let time = Timespec { tv_sec: meta.mtime, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        futimens(&made, &times).map_err(file("set the time of", path))
    }

    pub fn symlink(&mut self, path: &Path, target: &Path, meta: Meta) -> Result<(), Trouble> {
        let owner = self.owners.owner(path, meta.owner);
        let (parent, name) = self.place(path)?;
        symlinkat(target, parent, name).map_err(file("make", path))?;
        if let Some((uid, gid)) = owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(file("give away", path))?;
        }
        Ok(())
    }

    /// Gives a file that is there a second name.
    pub fn hard_link(&mut self, path: &Path, earlier: &Path) -> Result<(), Trouble> {
        let from = self.find(earlier.parent().unwrap_or(Path::new("")))?;
        let name = earlier.file_name().unwrap_or_default().to_owned();
        let (parent, own) = self.place(path)?;
        linkat(&from, name, parent, own, AtFlags::empty()).map_err(file("link", path))
    }

    /// Finishes every directory, and has all of it on the disk.
    pub fn finish(&mut self) -> Result<(), Trouble> {
        while let Some(directory) = self.open.pop() {
            self.seal(&directory.made, &directory.path, directory.meta)?;
        }
        rustix::fs::syncfs(&self.base).map_err(file("sync", casque_format::paths::RESTORING))
    }

    /// Returns the open directory of a path, and the name in it.
    fn place<'a>(&mut self, path: &'a Path) -> Result<(BorrowedFd<'_>, &'a Path), Trouble> {
        let parent = path.parent().unwrap_or(Path::new(""));
        while self.open.last().is_some_and(|top| top.path != parent && !parent.starts_with(&top.path)) {
            if let Some(done) = self.open.pop() {
                self.seal(&done.made, &done.path, done.meta)?;
            }
        }
        let name = path.file_name().map(Path::new).unwrap_or(path);
        match self.open.last() {
            Some(top) if top.path == parent => Ok((top.made.as_fd(), name)),
            None if parent.as_os_str().is_empty() => Ok((self.base.as_fd(), name)),
            _ => Err(Unusable::Damaged(format!("`{}` comes before its directory", path.display())).into()),
        }
    }

    /// Opens a directory that is there, through no link.
    fn find(&self, path: &Path) -> Result<OwnedFd, Trouble> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut place = openat(&self.base, ".", flags, Mode::empty()).map_err(file("open", path))?;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            place = openat(&place, name, flags, Mode::empty()).map_err(file("open", path))?;
        }
        Ok(place)
    }
}
