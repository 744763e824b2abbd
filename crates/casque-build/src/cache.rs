//! The build cache: everything in it is named by what it was made from, so that it is never wrong, only missing.
//!
//! | directory | holds |
//! | --- | --- |
//! | `store` | downloaded files by SHA-256 |
//! | `layers` | layer tars by SHA-256 |
//! | `stages` | what each step left: `tree` (an overlay's upper directory) and `stage.json` |
//! | `work` | one directory per running build, locked while it runs |

use std::io;
use std::path::{Path, PathBuf};

use casque_fetch::Store;
use casque_format::digest::Digest;
use casque_image::layer::LayerStore;
use casque_sandbox::FileLock;
use tempfile::TempDir;

use crate::error::BuildError;
use crate::stage::{Record, Stage, StageLayer};

/// The build cache.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
    layers: LayerStore,
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
        let directory = std::path::absolute(directory).map_err(BuildError::Cache)?;
        for name in ["store", "stages", "work"] {
            fs_err::create_dir_all(directory.join(name)).map_err(BuildError::Cache)?;
        }
        let layers = LayerStore::open(&directory.join("layers"))?;
        let cache = Self { directory, layers };
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
        let there = |layer: &StageLayer| matches!(self.layers.get(&layer.diff_id), Ok(Some(_)));
        let whole = record.layers.iter().all(there);
        Ok(whole.then_some(Stage { key: *key, trees, record }))
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

    fn stage_directory(&self, key: &Digest) -> PathBuf {
        self.directory.join("stages").join(key.to_string())
    }
}
