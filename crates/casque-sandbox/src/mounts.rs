//! Mounts that vanish with the process that made them.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};
use rustix::thread::UnshareFlags;

use crate::error::{Doing, Error, Failure};
use crate::sys;
use crate::user::in_user_namespace;

/// Directories of an overlay that are only read, top first.
pub type Lower<'a> = &'a [PathBuf];

/// Gives the calling thread mounts of its own, so that every mount made later vanishes with the
/// process, however it ends, and nothing mounted elsewhere later shows here.
///
/// To be called first thing, before there is a second thread: threads started earlier do not follow.
pub fn private_mounts() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NeedsRoot);
    }
    sys::unshare(UnshareFlags::NEWNS).doing("make a mount namespace")?;
    make_private()?;
    Ok(())
}

/// Cuts the mounts of this namespace off from those they were copied from.
pub(crate) fn make_private() -> Result<(), Failure> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).doing("make the mounts private")
}

/// An overlay to mount.
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// What is below, top first; at least one.
    pub lower: Lower<'a>,
    /// Where changes go; none makes it read-only.
    pub upper: Option<Upper<'a>>,
    /// Where it is mounted.
    pub at: &'a Path,
}

/// Where the changes of an overlay go.
#[derive(Debug, Clone, Copy)]
pub struct Upper<'a> {
    /// What was changed. Stays a plain directory: it may be moved, and be a lower one later.
    pub changes: &'a Path,
    /// An empty directory of the same file system for the kernel's own use.
    pub work: &'a Path,
}

/// Mounts an overlay. There may be about two hundred lower directories.
pub fn overlay(overlay: Overlay<'_>) -> Result<Mounted, Error> {
    let at = overlay.at;
    // The kernel refuses an overlay of one directory without an upper one.
    if let (None, [only]) = (overlay.upper, overlay.lower) {
        mount_bind(only, at).doing_to("mount", at)?;
        let mounted = Mounted { at: Some(at.to_path_buf()) };
        restrict_mount(at, MountFlags::RDONLY).doing_to("make read-only", at)?;
        return Ok(mounted);
    }
    // Paths may be long and many, hold commas and colons; the option string is one page. A
    // descriptor's name in /proc is short and plain, and the kernel follows it once, here.
    let lower = overlay.lower.iter().map(|path| open_directory(path)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = lower.iter().map(descriptor_path).collect();
    let mut options = format!("lowerdir={},index=off,metacopy=off,xino=off", names.join(":"));
    // Root of a user namespace may not write `trusted.` attributes. With `user.` ones the kernel takes
    // no word but this for what `off` does too: renamed directories are copied.
    options.push_str(match in_user_namespace() {
        true => ",redirect_dir=nofollow,userxattr",
        false => ",redirect_dir=off",
    });
    let mut flags = MountFlags::RDONLY;
    let mut held = Vec::new();
    if let Some(upper) = overlay.upper {
        flags = MountFlags::empty();
        for (option, path) in [("upperdir", upper.changes), ("workdir", upper.work)] {
            let directory = open_directory(path)?;
            options.push_str(&format!(",{option}={}", descriptor_path(&directory)));
            held.push(directory);
        }
    }
    let options = CString::new(options).expect("the options hold no zero byte");
    mount("overlay", at, "overlay", flags, options.as_c_str()).doing_to("mount an overlay at", at)?;
    Ok(Mounted { at: Some(at.to_path_buf()) })
}

/// Mounts an empty file system in memory that only its owner may enter: what is in it never reaches a disk, unless the
/// kernel swaps.
pub fn memory(at: &Path) -> Result<Mounted, Error> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", at, "tmpfs", flags, c"mode=0700").doing_to("mount", at)?;
    Ok(Mounted { at: Some(at.to_path_buf()) })
}

/// Opens a directory only to name it.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).doing_to("open directory", path)
}

/// Returns a short path that leads to what `descriptor` has open.
pub(crate) fn descriptor_path(descriptor: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

/// Adds restrictions to a mount, keeping those it has: root of a user namespace may not take any away.
pub(crate) fn restrict_mount(path: &Path, more: MountFlags) -> Result<(), Errno> {
    use rustix::fs::StatVfsMountFlags as Has;
    let has = statvfs(path)?.f_flag;
    let mut flags = more | MountFlags::BIND;
    for (bit, flag) in [
        (Has::RDONLY, MountFlags::RDONLY),
        (Has::NOSUID, MountFlags::NOSUID),
        (Has::NODEV, MountFlags::NODEV),
        (Has::NOEXEC, MountFlags::NOEXEC),
        (Has::NOATIME, MountFlags::NOATIME),
    ] {
        if has.contains(bit) {
            flags |= flag;
        }
    }
    mount_remount(path, flags, c"")
}

/// Something mounted; unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    at: Option<PathBuf>,
}

impl Mounted {
    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        self.at.as_deref().expect("only `unmount` takes the path, and it consumes the guard")
    }

    /// Unmounts it, and says so when something still uses it.
    pub fn unmount(mut self) -> Result<(), Error> {
        let at = self.at.take().expect("only `unmount` takes the path, and it consumes the guard");
        let result = unmount(&at, UnmountFlags::empty()).doing_to("unmount", &at);
        if result.is_err() {
            detach(&at);
        }
        Ok(result?)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(at) = self.at.take() {
            detach(&at);
        }
    }
}

/// Takes a mount away at once, even if something still uses it. There is nobody to tell when that
/// does not work, and the mount vanishes with the process anyway.
fn detach(at: &Path) {
    let _ = unmount(at, UnmountFlags::DETACH);
}
