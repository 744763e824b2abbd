//! Makes the directories of the volume, and sets their owners, without following anybody's links.
//!
//! A service owns its directory and may put a link there; root must not be led out of the volume by it.
//! Nothing is ever done recursively: a start costs the same whatever the volume holds.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use casque_format::image::DataDirectory;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, mkdirat, open, openat, statat,
};
use rustix::io::Errno;

use crate::root::Root;

/// What became of a directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there with its owner.
    Good,
    /// It is there, and its owner could not be set.
    OtherOwner,
    /// A link is in its place, or on the way to it; it was left alone.
    Link,
}

/// Makes `directory` when it is missing and corrects its own owner when `change_owner`.
pub fn ensure(root: &Root, directory: &DataDirectory, change_owner: bool) -> io::Result<Outcome> {
    let named = |error: Errno| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("`{}`: {error}", directory.path))
    };
    let names: Vec<_> = Path::new(&directory.path)
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let Some((last, parents)) = names.split_last() else { return Ok(Outcome::Good) };
    let mut place = open(root.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).map_err(named)?;
    for name in parents {
        match mkdirat(&place, *name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            // A read-only or foreign parent is no obstacle when the directory is there.
            Err(error) if statat(&place, *name, AtFlags::empty()).is_err() => return Err(named(error)),
            Err(_) => {}
        }
        match openat(&place, *name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => place = next,
            Err(Errno::LOOP | Errno::NOTDIR) if is_link(&place, Path::new(name)) => return Ok(Outcome::Link),
            Err(error) => return Err(named(error)),
        }
    }
    let owner = (Uid::from_raw(directory.uid), Gid::from_raw(directory.gid));
    match mkdirat(&place, *last, Mode::from_raw_mode(0o700)) {
        Ok(()) => {
            finish_new(&place, Path::new(last), directory.mode, change_owner.then_some(owner)).map_err(named)
        }
        Err(error) => match statat(&place, *last, AtFlags::SYMLINK_NOFOLLOW) {
            Err(_) => Err(named(error)),
            Ok(found) => match FileType::from_raw_mode(found.st_mode) {
                FileType::Symlink => Ok(Outcome::Link),
                FileType::Directory
                    if !change_owner || (found.st_uid, found.st_gid) == (directory.uid, directory.gid) =>
                {
                    Ok(Outcome::Good)
                }
                FileType::Directory => {
                    let done =
                        chownat(&place, *last, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW);
                    Ok(if done.is_ok() { Outcome::Good } else { Outcome::OtherOwner })
                }
                _ => Err(named(Errno::NOTDIR)),
            },
        },
    }
}

fn finish_new(place: &OwnedFd, name: &Path, mode: u32, owner: Option<(Uid, Gid)>) -> Result<Outcome, Errno> {
    let made = openat(place, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    fchmod(&made, Mode::from_raw_mode(mode))?;
    let Some((uid, gid)) = owner else { return Ok(Outcome::Good) };
    match fchown(&made, Some(uid), Some(gid)) {
        Ok(()) => Ok(Outcome::Good),
        Err(Errno::PERM) => Ok(Outcome::OtherOwner),
        Err(error) => Err(error),
    }
}

fn is_link(place: &OwnedFd, name: &Path) -> bool {
    statat(place, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use fs_err as fs;

    use super::*;

    struct Volume(tempfile::TempDir);

    impl Volume {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn ensure(&self, path: &str, uid: u32, mode: u32) -> io::Result<Outcome> {
            let directory = DataDirectory { path: path.to_owned(), uid, gid: uid, mode };
            ensure(&Root::new(self.0.path().to_owned()), &directory, rustix::process::geteuid().is_root())
        }

        fn metadata(&self, path: &str) -> std::fs::Metadata {
            fs::symlink_metadata(self.0.path().join(path)).unwrap()
        }
    }

    #[test]
    fn a_missing_directory_is_made_with_parents_mode_and_owner() {
        let volume = Volume::new();
        assert_eq!(volume.ensure("/data/mongodb/db", 901, 0o2770).unwrap(), Outcome::Good);
        assert_eq!(volume.metadata("data/mongodb/db").permissions().mode() & 0o7777, 0o2770);
        assert_eq!(volume.metadata("data/mongodb").permissions().mode() & 0o7777, 0o755);
        if rustix::process::geteuid().is_root() {
            assert_eq!(
                (volume.metadata("data/mongodb/db").uid(), volume.metadata("data/mongodb").uid()),
                (901, 0)
            );
        }
    }

    #[test]
    fn of_an_existing_directory_only_its_own_owner_changes() {
        let volume = Volume::new();
        fs::create_dir_all(volume.0.path().join("data/mongodb/inner")).unwrap();
        fs::set_permissions(volume.0.path().join("data/mongodb"), std::fs::Permissions::from_mode(0o711))
            .unwrap();
        let before = volume.metadata("data/mongodb/inner").uid();
        assert_eq!(volume.ensure("/data/mongodb", 901, 0o700).unwrap(), Outcome::Good);
        assert_eq!(volume.metadata("data/mongodb").permissions().mode() & 0o7777, 0o711);
        assert_eq!(volume.metadata("data/mongodb/inner").uid(), before);
        if rustix::process::geteuid().is_root() {
            assert_eq!(volume.metadata("data/mongodb").uid(), 901);
        }
    }

    #[test]
    fn links_lead_nowhere() {
        let volume = Volume::new();
        let outside = tempfile::tempdir().unwrap();
        let owner = fs::metadata(outside.path()).unwrap().uid();
        fs::create_dir(volume.0.path().join("data")).unwrap();
        symlink(outside.path(), volume.0.path().join("data/mongodb")).unwrap();
        assert_eq!(volume.ensure("/data/mongodb", 901, 0o700).unwrap(), Outcome::Link);
        assert_eq!(volume.ensure("/data/mongodb/db", 901, 0o700).unwrap(), Outcome::Link);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(fs::metadata(outside.path()).unwrap().uid(), owner);
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_an_error() {
        let volume = Volume::new();
        fs::write(volume.0.path().join("data"), "").unwrap();
        let message = volume.ensure("/data", 901, 0o700).unwrap_err().to_string();
        assert!(message.starts_with("`/data`: "), "{message}");
    }
}
