//! Image archives, written: one tar that is docker-archive and OCI layout at once.
//!
//! `manifest.json` points at the blobs of the OCI layout, so engines of every age read the same
//! bytes. Nothing in it is compressed: Docker before 23 refuses zstd around or inside an archive,
//! and plain layers let two releases share what did not change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use casque_format::digest::{Digest, Hasher};
use fs_err::File;
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::config::{ImageConfig, ImageName};
use crate::document::{
    CONFIG_TYPE, ConfigDocument, Descriptor, DockerImage, INDEX_TYPE, Index, LAYER_TYPE, LAYOUT,
    MANIFEST_TYPE, Manifest, Platform,
};
use crate::layer::{LayerFile, persist};
use crate::node::{Kind, Node};
use crate::read::Hashed;
use crate::tar_writer::TarWriter;

/// An image about to be written.
#[derive(Debug, Clone)]
pub struct Image {
    /// What it says about itself.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// Its names, at least one.
    pub names: Vec<ImageName>,
}

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct ImageLayer {
    /// The layer.
    pub file: LayerFile,
    /// What made it, for `docker history`.
    pub created_by: String,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What engines call the image's id: the digest of its configuration.
    pub image_id: Digest,
    /// The digest of its OCI manifest.
    pub manifest: Digest,
    /// Length of the archive.
    pub size: u64,
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
    /// The archive cannot be written, a full disk for example.
    #[error("cannot write archive `{}`", path.display())]
    Write {
        /// The archive.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// Writes `image` to `path`, all of it or nothing.
pub fn write_archive(image: &Image, path: &Path) -> Result<Written, ArchiveError> {
    let refuse = |source| ArchiveError::Write { path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = directory.unwrap_or(Path::new("."));
    let temporary = NamedTempFile::new_in(directory).map_err(refuse)?;
    let mut out = BufWriter::with_capacity(1 << 16, temporary);
    let documents = Documents::new(image);
    documents.write(image, &mut out).map_err(|failure| match failure {
        Failure::Write(source) => refuse(source),
        Failure::Layer(error) => error,
    })?;
    let temporary = out.into_inner().map_err(|error| refuse(error.into_error()))?;
    let size = temporary.as_file().metadata().map_err(refuse)?.len();
    persist(temporary, path).map_err(refuse)?;
    Ok(Written { image_id: Digest::of(&documents.config), manifest: Digest::of(&documents.manifest), size })
}

/// The JSON of an archive, ready to be written.
struct Documents {
    config: Vec<u8>,
    manifest: Vec<u8>,
    index: Vec<u8>,
    docker: Vec<u8>,
    created: u64,
}

enum Failure {
    Write(io::Error),
    Layer(ArchiveError),
}

impl Documents {
    fn new(image: &Image) -> Self {
        let layers: Vec<_> =
            image.layers.iter().map(|layer| (layer.file.diff_id, layer.created_by.as_str())).collect();
        let config = json(&ConfigDocument::new(&image.config, &layers));
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            config: descriptor(CONFIG_TYPE, Digest::of(&config), config.len() as u64),
            layers: image
                .layers
                .iter()
                .map(|layer| descriptor(LAYER_TYPE, layer.file.diff_id, layer.file.size))
                .collect(),
        });
        let platform = Platform { architecture: image.config.architecture.clone(), os: "linux".to_owned() };
        let named = |name: &ImageName| Descriptor {
            platform: Some(platform.clone()),
            annotations: BTreeMap::from([
                ("io.containerd.image.name".to_owned(), name.full()),
                ("org.opencontainers.image.ref.name".to_owned(), name.tag().to_owned()),
            ]),
            ..descriptor(MANIFEST_TYPE, Digest::of(&manifest), manifest.len() as u64)
        };
        let index = json(&Index {
            schema_version: 2,
            media_type: INDEX_TYPE.to_owned(),
            manifests: image.names.iter().map(named).collect(),
        });
        let docker = json(&[DockerImage {
            config: blob_name(&Digest::of(&config)),
            repo_tags: Some(image.names.iter().map(ImageName::familiar).collect()),
            layers: image.layers.iter().map(|layer| blob_name(&layer.file.diff_id)).collect(),
        }]);
        Self { config, manifest, index, docker, created: image.config.created }
    }

    /// Writes what is read first at the front: a reader of the first kilobytes knows the image.
    fn write(&self, image: &Image, out: impl Write) -> Result<(), Failure> {
        let mut tar = TarWriter::new(out);
        for (name, content) in
            [("oci-layout", LAYOUT.as_bytes()), ("index.json", &self.index), ("manifest.json", &self.docker)]
        {
            self.file(&mut tar, name, content.len() as u64, content)?;
        }
        for name in ["blobs", "blobs/sha256"] {
            let node = self.node(Kind::Directory);
            tar.append(Path::new(name), &node, &mut io::empty()).map_err(Failure::Write)?;
        }
        for content in [&self.manifest, &self.config] {
            let name = blob_name(&Digest::of(content));
            self.file(&mut tar, &name, content.len() as u64, &content[..])?;
        }
        let mut written = BTreeSet::new();
        for layer in image.layers.iter().map(|layer| &layer.file) {
            if written.insert(layer.diff_id) {
                self.layer(&mut tar, layer)?;
            }
        }
        tar.finish().map_err(Failure::Write)?;
        Ok(())
    }

    fn layer(&self, tar: &mut TarWriter<impl Write>, layer: &LayerFile) -> Result<(), Failure> {
        let damaged = || Failure::Layer(ArchiveError::DamagedLayer { path: layer.path.clone() });
        let file = File::open(&layer.path).map_err(|error| Failure::Layer(ArchiveError::Layer(error)))?;
        let length = file.metadata().map_err(|error| Failure::Layer(ArchiveError::Layer(error)))?.len();
        if length != layer.size {
            return Err(damaged());
        }
        let mut content = Hashed { inner: file, hasher: Hasher::default() };
        self.file(tar, &blob_name(&layer.diff_id), layer.size, &mut content)?;
        if content.hasher.finish() != layer.diff_id {
            return Err(damaged());
        }
        Ok(())
    }

    fn file(
        &self,
        tar: &mut TarWriter<impl Write>,
        name: &str,
        size: u64,
        mut content: impl Read,
    ) -> Result<(), Failure> {
        let node = self.node(Kind::File { size });
        tar.append(Path::new(name), &node, &mut content).map_err(Failure::Write)
    }

    fn node(&self, kind: Kind) -> Node {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        Node { kind, mode, uid: 0, gid: 0, mtime: self.created, xattrs: BTreeMap::new() }
    }
}

pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.oci(),
        size,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("the documents are plain text, lists and maps")
}
