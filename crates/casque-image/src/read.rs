//! Image archives, read: docker-archive or OCI layout, in a tar or in a directory.

use std::io::{self, Read, Write};
use std::path::Path;

use casque_format::digest::{Digest, Hasher};
use serde::de::DeserializeOwned;

use crate::archive::Compression;
use crate::config::ImageConfig;
use crate::document::{
    ConfigDocument, Descriptor, DockerImage, Index, LEFT_OUT, MANIFEST_TYPE, Manifest, NAME, REF_NAME,
};
use crate::layer_reader::{LayerEntry, Plain, Stop, stream};
use crate::source::{Section, Source};
use crate::tree::Tree;

mod error;

pub use error::ReadError;

/// The only kind of machine so far.
pub const PLATFORM: &str = "linux/amd64";

/// No document of an image is larger.
const DOCUMENT_LIMIT: u64 = 16 << 20;

/// An image in an archive. Its documents are checked when it is opened, its layers when they are
/// unpacked, or all at once by [`Archive::verify`].
#[derive(Debug)]
pub struct Archive {
    source: Source,
    config: ImageConfig,
    /// Operating system and architecture, such as `linux/amd64`.
    platform: String,
    image_id: Digest,
    names: Vec<String>,
    layers: Vec<ReadLayer>,
}

/// A layer of an image in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLayer {
    /// The digest of its uncompressed bytes.
    pub diff_id: Digest,
    /// The digest of its bytes as they are in the archive.
    pub blob: Digest,
    /// How many bytes it takes in the archive, or would if it were there.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// A thin archive: whoever loads it has this layer.
    pub left_out: bool,
    /// What made it, where the image tells.
    pub created_by: Option<String>,
    member: String,
}

/// What a manifest says about the layers of an image.
#[derive(Debug, Default)]
struct Described {
    layers: Vec<Descriptor>,
    /// So many of the lowest need not be there.
    left_out: usize,
}

impl Archive {
    /// Opens an archive or a directory, and checks the documents that describe its image.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let source = Source::open(path)?;
        if source.has("manifest.json") {
            Self::open_docker(source)
        } else if source.has("index.json") {
            Self::open_oci(source)
        } else {
            Err(ReadError::NotAnImage { archive: path.to_owned() })
        }
    }

    fn open_docker(source: Source) -> Result<Self, ReadError> {
        let images: Vec<DockerImage> = parse(&source, "manifest.json")?;
        let [image] = <[DockerImage; 1]>::try_from(images).map_err(|images| {
            let name = |image: &DockerImage| {
                let tags = image.repo_tags.iter().flatten();
                tags.chain([&image.config]).next().cloned().unwrap_or_default()
            };
            ReadError::Several {
                archive: source.path().to_owned(),
                images: images.iter().map(name).collect(),
            }
        })?;
        // Both layouts name a configuration after its digest: `blobs/sha256/HEX` and `HEX.json`.
        let name = image.config.strip_suffix(".json").unwrap_or(&image.config);
        let expected = name.rsplit('/').next().and_then(|hex| hex.parse::<Digest>().ok());
        let described = match source.has("index.json") {
            // Of an archive that is both, the OCI documents say more; they may be of another image.
            true => find_oci(&source).map(|found| found.described).unwrap_or_default(),
            false => Described::default(),
        };
        let parts = Parts { names: image.repo_tags.unwrap_or_default(), members: image.layers, described };
        Self::assemble(source, &image.config, expected, parts)
    }

    fn open_oci(source: Source) -> Result<Self, ReadError> {
        let found = find_oci(&source)?;
        let (config, expected) = blob(&source, &found.config.digest)?;
        let layers = found.described.layers.iter();
        let members: Result<_, ReadError> = layers.map(|layer| Ok(blob(&source, &layer.digest)?.0)).collect();
        let parts = Parts { names: found.names, members: members?, described: found.described };
        Self::assemble(source, &config, Some(expected), parts)
    }

    fn assemble(
        source: Source,
        config: &str,
        expected: Option<Digest>,
        parts: Parts,
    ) -> Result<Self, ReadError> {
        let bytes = source.read(config, DOCUMENT_LIMIT)?;
        let image_id = Digest::of(&bytes);
        if expected.is_some_and(|expected| expected != image_id) {
            return Err(damaged(&source, config));
        }
        let document: ConfigDocument = decode(&source, config, &bytes)?;
        let diff_ids = &document.rootfs.diff_ids;
        if diff_ids.len() != parts.members.len() {
            return Err(damaged(&source, config));
        }
        let mut layers = Vec::new();
        let described = &parts.described;
        for (index, (member, diff_id)) in parts.members.into_iter().zip(diff_ids).enumerate() {
            let diff_id = Digest::from_oci(diff_id)
                .map_err(|error| source.unreadable(config, io::Error::other(error)))?;
            let descriptor = described.layers.get(index).filter(|layer| member.ends_with(hex(&layer.digest)));
            if let Some(why) = descriptor.and_then(|layer| refused(&layer.media_type)) {
                let media_type = described.layers[index].media_type.clone();
                let (archive, layer) = (source.path().to_owned(), diff_id.oci());
                return Err(ReadError::LayerType { archive, layer, media_type, why });
            }
            let blob = descriptor.and_then(|layer| Digest::from_oci(&layer.digest).ok()).unwrap_or(diff_id);
            let left_out = index < described.left_out && !source.has(&member);
            let (size, compression) = match (left_out, descriptor) {
                (true, Some(layer)) => (layer.size, compression_of(&layer.media_type)),
                (true, None) => (0, Compression::None),
                (false, _) => {
                    let mut section = source.section(&member)?;
                    let compression = compression(&mut section);
                    (section.length(), compression.map_err(|error| source.unreadable(&member, error))?)
                }
            };
            layers.push(ReadLayer { diff_id, blob, size, compression, left_out, created_by: None, member });
        }
        for (layer, created_by) in layers.iter_mut().zip(document.created_by()) {
            layer.created_by = created_by;
        }
        let platform = platform(&document.os, &document.architecture);
        Ok(Self { config: document.to_config(), platform, source, image_id, names: parts.names, layers })
    }

    /// Reads a document beside the image that describes the archive; `None` when there is none of this name.
    pub fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        match self.source.has(name) {
            true => self.source.read(name, DOCUMENT_LIMIT).map(Some),
            false => Ok(None),
        }
    }

    /// Returns which operating system and architecture the image is for, such as [`PLATFORM`].
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// Returns what the image says about itself.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Returns what engines call the image's id.
    pub fn image_id(&self) -> Digest {
        self.image_id
    }

    /// Returns the image's names as they are written in the archive.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the layers, lowest first.
    pub fn layers(&self) -> &[ReadLayer] {
        &self.layers
    }

    /// Returns how many layers a thin archive leaves to those who load it.
    pub fn left_out(&self) -> usize {
        self.layers.iter().filter(|layer| layer.left_out).count()
    }

    /// Refuses a thin archive, for what needs every layer.
    pub fn require_whole(&self) -> Result<(), ReadError> {
        match self.left_out() {
            0 => Ok(()),
            layers => Err(ReadError::Thin { archive: self.source.path().to_owned(), layers }),
        }
    }

    /// Returns the digests that what is in the archive is named by, sorted. That they are right, [`Archive::verify`] says.
    pub fn blobs(&self) -> Result<Vec<Digest>, ReadError> {
        let members = self.source.blobs()?;
        let names = members.iter().filter_map(|member| member.rsplit('/').next());
        let mut digests: Vec<Digest> = names.filter_map(|name| name.parse().ok()).collect();
        digests.sort_unstable();
        Ok(digests)
    }

    /// Reads everything that is there and compares it with the recorded digests.
    pub fn verify(&self) -> Result<(), ReadError> {
        let mut checked = Vec::new();
        for member in self.source.blobs()? {
            let name = member.rsplit('/').next().unwrap_or_default();
            let Ok(expected) = name.parse::<Digest>() else { continue };
            self.check(&member, &mut self.source.section(&member)?, expected)?;
            checked.push(expected);
        }
        let unchecked = |layer: &&ReadLayer| !layer.left_out && !checked.contains(&layer.diff_id);
        for layer in self.layers.iter().filter(unchecked) {
            let mut plain = self.plain(layer)?.from(0).map_err(|error| self.unreadable(layer, error))?;
            self.check(&layer.member, &mut plain, layer.diff_id)?;
        }
        Ok(())
    }

    /// Reads a layer as it is in the archive and compares it with the digest that its manifest has.
    pub(crate) fn verify_blob(&self, layer: &ReadLayer) -> Result<(), ReadError> {
        self.check(&layer.member, &mut self.source.section(&layer.member)?, layer.blob)
    }

    /// Says that a layer is not what its digest says.
    pub(crate) fn damaged(&self, layer: &ReadLayer) -> ReadError {
        damaged(&self.source, &layer.member)
    }

    /// Finds every entry of the image, upper layers hiding lower ones, without reading contents.
    pub fn tree(&self) -> Result<Tree<'_>, ReadError> {
        self.require_whole()?;
        Tree::new(self)
    }

    /// Finds every entry of the layers that are there.
    pub fn tree_of_present(&self) -> Result<Tree<'_>, ReadError> {
        Tree::new(self)
    }

    /// Reads one file of the image, following links inside it; `None` when there is no such file.
    ///
    /// For more than one file, [`Archive::tree`] is faster.
    pub fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
        self.tree()?.read(path, limit)
    }

    pub(crate) fn plain(&self, layer: &ReadLayer) -> Result<Plain, ReadError> {
        let section = self.source.section(&layer.member)?;
        Plain::open(section).map_err(|error| self.unreadable(layer, error))
    }

    /// Visits a layer's entries with their contents, and checks its digest at the end.
    pub(crate) fn stream_layer<E: From<ReadError>>(
        &self,
        layer: &ReadLayer,
        visit: impl FnMut(LayerEntry, &mut dyn Read) -> Result<(), Stop<E>>,
    ) -> Result<(), E> {
        let plain = self.plain(layer)?.from(0).map_err(|error| self.unreadable(layer, error))?;
        let mut reader = Hashed { inner: plain, hasher: Hasher::default() };
        match stream(&mut reader, visit) {
            Ok(()) => {}
            Err(Stop::Visitor(error)) => return Err(error),
            Err(Stop::Layer(error)) => return Err(self.unreadable(layer, error).into()),
        }
        if reader.hasher.finish() != layer.diff_id {
            return Err(damaged(&self.source, &layer.member).into());
        }
        Ok(())
    }

    pub(crate) fn unreadable(&self, layer: &ReadLayer, source: io::Error) -> ReadError {
        self.source.unreadable(&layer.member, source)
    }

    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    fn check(&self, member: &str, reader: &mut dyn Read, expected: Digest) -> Result<(), ReadError> {
        let mut reader = Hashed { inner: reader, hasher: Hasher::default() };
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(self.source.unreadable(member, error)),
            }
        }
        if reader.hasher.finish() != expected {
            return Err(damaged(&self.source, member));
        }
        Ok(())
    }
}

/// What the documents around a configuration say.
struct Parts {
    names: Vec<String>,
    members: Vec<String>,
    described: Described,
}

/// The one usable image of an OCI layout.
struct FoundOci {
    names: Vec<String>,
    config: Descriptor,
    described: Described,
}

/// Follows the index of an OCI layout to its image.
fn find_oci(source: &Source) -> Result<FoundOci, ReadError> {
    let mut index: Index = parse(source, "index.json")?;
    let mut names = Vec::new();
    let descriptor = loop {
        let archive = source.path().to_owned();
        let others = index.manifests.iter().filter_map(|other| other.platform.as_ref());
        // Attestations are for an unknown machine.
        let others = others.filter(|other| other.os != "unknown");
        let mut platforms: Vec<String> =
            others.map(|other| platform(&other.os, &other.architecture)).collect();
        let mut images: Vec<Descriptor> = index.manifests.into_iter().filter(is_usable).collect();
        if images.is_empty() && !platforms.is_empty() {
            platforms.sort();
            platforms.dedup();
            return Err(ReadError::OtherPlatforms { archive, platforms, wanted: PLATFORM });
        }
        images.sort_by(|one, other| one.digest.cmp(&other.digest));
        for name in images.iter().filter_map(name) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let listed = images.iter().map(|image| name(image).unwrap_or(&image.digest).clone()).collect();
        images.dedup_by(|one, other| one.digest == other.digest);
        let [image] = <[Descriptor; 1]>::try_from(images)
            .map_err(|_| ReadError::Several { archive, images: listed })?;
        if image.media_type.is_empty()
            || image.media_type == MANIFEST_TYPE
            || image.media_type.ends_with("manifest.v2+json")
        {
            break image;
        }
        let (member, expected) = blob(source, &image.digest)?;
        index = parse_checked(source, &member, expected)?;
    };
    let (member, expected) = blob(source, &descriptor.digest)?;
    let manifest: Manifest = parse_checked(source, &member, expected)?;
    let left_out = descriptor.annotations.get(LEFT_OUT).and_then(|count| count.parse().ok()).unwrap_or(0);
    let described = Described { layers: manifest.layers, left_out };
    Ok(FoundOci { names, config: manifest.config, described })
}

/// Learns the digest of what is read or written.
pub(crate) struct Hashed<R> {
    pub(crate) inner: R,
    pub(crate) hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Returns whether a manifest could be the image: attestations are not, nor other machines' images.
fn is_usable(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_none_or(|found| platform(&found.os, &found.architecture) == PLATFORM)
}

fn platform(os: &str, architecture: &str) -> String {
    format!("{os}/{architecture}")
}

/// Says why a layer of this type cannot be read; an absent type is one of Docker's archives.
fn refused(media_type: &str) -> Option<&'static str> {
    let kinds = [".tar", ".tar+gzip", ".tar+zstd", ".tar.gzip", ".tar.zstd"];
    if media_type.ends_with("+encrypted") {
        return Some("which only whoever has its key can read");
    }
    let known = media_type.is_empty() || kinds.iter().any(|kind| media_type.ends_with(kind));
    (!known).then_some("and only tars, plain or compressed with gzip or zstd, can be read")
}

fn name(descriptor: &Descriptor) -> Option<&String> {
    let annotations = &descriptor.annotations;
    annotations.get(NAME).or_else(|| annotations.get(REF_NAME))
}

/// Returns the digits of a digest in OCI's form.
fn hex(digest: &str) -> &str {
    digest.rsplit(':').next().unwrap_or(digest)
}

/// Finds out how a layer is compressed, by how it begins.
fn compression(section: &mut Section) -> io::Result<Compression> {
    let mut magic = Vec::new();
    section.take(4).read_to_end(&mut magic)?;
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::None,
    })
}

/// Finds out how a layer is compressed that is not there.
fn compression_of(media_type: &str) -> Compression {
    match media_type.rsplit(['+', '.']).next() {
        Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        _ => Compression::None,
    }
}

fn blob(source: &Source, digest: &str) -> Result<(String, Digest), ReadError> {
    let digest =
        Digest::from_oci(digest).map_err(|error| source.unreadable("index.json", io::Error::other(error)))?;
    Ok((crate::archive::blob_name(&digest), digest))
}

fn parse<T: DeserializeOwned>(source: &Source, member: &str) -> Result<T, ReadError> {
    decode(source, member, &source.read(member, DOCUMENT_LIMIT)?)
}

fn parse_checked<T: DeserializeOwned>(
    source: &Source,
    member: &str,
    expected: Digest,
) -> Result<T, ReadError> {
    let bytes = source.read(member, DOCUMENT_LIMIT)?;
    if Digest::of(&bytes) != expected {
        return Err(damaged(source, member));
    }
    decode(source, member, &bytes)
}

fn decode<T: DeserializeOwned>(source: &Source, member: &str, bytes: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(|error| source.unreadable(member, error.into()))
}

fn damaged(source: &Source, member: &str) -> ReadError {
    ReadError::Damaged { archive: source.path().to_owned(), member: member.to_owned() }
}
