//! Files that are whole or not there: temporary name, sync, rename.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Who may do what with a new file.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// User and group; none leaves them to the process.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// Nobody but the process itself.
    pub const PRIVATE: Self = Self { mode: 0o600, owner: None };

    /// Hands the file to `uid` and `gid` when this process is root, and keeps it otherwise.
    pub fn handed_to(uid: u32, gid: u32, mode: u32) -> Self {
        use rustix::process::{getegid, geteuid};
        let already = (uid, gid) == (geteuid().as_raw(), getegid().as_raw());
        // Root without capabilities may not even "change" an owner to what it is.
        Self { mode, owner: (geteuid().is_root() && !already).then_some((uid, gid)) }
    }
}

/// Writes `path` whole, whatever was there before.
pub fn replace(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let temporary = temporary_file(path, content, access)?;
    fs::rename(&temporary, path).inspect_err(|_| discard(&temporary))?;
    sync_directory(path)
}

/// Writes `path` whole unless something is there already; says whether it did.
pub fn create(path: &Path, content: &[u8], access: Access) -> io::Result<bool> {
    let temporary = temporary_file(path, content, access)?;
    let linked = fs::hard_link(&temporary, path).or_else(|error| match error.kind() {
        // Some mounted file systems know no links; this rename too refuses to overwrite.
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => rename_to_new(&temporary, path),
        _ => Err(error),
    });
    discard(&temporary);
    match linked {
        Ok(()) => sync_directory(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fails when no file can be written in `directory`.
pub fn probe(directory: &Path) -> io::Result<()> {
    fs::remove_file(temporary_file(&directory.join("probe"), b"probe", Access::PRIVATE)?)
}

/// Makes `path` and what is missing above it; one that exists is left as it is.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|error| io::Error::new(error.kind(), format!("cannot make `{}`: {error}", path.display())))
}

/// Waits for the lock on `directory` and holds it until what it returns is dropped.
pub fn lock(directory: &Path) -> io::Result<fs::File> {
    let file = fs::File::open(directory)?;
    match flock(&file, FlockOperation::LockExclusive) {
        // NFS locks no directories. Names are random there too, so the worst is work done twice.
        Err(Errno::BADF) => Ok(file),
        locked => locked.map(|()| file).map_err(Into::into),
    }
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

fn temporary_file(path: &Path, content: &[u8], access: Access) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{:016x}", getrandom::u64()?));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = (|| {
        file.write_all(content)?;
        if let Some((uid, gid)) = access.owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(access.mode))?;
        file.sync_all()
    })();
    written.inspect_err(|_| discard(&temporary)).map(|()| temporary)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Best effort: what is left behind has a hidden name nobody reads.
fn discard(temporary: &Path) {
    let _ = fs::remove_file(temporary);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        replace(&path, b"one", Access { mode: 0o640, owner: None }).unwrap();
        replace(&path, b"two", Access { mode: 0o640, owner: None }).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_exists_is_not_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        assert!(create(&path, b"one", Access::PRIVATE).unwrap());
        assert!(!create(&path, b"two", Access::PRIVATE).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_where_the_file_should_be_is_replaced_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, target) = (directory.path().join("a"), directory.path().join("target"));
        fs::write(&target, "kept").unwrap();
        fs::os::unix::fs::symlink(&target, &path).unwrap();
        replace(&path, b"new", Access::PRIVATE).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }
}
