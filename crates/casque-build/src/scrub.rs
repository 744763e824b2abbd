//! What a package manager or a deployment leaves behind that no image should carry: logs, locks, caches and copies,
//! which also differ from one build to the next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files and directories that go, relative to the root.
const REMOVED: [&str; 22] = [
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/fontconfig.log",
    "var/cache/ldconfig/aux-cache",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/available-old",
    "var/lib/systemd/random-seed",
    "var/lib/dbus/machine-id",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "root/.ansible",
    "root/.cache",
    "root/.bash_history",
];

/// Directories that stay, empty.
const EMPTIED: [&str; 6] =
    ["tmp", "run", "var/tmp", "var/log/apt", "var/lib/apt/lists", "var/cache/apt/archives"];

/// Files that stay, empty: log-in records that `useradd` grows by the user's number.
const TRUNCATED: [&str; 5] =
    ["etc/machine-id", "var/log/lastlog", "var/log/faillog", "var/log/wtmp", "var/log/btmp"];

/// Removes from `root` what must not ship.
///
/// # Errors
/// The file that could not be removed.
pub(crate) fn scrub(root: &Path) -> io::Result<()> {
    for path in REMOVED.map(|path| root.join(path)) {
        remove(&path)?;
    }
    for directory in EMPTIED.map(|path| root.join(path)) {
        if directory.is_symlink() || !directory.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(&directory)? {
            remove(&entry?.path())?;
        }
    }
    // Ansible and others take the time of this directory for that of the last update.
    let lists = root.join("var/lib/apt/lists");
    if lists.is_dir() {
        let file = fs_err::File::open(&lists)?;
        file.file().set_modified(SystemTime::UNIX_EPOCH)?;
    }
    for path in TRUNCATED.map(|path| root.join(path)) {
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
            fs_err::File::create(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &PathBuf) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => fs_err::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
    }
}
