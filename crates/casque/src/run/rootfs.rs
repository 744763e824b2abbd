//! The file system of one container: an overlay of its own over the unpacked image, and its data.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use casque_sandbox::{Mounted, Overlay, Upper, overlay};
use fs_err as fs;

use super::error::RunError;
use super::image::Unpacked;
use super::state::Place;

/// Where every image of casque keeps its data.
const DATA: &str = "data";

/// Files that an engine supplies rather than the image.
#[derive(Debug)]
pub(crate) struct Supplied {
    /// The container's host name.
    pub(crate) hostname: String,
    /// The host's own `resolv.conf`, for a container in the host's network.
    pub(crate) resolver: Option<PathBuf>,
}

/// Mounts the root file system of a container.
pub(crate) fn mount(place: &Place, image: &Unpacked, supplied: &Supplied) -> Result<Mounted, RunError> {
    let (changes, work, root) = (place.path("changes"), place.path("work"), place.path("root"));
    for directory in [&changes, &work, &root] {
        fs::create_dir(directory).map_err(RunError::File)?;
    }
    // What is in the upper directory before the overlay is mounted is simply there. No path of the
    // image is followed, so no link in it can lead elsewhere.
    copy_facts(&image.root, &changes)?;
    let etc = make_directory(&changes, &image.root, "etc")?;
    let name = &supplied.hostname;
    let hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\t{name}\n");
    fs::write(etc.join("hosts"), hosts).map_err(RunError::File)?;
    fs::write(etc.join("hostname"), format!("{name}\n")).map_err(RunError::File)?;
    if let Some(path) = &supplied.resolver {
        // A host without it resolves nothing either.
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                let content = other.map_err(RunError::File)?;
                fs::write(etc.join("resolv.conf"), content).map_err(RunError::File)?;
            }
        }
    }
    // Mount points, which a read-only root could not get later.
    for name in [DATA, "dev", "proc", "run", "sys", "tmp"] {
        make_directory(&changes, &image.root, name)?;
    }
    Ok(overlay(Overlay {
        lower: std::slice::from_ref(&image.root),
        upper: Some(Upper { changes: &changes, work: &work }),
        at: &root,
    })?)
}

/// Returns the directory that becomes `/data`. One that had to be made takes owner and permissions
/// of the image's `/data`, as a named volume of an engine does; an existing one stays as it is.
pub(crate) fn data_directory(path: &Path, image: &Unpacked) -> Result<PathBuf, RunError> {
    if !path.exists() {
        fs::create_dir_all(path).map_err(RunError::File)?;
        let inside = image.root.join(DATA);
        if is_directory(&inside)? {
            copy_facts(&inside, path)?;
        }
    }
    fs::canonicalize(path).map_err(RunError::File)
}

/// Makes a directory of the upper directory, like the image's if that has one.
fn make_directory(changes: &Path, image: &Path, name: &str) -> Result<PathBuf, RunError> {
    let (made, like) = (changes.join(name), image.join(name));
    fs::create_dir(&made).map_err(RunError::File)?;
    if is_directory(&like)? {
        copy_facts(&like, &made)?;
    } else {
        fs::set_permissions(&made, std::fs::Permissions::from_mode(0o755)).map_err(RunError::File)?;
    }
    Ok(made)
}

/// Returns the permission bits of the image's `/run`.
pub(crate) fn mode_of_run(image: &Unpacked) -> Result<u32, RunError> {
    let run = image.root.join("run");
    Ok(match is_directory(&run)? {
        true => fs::symlink_metadata(&run).map_err(RunError::File)?.mode() & 0o7777,
        false => 0o755,
    })
}

fn is_directory(path: &Path) -> Result<bool, RunError> {
    match fs::symlink_metadata(path) {
        Ok(facts) => Ok(facts.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(RunError::File(error)),
    }
}

fn copy_facts(from: &Path, to: &Path) -> Result<(), RunError> {
    let facts = fs::symlink_metadata(from).map_err(RunError::File)?;
    chown(to, Some(facts.uid()), Some(facts.gid())).map_err(|error| {
        let text = format!("cannot change the owner of `{}`: {error}", to.display());
        RunError::File(io::Error::new(error.kind(), text))
    })?;
    fs::set_permissions(to, facts.permissions()).map_err(RunError::File)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_with_data(mode: u32, uid: u32) -> (tempfile::TempDir, Unpacked) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("image");
        std::fs::create_dir_all(root.join("data")).unwrap();
        std::fs::set_permissions(root.join("data"), std::fs::Permissions::from_mode(mode)).unwrap();
        chown(root.join("data"), Some(uid), Some(uid)).unwrap();
        (directory, Unpacked { root })
    }

    #[test]
    fn a_data_directory_that_had_to_be_made_is_like_that_of_the_image() {
        let (directory, image) = image_with_data(0o750, 900);
        let path = data_directory(&directory.path().join("a/b"), &image).unwrap();
        let facts = std::fs::metadata(path).unwrap();
        assert_eq!((facts.uid(), facts.gid(), facts.mode() & 0o7777), (900, 900, 0o750));
    }

    #[test]
    fn a_data_directory_of_the_user_stays_as_it_is() {
        let (directory, image) = image_with_data(0o750, 900);
        let own = directory.path().join("own");
        std::fs::create_dir(&own).unwrap();
        let before = std::fs::metadata(&own).unwrap();
        let path = data_directory(&own, &image).unwrap();
        let after = std::fs::metadata(path).unwrap();
        assert_eq!((before.uid(), before.mode()), (after.uid(), after.mode()));
    }
}
