//! The layers of an image as the blobs that are written: checked or compressed before, each once, in parallel.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use casque_format::digest::{Digest, Hasher};
use flate2::GzBuilder;
use fs_err::File;
use tempfile::NamedTempFile;

use super::{ArchiveError, Compression, Image, Memory, Older};
use crate::facts::Facts;
use crate::layer::LayerFile;
use crate::read::Hashed;

/// How hard gzip and zstd try. With them, and the versions in `Cargo.lock`, a layer always gives the same blob.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 6;

/// A layer as it is written.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    /// The digest of its bytes, compressed as they may be.
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) compression: Compression,
    /// Where they are; none when they are left out.
    pub(super) file: Option<Checked>,
}

/// A file that has the content its digest says for as long as it has these facts.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) path: PathBuf,
    facts: Facts,
}

impl Checked {
    /// Appends the content to `out` without looking at it: the kernel copies it, or shares it where it can.
    pub(super) fn copy_to(&self, out: &mut std::fs::File) -> Result<(), Copying> {
        let layer = |error| Copying::Layer(ArchiveError::Layer(error));
        let file = File::open(&self.path).map_err(layer)?;
        let unchanged = || Ok::<_, Copying>(Facts::of(&file).map_err(layer)? == self.facts);
        // With std's own files, `copy` is copy_file_range.
        let copied = match unchanged()? {
            true => io::copy(&mut file.file().take(self.facts.size), out).map_err(Copying::Write)?,
            false => 0,
        };
        if copied == self.facts.size && unchanged()? {
            return Ok(());
        }
        Err(Copying::Layer(ArchiveError::DamagedLayer { path: self.path.clone() }))
    }
}

/// What ends the copying of a blob.
#[derive(Debug)]
pub(super) enum Copying {
    Write(io::Error),
    Layer(ArchiveError),
}

impl From<io::Error> for Copying {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Makes the blobs of an image, lowest first. The layers that `older` begins with as well are left out.
pub(super) fn prepare(
    image: &Image,
    memory: &Memory,
    compression: Compression,
    older: Option<&Older>,
) -> Result<Vec<Blob>, ArchiveError> {
    let left_out = match older {
        Some(older) => older.common(&image.layers)?,
        None => Vec::new(),
    };
    let files: Vec<&LayerFile> = image.layers[left_out.len()..].iter().map(|layer| &layer.file).collect();
    let made = in_parallel(&files, |layer| blob(layer, memory, compression))?;
    Ok(left_out.into_iter().chain(made).collect())
}

/// Does `work` for each layer on every processor, the largest first.
fn in_parallel<T: Send>(
    layers: &[&LayerFile],
    work: impl Fn(&LayerFile) -> Result<T, ArchiveError> + Sync,
) -> Result<Vec<T>, ArchiveError> {
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(layers[*index].size));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let worker = || {
        while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(layers[*index]);
            if result.is_err() {
                next.store(order.len(), Ordering::Relaxed);
            }
            results.lock().expect("no worker panics with the lock").push((*index, result));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(layers.len());
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(worker);
        }
        worker();
    });
    let mut results = results.into_inner().expect("every worker has ended");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn blob(layer: &LayerFile, memory: &Memory, compression: Compression) -> Result<Blob, ArchiveError> {
    match compression {
        Compression::None => {
            let file = check(layer, memory)?;
            Ok(Blob { digest: layer.diff_id, size: layer.size, compression, file: Some(file) })
        }
        Compression::Gzip | Compression::Zstd => {
            let path = memory.compressed(layer, compression);
            let known = Facts::at(&path).map_err(ArchiveError::Layer)?;
            let known = known.and_then(|facts| Some((facts, memory.known.recall(&name(&path), &facts)?)));
            let (facts, digest) = match known {
                Some(known) => known,
                None => compress(layer, memory, &path, compression)?,
            };
            let file = Some(Checked { path, facts });
            Ok(Blob { digest, size: facts.size, compression, file })
        }
    }
}

/// Makes sure that a layer's file has the bytes of its digest, which is known when nobody touched it since the last time.
fn check(layer: &LayerFile, memory: &Memory) -> Result<Checked, ArchiveError> {
    let file = File::open(&layer.path).map_err(ArchiveError::Layer)?;
    let facts = Facts::of(&file).map_err(ArchiveError::Layer)?;
    let name = layer.diff_id.to_string();
    if memory.known.recall(&name, &facts) != Some(layer.diff_id) {
        let mut content = Hashed { inner: &file, hasher: Hasher::default() };
        io::copy(&mut BufReader::with_capacity(1 << 17, &mut content), &mut io::sink())
            .map_err(ArchiveError::Layer)?;
        if content.hasher.finish() != layer.diff_id || facts.size != layer.size {
            return Err(ArchiveError::DamagedLayer { path: layer.path.clone() });
        }
        memory.remember(&name, facts, layer.diff_id)?;
    }
    Ok(Checked { path: layer.path.clone(), facts })
}

/// Compresses a layer into `path` and makes sure of its content on the way.
fn compress(
    layer: &LayerFile,
    memory: &Memory,
    path: &Path,
    compression: Compression,
) -> Result<(Facts, Digest), ArchiveError> {
    let refuse = |source| ArchiveError::Compress { path: path.to_owned(), source };
    let file = File::open(&layer.path).map_err(ArchiveError::Layer)?;
    let mut content = Hashed { inner: file, hasher: Hasher::default() };
    let mut temporary = NamedTempFile::new_in(&memory.directory).map_err(refuse)?;
    let mut out = Hashed { inner: temporary.as_file_mut(), hasher: Hasher::default() };
    encode(compression, &mut content, layer.size, &mut out).map_err(refuse)?;
    let digest = out.hasher.finish();
    if content.hasher.finish() != layer.diff_id {
        return Err(ArchiveError::DamagedLayer { path: layer.path.clone() });
    }
    temporary.persist(path).map_err(|error| refuse(error.error))?;
    let facts = Facts::at(path).map_err(refuse)?.ok_or_else(|| refuse(io::ErrorKind::NotFound.into()))?;
    memory.remember(&name(path), facts, digest)?;
    Ok((facts, digest))
}

/// Returns what a compressed layer is remembered under: no digest is written like it.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Compresses `size` bytes. Neither a name nor a time goes along.
fn encode(
    compression: Compression,
    content: &mut impl Read,
    size: u64,
    out: &mut impl Write,
) -> io::Result<()> {
    match compression {
        Compression::None => io::copy(content, out).map(drop),
        Compression::Gzip => {
            let mut encoder = GzBuilder::new().write(out, flate2::Compression::new(GZIP_LEVEL));
            io::copy(content, &mut encoder)?;
            encoder.finish()?.flush()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
            encoder.set_pledged_src_size(Some(size))?;
            io::copy(content, &mut encoder)?;
            encoder.finish()?.flush()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that repeat as those of a real layer do, and no constant stretch.
    fn content() -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..300_000).map(|_| next() & 0x1f).collect()
    }

    /// When this fails after an update of a library, every compressed layer of every vendor changes once.
    #[test]
    fn a_layer_gives_the_compressed_bytes_it_always_gave() {
        let content = content();
        let digest = |compression| {
            let mut out = Vec::new();
            encode(compression, &mut &content[..], content.len() as u64, &mut out).unwrap();
            format!("{:.16} {}", Digest::of(&out).to_string(), out.len())
        };
        assert_eq!(
            [digest(Compression::Gzip), digest(Compression::Zstd)],
            ["872fc456ab627a4f 190619", "ade6c4f528b14682 187583"]
        );
    }
}
