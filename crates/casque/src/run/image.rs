//! Images as directories: each is unpacked once and used by every container after that.

use std::path::{Path, PathBuf};

use casque_image::read::Archive;
use casque_image::unpack::unpack;
use casque_sandbox::FileLock;
use fs_err as fs;

use super::error::RunError;
use super::state::remove;

/// Begins the names of directories in which an image is being unpacked.
const UNFINISHED: &str = ".unpacking-";

/// An image that can be run.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// Its root file system, which nobody changes.
    pub(crate) root: PathBuf,
}

/// Unpacks an image below `cache` unless it is there already, and calls `begin` before that.
///
/// The layers are checked against the digests that the configuration names, and the directory gets
/// its name, the digest of that configuration, only when everything is in place.
pub(crate) fn unpacked(archive: &Archive, cache: &Path, begin: impl FnOnce()) -> Result<Unpacked, RunError> {
    let directory = std::path::absolute(cache).map_err(RunError::File)?.join("images");
    fs::create_dir_all(&directory).map_err(RunError::File)?;
    let id = archive.image_id().to_string();
    let root = directory.join(&id);
    if root.is_dir() {
        return Ok(Unpacked { root });
    }
    // One at a time; whoever waited finds the work done.
    let _lock = FileLock::acquire(&directory.join("lock"))?;
    if root.is_dir() {
        return Ok(Unpacked { root });
    }
    remove_unfinished(&directory)?;
    begin();
    let temporary = directory.join(format!("{UNFINISHED}{id}"));
    fs::create_dir(&temporary).map_err(RunError::File)?;
    unpack(archive, &temporary)?;
    fs::rename(&temporary, &root).map_err(RunError::File)?;
    Ok(Unpacked { root })
}

/// Removes what a killed program left.
fn remove_unfinished(directory: &Path) -> Result<(), RunError> {
    for entry in fs::read_dir(directory).map_err(RunError::File)? {
        let entry = entry.map_err(RunError::File)?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}
