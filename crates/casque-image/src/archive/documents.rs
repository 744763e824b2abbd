//! The JSON of an image as it is written.

use std::collections::BTreeMap;

use casque_format::digest::Digest;

use super::blobs::Blob;
use super::{Compression, Image};
use crate::config::ImageName;
use crate::document::{
    CONFIG_TYPE, ConfigDocument, Descriptor, DockerImage, INDEX_TYPE, Index, LAYER_TYPE, LEFT_OUT,
    MANIFEST_TYPE, Manifest, NAME, Platform, REF_NAME,
};

/// The documents, ready to be written.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
    pub(super) index: Vec<u8>,
    pub(super) docker: Vec<u8>,
}

impl Documents {
    pub(super) fn new(image: &Image, blobs: &[Blob]) -> Self {
        let layers: Vec<_> =
            image.layers.iter().map(|layer| (layer.file.diff_id, layer.created_by.as_str())).collect();
        let config = json(&ConfigDocument::new(&image.config, &layers));
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            config: descriptor(CONFIG_TYPE, Digest::of(&config), config.len() as u64),
            layers: blobs.iter().map(layer_descriptor).collect(),
            annotations: image.annotations.clone(),
        });
        let platform = Platform { architecture: image.config.architecture.clone(), os: "linux".to_owned() };
        let left_out = blobs.iter().filter(|blob| blob.file.is_none()).count();
        // Podman takes a thin archive for an OCI layout alone, and wants one image to choose from.
        let names = if left_out > 0 { &image.names[..1] } else { &image.names };
        let named = |name: &ImageName| {
            let mut annotations = BTreeMap::from([
                (NAME.to_owned(), name.full()),
                (REF_NAME.to_owned(), name.tag().to_owned()),
            ]);
            if left_out > 0 {
                annotations.insert(LEFT_OUT.to_owned(), left_out.to_string());
            }
            Descriptor {
                platform: Some(platform.clone()),
                annotations,
                ..descriptor(MANIFEST_TYPE, Digest::of(&manifest), manifest.len() as u64)
            }
        };
        let index = json(&Index {
            schema_version: 2,
            media_type: INDEX_TYPE.to_owned(),
            manifests: names.iter().map(named).collect(),
        });
        let docker = json(&[DockerImage {
            config: blob_name(&Digest::of(&config)),
            repo_tags: Some(image.names.iter().map(ImageName::familiar).collect()),
            layers: blobs.iter().map(|blob| blob_name(&blob.digest)).collect(),
        }]);
        Self { config, manifest, index, docker }
    }

    pub(super) fn all(&self) -> [&[u8]; 4] {
        [&self.config, &self.manifest, &self.index, &self.docker]
    }
}

pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn layer_descriptor(blob: &Blob) -> Descriptor {
    descriptor(&format!("{LAYER_TYPE}{}", blob.compression.suffix()), blob.digest, blob.size)
}

impl Compression {
    /// Returns what a layer's media type ends with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => "+gzip",
            Self::Zstd => "+zstd",
        }
    }
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
