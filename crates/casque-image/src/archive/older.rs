//! An older archive, of which whoever loads a thin one has the layers.

use std::path::{Path, PathBuf};

use casque_format::digest::Digest;

use super::blobs::Blob;
use super::{ArchiveError, ImageLayer};
use crate::read::{Archive, ReadError};

/// The layers of an archive that was loaded before.
#[derive(Debug)]
pub struct Older {
    path: PathBuf,
    /// Each layer's `diff_id`, and its blob as it was in that archive: engines which keep blobs have those.
    layers: Vec<(Digest, Blob)>,
}

impl Older {
    /// Reads which layers the archive or directory at `path` has. It may be a thin one itself.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let archive = Archive::open(path)?;
        let layers = archive.layers().iter().map(|layer| {
            let blob =
                Blob { digest: layer.blob, size: layer.size, compression: layer.compression, file: None };
            (layer.diff_id, blob)
        });
        Ok(Self { path: path.to_owned(), layers: layers.collect() })
    }

    /// Returns the blobs of the layers that both begin with, at least one.
    pub(super) fn common(&self, layers: &[ImageLayer]) -> Result<Vec<Blob>, ArchiveError> {
        let pairs = self.layers.iter().zip(layers);
        let common = pairs.take_while(|((diff_id, _), layer)| *diff_id == layer.file.diff_id);
        let blobs: Vec<Blob> = common.map(|((_, blob), _)| blob.clone()).collect();
        if blobs.is_empty() {
            return Err(ArchiveError::NothingInCommon { path: self.path.clone() });
        }
        Ok(blobs)
    }
}
