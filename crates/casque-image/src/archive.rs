//! Image archives, written: one tar that is docker-archive and OCI layout at once, or a directory in OCI layout.
//!
//! `manifest.json` points at the blobs of the OCI layout, so engines of every age read the same
//! bytes. The tar is never compressed, since Docker before 23 refuses zstd around an archive. Neither are its layers
//! unless that is asked for: plain ones let two releases share what did not change.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use casque_format::digest::Digest;
use thiserror::Error;

use crate::config::{ImageConfig, ImageName};
use crate::facts::{Facts, Known};
use crate::layer::LayerFile;

mod blobs;
mod directory;
mod documents;
mod members;
mod older;
mod tar;

use blobs::Blob;
use documents::Documents;
pub(crate) use documents::blob_name;
pub use members::{ListedMember, Members};
pub use older::Older;

/// An image about to be written.
#[derive(Debug, Clone)]
pub struct Image {
    /// What it says about itself.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// Its names, at least one.
    pub names: Vec<ImageName>,
    /// Facts about its manifest, for registries and their tools.
    pub annotations: BTreeMap<String, String>,
}

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct ImageLayer {
    /// The layer.
    pub file: LayerFile,
    /// What made it, for `docker history`.
    pub created_by: String,
}

/// How layers are written. The image's id and its `diff_ids` are the same with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Plain tars.
    #[default]
    None,
    /// Read by every engine.
    Gzip,
    /// Smaller and faster; Docker before 23 cannot read it.
    Zstd,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What engines call the image's id: the digest of its configuration.
    pub image_id: Digest,
    /// The digest of its OCI manifest.
    pub manifest: Digest,
    /// Length of the archive, or of the directory's blobs.
    pub size: u64,
    /// How many layers were left out.
    pub left_out: usize,
    /// How many bytes they would have taken.
    pub saved: u64,
    /// It was there already.
    pub kept: bool,
}

/// Why an archive could not be written.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// A layer could not be read; `fs_err` puts the path in the message.
    #[error(transparent)]
    Layer(io::Error),
    /// A layer's bytes are not what they were when it was written.
    #[error("layer `{}` is damaged: its content is not what its name says", path.display())]
    DamagedLayer {
        /// The layer file; once it is removed, a build makes it again.
        path: PathBuf,
    },
    /// A compressed layer cannot be written, for a full disk for example.
    #[error("cannot compress a layer into `{}`", path.display())]
    Compress {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The archive cannot be written, a full disk for example.
    #[error("cannot write archive `{}`", path.display())]
    Write {
        /// The archive.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A directory of something else.
    #[error("`{}` is there and is no directory in OCI layout", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A layout with an image that is not an earlier version of this one.
    #[error("directory `{}` holds another image, `{image}`", path.display())]
    OtherImage {
        /// The directory.
        path: PathBuf,
        /// That image.
        image: String,
    },
    /// A thin archive against an image that would spare nothing.
    #[error("`{}` has no layer that this image begins with", path.display())]
    NothingInCommon {
        /// The older archive.
        path: PathBuf,
    },
}

/// A directory of the cache with what earlier writings left: compressed layers, and what is known of files.
///
/// Several processes may use one; whatever is missing from it is made again.
#[derive(Debug)]
pub struct Memory {
    directory: PathBuf,
    known: Known,
}

impl Memory {
    /// Opens the memory in `directory`, which is made if it is missing.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        let known = Known::open(directory.join("known")).map_err(ArchiveError::Layer)?;
        Ok(Self { directory: directory.to_owned(), known })
    }

    fn compressed(&self, layer: &LayerFile, compression: Compression) -> PathBuf {
        let end = match compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        };
        self.directory.join(format!("{}{end}", layer.diff_id))
    }

    fn remember(&self, name: &str, facts: Facts, digest: Digest) -> Result<(), ArchiveError> {
        self.known.remember(name, &self.directory, facts, digest).map_err(ArchiveError::Layer)
    }
}

/// An image with its layers checked, ready to be written to any number of places.
#[derive(Debug)]
pub struct Prepared<'a> {
    image: &'a Image,
    memory: &'a Memory,
    blobs: Vec<Blob>,
    documents: Documents,
    created: u64,
}

impl<'a> Prepared<'a> {
    /// Checks the layers, compresses them if that is asked for, and leaves out those that `older` begins with as well.
    pub fn new(
        image: &'a Image,
        memory: &'a Memory,
        compression: Compression,
        older: Option<&Older>,
    ) -> Result<Self, ArchiveError> {
        let blobs = blobs::prepare(image, memory, compression, older)?;
        let documents = Documents::new(image, &blobs);
        Ok(Self { image, memory, blobs, documents, created: image.config.created })
    }

    /// Returns what engines call the image's id.
    pub fn image_id(&self) -> Digest {
        Digest::of(&self.documents.config)
    }

    fn written(&self, size: u64, kept: bool) -> Written {
        let left_out: Vec<&Blob> = self.blobs.iter().filter(|blob| blob.file.is_none()).collect();
        Written {
            image_id: self.image_id(),
            manifest: Digest::of(&self.documents.manifest),
            size,
            left_out: left_out.len(),
            saved: left_out.iter().map(|blob| blob.size).sum(),
            kept,
        }
    }
}
