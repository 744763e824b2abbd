//! Directories of unmodified software that live in the volume: the image keeps what they held as a seed, and a link.
//!
//! A link in the image works where nothing may be mounted: on a read-only root, and for any user. The seed is an archive, for
//! any user must be able to read it, and what comes of it must have its owners and modes.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use casque_format::image::DataDirectory;
use casque_format::paths::{PERSISTED, SEEDS};
use walkdir::WalkDir;

use crate::error::{BuildError, ServiceError};

/// The name of the directory in its seed.
const NAME: &str = "seed";

/// Makes the seed of the directory `path` of the image and leaves a link into the volume in its place. No time in it is later
/// than `epoch`, in seconds since 1970.
pub(crate) fn install(root: &Path, path: &str, epoch: u64) -> Result<DataDirectory, BuildError> {
    let place = root.join(path.trim_start_matches('/'));
    let is_own = has_no_link(root, path);
    let found = place.symlink_metadata();
    let Ok(found) =
        found.map_err(drop).and_then(|found| (is_own && found.is_dir()).then_some(found).ok_or(()))
    else {
        return Err(ServiceError::NotPersistent { path: path.to_owned() }.into());
    };
    let seed = root.join(format!("{SEEDS}{path}.tar").trim_start_matches('/'));
    let move_away = || {
        fs_err::create_dir_all(seed.parent().expect("a seed is in a directory"))?;
        archive(&place, &seed, epoch)?;
        fs_err::remove_dir_all(&place)?;
        fs_err::os::unix::fs::symlink(format!("{PERSISTED}{path}"), &place)
    };
    move_away().map_err(BuildError::Root)?;
    Ok(DataDirectory {
        path: path.to_owned(),
        uid: found.uid(),
        gid: found.gid(),
        mode: found.mode() & 0o7777,
    })
}

/// Whether `path` is what it says: a link on the way would lead elsewhere in the container than here.
fn has_no_link(root: &Path, path: &str) -> bool {
    let ancestors = Path::new(path.trim_start_matches('/')).ancestors();
    ancestors.filter(|one| !one.as_os_str().is_empty()).all(|one| !root.join(one).is_symlink())
}

/// Writes what is below `from`: directories, files and links. A socket or a pipe is made by the program that listens on it.
fn archive(from: &Path, to: &Path, epoch: u64) -> io::Result<()> {
    let mut out = tar::Builder::new(fs_err::File::create(to)?);
    for entry in WalkDir::new(from).sort_by_file_name() {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let name = Path::new(NAME).join(entry.path().strip_prefix(from).expect("walked from there"));
        let mut header = tar::Header::new_gnu();
        header.set_uid(metadata.uid().into());
        header.set_gid(metadata.gid().into());
        header.set_mode(metadata.mode() & 0o7777);
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0).min(epoch));
        header.set_size(0);
        if metadata.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            out.append_data(&mut header, &name, io::empty())?;
        } else if metadata.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            out.append_link(&mut header, &name, fs_err::read_link(entry.path())?)?;
        } else if metadata.is_file() {
            header.set_size(metadata.len());
            out.append_data(&mut header, &name, fs_err::File::open(entry.path())?)?;
        }
    }
    out.into_inner()?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_becomes_a_seed_and_a_link() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("var/lib/db");
        fs_err::create_dir_all(place.join("base")).unwrap();
        fs_err::write(place.join("base/1"), "content").unwrap();
        fs_err::os::unix::fs::symlink("base/1", place.join("current")).unwrap();
        fs_err::set_permissions(&place, Permissions::from_mode(0o700)).unwrap();
        let directory = install(root.path(), "/var/lib/db", 1000).unwrap();
        assert_eq!((directory.path.as_str(), directory.mode), ("/var/lib/db", 0o700));
        assert_eq!(fs_err::read_link(&place).unwrap(), Path::new("/data/persist/var/lib/db"));
        let seed = root.path().join("usr/lib/casque/seeds/var/lib/db.tar");
        let mut archive = tar::Archive::new(fs_err::File::open(seed).unwrap());
        let listed = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let name = entry.path().unwrap().display().to_string();
            (name, header.entry_type(), header.mtime().unwrap())
        });
        let (directory, file, link) =
            (tar::EntryType::Directory, tar::EntryType::Regular, tar::EntryType::Symlink);
        let expected =
            [("seed/", directory), ("seed/base", directory), ("seed/base/1", file), ("seed/current", link)];
        let expected: Vec<_> = expected.map(|(name, kind)| (name.to_owned(), kind, 1000)).into();
        assert_eq!(listed.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_a_directory_of_the_image_can_live_in_the_volume() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("var/lib/db")).unwrap();
        fs_err::os::unix::fs::symlink("lib", root.path().join("var/link")).unwrap();
        for path in ["/var/lib/other", "/var/link", "/var/link/db"] {
            assert_eq!(
                install(root.path(), path, 0).unwrap_err().to_string(),
                format!("`{path}` of `[data] persist` is no directory of the image")
            );
        }
    }
}
