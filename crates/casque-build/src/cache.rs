//! The build cache: everything in it is named by what it was made from, so that it is never wrong, only missing.
//!
//! | directory | holds |
//! | --- | --- |
//! | `store` | downloaded files by SHA-256 |
//! | `layers` | layer tars by SHA-256 |
//! | `stages` | what each step left: `tree` (an overlay's upper directory) and `stage.json` |
//! | `unpacked` | files of Debian packages by the digest of the package |
//! | `wheels` | Python distributions that were built, by what they were built from |
//! | `bytecode` | compiled Python distributions by what they were compiled from |
//! | `last` | what each stage of each image was made from the last time, to explain the next |
//! | `outputs` | compressed layers, and what is known of the files that were written |
//! | `work` | one directory per running build, locked while it runs |

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casque_fetch::Store;
use casque_format::digest::Digest;
use casque_image::layer::LayerStore;
use casque_sandbox::FileLock;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use tempfile::{NamedTempFile, TempDir};

use crate::error::BuildError;
use crate::stage::{Record, Stage, StageLayer};

/// The lock of everything that reads the cache.
const USE: &str = "use.lock";

/// The build cache.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(crate) directory: PathBuf,
    layers: LayerStore,
    /// Shared by everything that reads the cache; whoever removes from it has it alone.
    _use: Arc<FileLock>,
}

/// A directory that is this build's own until it is dropped.
#[derive(Debug)]
pub(crate) struct Workspace {
    directory: TempDir,
    /// Held, so that a later build knows this one still runs.
    _lock: FileLock,
}

impl Workspace {
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Cache {
    /// Opens the cache in `directory`, making it when it is missing, and removes what killed builds left.
    ///
    /// # Errors
    /// A directory that cannot be made or read.
    pub fn open(directory: &Path) -> Result<Self, BuildError> {
        Self::open_with(directory, FileLock::share)
    }

    /// Opens the cache alone: waits until nobody uses it, and others wait until this one is dropped.
    ///
    /// # Errors
    /// A directory that cannot be made or read.
    pub fn open_alone(directory: &Path) -> Result<Self, BuildError> {
        Self::open_with(directory, FileLock::acquire)
    }

    /// Tells whether something uses the cache in `directory` now.
    ///
    /// # Errors
    /// A lock that cannot be read.
    pub fn in_use(directory: &Path) -> Result<bool, BuildError> {
        let lock = directory.join(USE);
        Ok(lock.exists() && FileLock::try_acquire(&lock)?.is_none())
    }

    fn open_with(
        directory: &Path,
        take: fn(&Path) -> Result<FileLock, casque_sandbox::Error>,
    ) -> Result<Self, BuildError> {
        let directory = std::path::absolute(directory).map_err(BuildError::Cache)?;
        for name in ["store", "stages", "unpacked", "wheels", "bytecode", "last", "outputs", "work"] {
            fs_err::create_dir_all(directory.join(name)).map_err(BuildError::Cache)?;
        }
        let layers = LayerStore::open(&directory.join("layers"))?;
        if let Some(_alone) = FileLock::try_acquire(&directory.join(USE))? {
            // What has no name yet belongs to a writer, and there is none.
            for name in ["layers/sha256", "unpacked", "last"] {
                remove_unnamed(&directory.join(name)).map_err(BuildError::Cache)?;
            }
        }
        let lock = Arc::new(take(&directory.join(USE))?);
        let cache = Self { directory, layers, _use: lock };
        cache.sweep()?;
        Ok(cache)
    }

    /// Returns the downloads.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn store(&self) -> Result<Store, BuildError> {
        Ok(Store::open(&self.directory.join("store"))?)
    }

    /// Returns the layer tars.
    pub(crate) fn layers(&self) -> &LayerStore {
        &self.layers
    }

    /// Returns where outputs leave what makes the next one faster.
    pub(crate) fn outputs(&self) -> PathBuf {
        self.directory.join("outputs")
    }

    /// Makes a directory for one build's work.
    pub(crate) fn workspace(&self) -> Result<Workspace, BuildError> {
        let _turn = self.turn()?;
        let work = self.directory.join("work");
        let directory = tempfile::Builder::new().prefix("build-").tempdir_in(work);
        let directory = directory.map_err(BuildError::Cache)?;
        let lock = FileLock::acquire(&directory.path().join("lock"))?;
        Ok(Workspace { directory, _lock: lock })
    }

    /// Removes the work of builds that no longer run.
    fn sweep(&self) -> Result<(), BuildError> {
        let _turn = self.turn()?;
        for entry in fs_err::read_dir(self.directory.join("work")).map_err(BuildError::Cache)? {
            let path = entry.map_err(BuildError::Cache)?.path();
            if FileLock::try_acquire(&path.join("lock"))?.is_some() {
                fs_err::remove_dir_all(path).map_err(BuildError::Cache)?;
            }
        }
        Ok(())
    }

    /// Keeps others from taking a directory that is just being made for one that a killed build left.
    fn turn(&self) -> Result<FileLock, BuildError> {
        Ok(FileLock::acquire(&self.directory.join("work.lock"))?)
    }

    /// Returns the stage made from `key`, when it is whole.
    pub(crate) fn stage(&self, key: &Digest) -> io::Result<Option<Stage>> {
        let directory = self.stage_directory(key);
        let text = match fs_err::read(directory.join("stage.json")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(None) };
        let mut trees = vec![directory.join("tree")];
        if let Some(beneath) = &record.beneath {
            let Some(stage) = self.stage(beneath)? else { return Ok(None) };
            trees.extend(stage.trees);
        }
        let file = |layer: &StageLayer| self.layers.get(&layer.diff_id).ok()?;
        if record.layers.iter().map(file).any(|file| file.is_none()) {
            return Ok(None);
        }
        // Not its layers: another build that is writing them would take them for others, and we would read them again.
        touch(&directory.join("stage.json"))?;
        Ok(Some(Stage { key: *key, trees, record }))
    }

    /// Puts a finished stage in its place. `made` holds `tree` and `stage.json`.
    pub(crate) fn keep(&self, key: &Digest, made: &Path) -> io::Result<()> {
        let place = self.stage_directory(key);
        match fs_err::rename(made, &place) {
            // Another build made the same, or its layer was pruned: what is whole wins.
            Err(_) if place.exists() && self.stage(key)?.is_none() => {
                fs_err::remove_dir_all(&place)?;
                fs_err::rename(made, &place)
            }
            Err(_) if place.exists() => fs_err::remove_dir_all(made),
            result => result,
        }
    }

    /// Returns where the unpacked files of the package with this digest are kept.
    pub(crate) fn unpacked(&self, package: &Digest) -> PathBuf {
        let place = self.directory.join("unpacked").join(package.to_string());
        // It is there no sooner than an earlier build kept it.
        drop(touch(&place));
        place
    }

    /// Returns the wheel built from `key`, when it is there.
    pub(crate) fn wheel(&self, key: &Digest) -> io::Result<Option<PathBuf>> {
        let place = self.directory.join("wheels").join(key.to_string());
        if !place.is_dir() {
            return Ok(None);
        }
        touch(&place)?;
        let Some(entry) = fs_err::read_dir(&place)?.next() else { return Ok(None) };
        Ok(Some(entry?.path()))
    }

    /// Puts a wheel, the one file in `made`, in its place.
    pub(crate) fn keep_wheel(&self, key: &Digest, made: &TempDir) -> io::Result<()> {
        let place = self.directory.join("wheels").join(key.to_string());
        match fs_err::rename(made.path(), &place) {
            // Another build built the same.
            Err(_) if place.is_dir() => Ok(()),
            result => result,
        }
    }

    /// Returns where bytecode made from `key` is, when it is there.
    pub(crate) fn bytecode(&self, key: &Digest) -> Option<PathBuf> {
        let place = self.directory.join("bytecode").join(key.to_string());
        touch(&place).is_ok().then_some(place)
    }

    /// Puts bytecode in its place.
    pub(crate) fn keep_bytecode(&self, key: &Digest, made: &TempDir) -> io::Result<()> {
        let place = self.directory.join("bytecode").join(key.to_string());
        match fs_err::rename(made.path(), &place) {
            // Another build compiled the same.
            Err(_) if place.is_dir() => Ok(()),
            result => result,
        }
    }

    /// Returns what was kept at `place` of what a stage was made from.
    pub(crate) fn last(&self, place: &Digest) -> Option<Vec<u8>> {
        fs_err::read(self.directory.join("last").join(place.to_string())).ok()
    }

    /// Keeps what a stage was made from.
    pub(crate) fn keep_last(&self, place: &Digest, text: &[u8]) -> io::Result<()> {
        let directory = self.directory.join("last");
        let mut file = NamedTempFile::new_in(&directory)?;
        file.write_all(text)?;
        file.persist(directory.join(place.to_string())).map(drop).map_err(|error| error.error)
    }

    fn stage_directory(&self, key: &Digest) -> PathBuf {
        self.directory.join("stages").join(key.to_string())
    }
}

/// Removes what killed writers left.
fn remove_unnamed(directory: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Notes that a file or directory is used now: its time is that of its last use.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let kept = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: kept, last_modification: now };
    utimensat(CWD, path, &times, AtFlags::empty()).map_err(|error| {
        io::Error::new(io::Error::from(error).kind(), format!("cannot touch `{}`: {error}", path.display()))
    })
}
