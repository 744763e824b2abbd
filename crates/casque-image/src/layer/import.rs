//! Layers of an image that somebody else made, kept as they are.

use std::io::{Read, Write};

use casque_format::digest::Hasher;
use tempfile::NamedTempFile;
use thiserror::Error;

use super::{LayerError, LayerFile, LayerStore, persist};
use crate::read::{Archive, ReadError, ReadLayer};

/// Why a layer could not be taken over.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The archive is at fault.
    #[error(transparent)]
    Archive(#[from] ReadError),
    /// The store is.
    #[error(transparent)]
    Store(#[from] LayerError),
}

impl LayerStore {
    /// Takes over a layer of `archive`, byte for byte but for its compression; both of its digests are checked.
    ///
    /// # Errors
    /// A layer that is not what its digests say, or cannot be read or written.
    pub fn import(&self, archive: &Archive, layer: &ReadLayer) -> Result<LayerFile, ImportError> {
        if let Some(known) = self.get(&layer.diff_id)? {
            return Ok(known);
        }
        if layer.blob != layer.diff_id {
            archive.verify_blob(layer)?;
        }
        let refuse = |source| LayerError::Write { directory: self.directory.clone(), source };
        let mut content = archive.plain(layer)?.from(0).map_err(|error| archive.unreadable(layer, error))?;
        let mut file = NamedTempFile::new_in(&self.directory).map_err(refuse)?;
        let mut hasher = Hasher::default();
        let mut size = 0;
        let mut buffer = vec![0; 1 << 17];
        loop {
            let read = content.read(&mut buffer).map_err(|error| archive.unreadable(layer, error))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            file.write_all(&buffer[..read]).map_err(refuse)?;
            size += read as u64;
        }
        if hasher.finish() != layer.diff_id {
            return Err(archive.damaged(layer).into());
        }
        let path = self.directory.join(layer.diff_id.to_string());
        persist(file, &path).map_err(refuse)?;
        Ok(LayerFile { path, diff_id: layer.diff_id, size })
    }
}
