//! Directories of unmodified software that live in the volume: filled from the image at the first start.

use std::io;
use std::path::Path;

use casque_format::paths::{PERSISTED, SEEDS};
use fs_err as fs;
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use crate::root::Root;
use crate::write;

/// The name of the directory in its seed.
const NAME: &str = "seed";
/// Begins the names of what a start has not finished.
const UNFINISHED: &str = ".unfinished.";

/// Puts what the image has at `path` into the volume, unless it is there: whole, or not at all.
///
/// A start looks at the directory itself and at nothing in it. Owners are kept by who may give files away; any other user
/// runs the services itself and owns everything.
pub fn ensure(root: &Root, path: &str) -> io::Result<()> {
    let place = root.join(&format!("{PERSISTED}{path}"));
    if place.symlink_metadata().is_ok() {
        return Ok(());
    }
    let all = root.join(PERSISTED);
    write::make_directory(&all, 0o755)?;
    // Of two first starts at the same time one waits, and finds it done.
    let _locked = write::lock(&all)?;
    if place.symlink_metadata().is_ok() {
        return Ok(());
    }
    remove_unfinished(&all)?;
    let unfinished = all.join(format!("{UNFINISHED}{:016x}", getrandom::u64()?));
    write::make_directory(&unfinished, 0o700)?;
    unpack(&root.join(&format!("{SEEDS}{path}.tar")), &unfinished)?;
    let parent = place.parent().expect("the place is below the directory of all");
    write::make_directory(parent, 0o755)?;
    fs::rename(unfinished.join(NAME), &place)?;
    fs::remove_dir(&unfinished)?;
    fs::File::open(parent)?.sync_all()
}

fn unpack(seed: &Path, to: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(fs::File::open(seed)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(may_give_away());
    archive.unpack(to)?;
    // The rename must not reach the disk before what it names.
    Ok(rustix::fs::syncfs(fs::File::open(to)?)?)
}

/// Says whether this process may give files to other users.
pub fn may_give_away() -> bool {
    geteuid().is_root() && capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::CHOWN))
}

/// Removes what starts that were killed have left.
fn remove_unfinished(all: &Path) -> io::Result<()> {
    for entry in fs::read_dir(all)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    struct Image(tempfile::TempDir, Root);

    impl Image {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let root = Root::new(directory.path().to_owned());
            fs::create_dir_all(root.join("/data")).unwrap();
            Self(directory, root)
        }

        /// Makes a seed of one file, one link and a directory that only its owner may enter.
        fn seed(&self, content: &str) {
            let from = self.0.path().join("from");
            fs::create_dir_all(from.join("base")).unwrap();
            fs::write(from.join("base/1"), content).unwrap();
            fs::set_permissions(from.join("base/1"), PermissionsExt::from_mode(0o640)).unwrap();
            fs::set_permissions(&from, PermissionsExt::from_mode(0o700)).unwrap();
            let _ = symlink("base/1", from.join("current"));
            let to = self.1.join("/usr/lib/casque/seeds/var/lib/db.tar");
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let mut tar = tar::Builder::new(fs::File::create(to).unwrap());
            tar.follow_symlinks(false);
            tar.append_dir_all(NAME, &from).unwrap();
            tar.finish().unwrap();
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.1.join(PERSISTED)).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn what_the_image_has_is_in_the_volume_from_the_first_start_on_and_stays() {
        let image = Image::new();
        image.seed("first");
        ensure(&image.1, "/var/lib/db").unwrap();
        let place = image.1.join("/data/persist/var/lib/db");
        assert_eq!(fs::read_to_string(place.join("current")).unwrap(), "first");
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::metadata(place.join("base/1")).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(image.names(), ["var"]);
        fs::write(place.join("base/1"), "written since").unwrap();
        image.seed("of the next version");
        ensure(&image.1, "/var/lib/db").unwrap();
        assert_eq!(fs::read_to_string(place.join("base/1")).unwrap(), "written since");
    }

    #[test]
    fn what_a_killed_start_has_left_is_removed_and_begun_anew() {
        let image = Image::new();
        image.seed("whole");
        fs::create_dir_all(image.1.join("/data/persist/.unfinished.1/seed/base")).unwrap();
        ensure(&image.1, "/var/lib/db").unwrap();
        assert_eq!(image.names(), ["var"]);
        let file = image.1.join("/data/persist/var/lib/db/base/1");
        assert_eq!(fs::read_to_string(file).unwrap(), "whole");
    }

    #[test]
    fn a_seed_that_breaks_off_is_an_error_and_nothing_has_its_place() {
        let image = Image::new();
        image.seed(&"x".repeat(100_000));
        let seed = image.1.join("/usr/lib/casque/seeds/var/lib/db.tar");
        let file = fs::OpenOptions::new().write(true).open(seed).unwrap();
        file.set_len(50_000).unwrap();
        ensure(&image.1, "/var/lib/db").unwrap_err();
        assert!(!image.1.join("/data/persist/var").exists());
    }
}
