//! Layers: tar archives made of a file tree, kept by the digest of their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use casque_format::digest::{Digest, Hasher};
use fs_err::File;
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::diff::{self, Change};

mod import;
mod writer;

pub use import::ImportError;

use writer::{LayerWriter, Measured};

type Writer<'a> = LayerWriter<'a, Measured<BufWriter<NamedTempFile>>>;

/// What every layer of an image has in common.
#[derive(Debug, Clone, Default)]
pub struct LayerOptions {
    /// The latest time an entry may carry, in seconds; later ones become this.
    pub epoch: u64,
    /// Paths below the root that are left out with everything in them.
    pub omit: BTreeSet<PathBuf>,
    /// Directories below the root whose content is left out.
    pub empty: BTreeSet<PathBuf>,
}

/// Two views of one tree, and where they may differ.
#[derive(Debug, Clone)]
pub struct Diff<'a> {
    /// The tree before.
    pub lower: &'a Path,
    /// The tree after, overlays mounted.
    pub upper: &'a Path,
    /// Paths below the roots that are compared; see [`diff::overlay_candidates`].
    pub candidates: BTreeSet<PathBuf>,
}

/// A layer that is complete on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFile {
    /// The file: an uncompressed tar.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub diff_id: Digest,
    /// Their number.
    pub size: u64,
}

/// Why a layer could not be written.
#[derive(Debug, Error)]
pub enum LayerError {
    /// The tree could not be read; `fs_err` puts the path in the message.
    #[error(transparent)]
    Read(io::Error),
    /// A file became shorter while it was read, or its medium is damaged.
    #[error("cannot put `{}` into a layer", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A name that means a deletion in a layer.
    #[error("cannot put `{}` into a layer: names that begin with `.wh.` mean deletions there", path.display())]
    ReservedName {
        /// The entry.
        path: PathBuf,
    },
    /// The layer directory cannot be written, a full disk for example.
    #[error("cannot write a layer into `{}`", directory.display())]
    Write {
        /// The layer directory.
        directory: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// A directory of layers, each under the digest of its bytes.
///
/// Several processes may write into one store; whoever is killed leaves a temporary file at most.
#[derive(Debug, Clone)]
pub struct LayerStore {
    directory: PathBuf,
}

impl LayerStore {
    /// Opens the store in `directory`, which is made if it is missing.
    pub fn open(directory: &Path) -> Result<Self, LayerError> {
        let directory = directory.join("sha256");
        fs_err::create_dir_all(&directory)
            .map_err(|source| LayerError::Write { directory: directory.clone(), source })?;
        Ok(Self { directory })
    }

    /// Returns the layer with this digest, if it is here.
    pub fn get(&self, diff_id: &Digest) -> Result<Option<LayerFile>, LayerError> {
        let path = self.directory.join(diff_id.to_string());
        match fs_err::metadata(&path) {
            Ok(metadata) => Ok(Some(LayerFile { path, diff_id: *diff_id, size: metadata.len() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LayerError::Read(error)),
        }
    }

    /// Writes everything below `root` as a layer.
    pub fn write_tree(&self, root: &Path, options: &LayerOptions) -> Result<LayerFile, LayerError> {
        let paths = diff::walk(root, options).map_err(LayerError::Read)?;
        self.write_paths(root, &paths, options)
    }

    /// Writes those of `paths` that exist below `root`, and the directories they are in, as a layer.
    pub fn write_paths(
        &self,
        root: &Path,
        paths: &BTreeSet<PathBuf>,
        options: &LayerOptions,
    ) -> Result<LayerFile, LayerError> {
        let changes = paths.iter().filter(|path| options.takes(path)).cloned().map(Change::Present);
        self.write(root, changes.map(Ok), options)
    }

    /// Writes files below `root`, each with the time given for it or its own, and nothing else that depends on the
    /// tree: the directories they are in are plain, with `time`. A layer above says where they are not.
    pub fn write_files(
        &self,
        root: &Path,
        files: &BTreeMap<PathBuf, Option<u64>>,
        time: u64,
        options: &LayerOptions,
    ) -> Result<LayerFile, LayerError> {
        self.write_with(root, options, |mut layer| {
            layer = layer.with_plain_directories(time);
            for (path, time) in files {
                layer.entry(path.clone(), *time)?;
            }
            Ok(layer)
        })
    }

    /// Writes changes, which are sorted by path, as a layer; see [`diff::differences`].
    pub fn write_changes(
        &self,
        root: &Path,
        changes: &[Change],
        options: &LayerOptions,
    ) -> Result<LayerFile, LayerError> {
        self.write(root, changes.iter().cloned().map(Ok), options)
    }

    /// Writes what differs between two trees as a layer: `None` where nothing does.
    ///
    /// A time alone is no difference, nor is which names share a file. Something removed becomes a whiteout, and every directory on
    /// the way to a difference is in the layer, since engines would otherwise make one up.
    pub fn write_diff(
        &self,
        diff: &Diff<'_>,
        options: &LayerOptions,
    ) -> Result<Option<LayerFile>, LayerError> {
        let candidates = diff.candidates.iter().filter(|path| options.takes(path));
        let mut changes = diff::changes(diff.lower, diff.upper, candidates).peekable();
        if changes.peek().is_none() {
            return Ok(None);
        }
        self.write(diff.upper, changes, options).map(Some)
    }

    fn write(
        &self,
        root: &Path,
        changes: impl Iterator<Item = io::Result<Change>>,
        options: &LayerOptions,
    ) -> Result<LayerFile, LayerError> {
        self.write_with(root, options, |mut layer| {
            for change in changes {
                layer.change(change.map_err(LayerError::Read)?)?;
            }
            Ok(layer)
        })
    }

    fn write_with<'a>(
        &'a self,
        root: &'a Path,
        options: &LayerOptions,
        fill: impl FnOnce(Writer<'a>) -> Result<Writer<'a>, LayerError>,
    ) -> Result<LayerFile, LayerError> {
        let refuse = |source| LayerError::Write { directory: self.directory.clone(), source };
        let temporary = NamedTempFile::new_in(&self.directory).map_err(refuse)?;
        let out = Measured { out: BufWriter::new(temporary), hasher: Hasher::default(), size: 0 };
        let layer = fill(LayerWriter::new(out, root, options.epoch, &self.directory))?;
        let Measured { out, hasher, size } = layer.finish().map_err(refuse)?;
        let temporary = out.into_inner().map_err(|error| refuse(error.into_error()))?;
        let diff_id = hasher.finish();
        // Another build, or another stage, made the same: then there is nothing to wait for.
        if let Some(there) = self.get(&diff_id)?.filter(|there| there.size == size) {
            return Ok(there);
        }
        let path = self.directory.join(diff_id.to_string());
        persist(temporary, &path).map_err(refuse)?;
        Ok(LayerFile { path, diff_id, size })
    }
}

impl LayerOptions {
    pub(crate) fn takes(&self, path: &Path) -> bool {
        let left_out = |path| self.omit.contains(path);
        let emptied = |path| self.empty.contains(path);
        !path.ancestors().any(left_out) && !path.ancestors().skip(1).any(emptied)
    }
}

/// Gives a finished temporary file its name, durably and readable for everybody.
pub(crate) fn persist(temporary: NamedTempFile, path: &Path) -> io::Result<()> {
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::fchmod(temporary.as_file(), mode)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
