//! Everything below a directory, each directory before what is in it, sorted, and through no link.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};

use super::{Trouble, file};

/// Something found.
pub struct Found<'a> {
    /// The directory that it is in.
    pub parent: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a CString,
    /// Its path below the first directory.
    pub path: &'a Path,
    /// What the kernel says of it.
    pub stat: Stat,
}

impl Found<'_> {
    /// Returns what it is.
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Shows everything below `directory` to `visit`, which says of a directory whether to look into it.
pub fn walk(
    directory: &OwnedFd,
    path: &Path,
    visit: &mut impl FnMut(&Found) -> Result<bool, Trouble>,
) -> Result<(), Trouble> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(file("read", path))? {
        let entry = entry.map_err(file("read", path))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    for name in &names {
        let path: PathBuf = path.join(OsStr::from_bytes(name.to_bytes()));
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // A file may go while it is looked at: PID 1 renames logs.
            Err(rustix::io::Errno::NOENT) => continue,
            Err(error) => return Err(file("read", path)(error)),
        };
        let found = Found { parent: directory.as_fd(), name, path: &path, stat };
        let is_directory = found.kind() == FileType::Directory;
        if visit(&found)? && is_directory {
            let inner = open(&found, OFlags::DIRECTORY)?;
            walk(&inner, &path, visit)?;
        }
    }
    Ok(())
}

/// Opens what was found, and nothing that a link in its place leads to.
pub fn open(found: &Found, flags: OFlags) -> Result<OwnedFd, Trouble> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    openat(found.parent, found.name, flags, Mode::empty()).map_err(file("read", found.path))
}
