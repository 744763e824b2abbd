//! An image as a directory in OCI layout, of which only what changed is written.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use casque_format::digest::{Digest, Hasher};
use fs_err::File;
use rustix::fs::{Mode, fchmod};
use tempfile::NamedTempFile;

use super::blobs::{Blob, Checked, Copying};
use super::documents::blob_name;
use super::{ArchiveError, Image, Prepared, Written};
use crate::config::ImageName;
use crate::document::{Index, LAYOUT, NAME};
use crate::facts::{Blobs, Facts, name_of};
use crate::read::Hashed;

/// No index of a directory that is ours is longer.
const LONGEST_INDEX: u64 = 1 << 20;

impl Prepared<'_> {
    /// Makes `directory` an OCI layout with this image and no other. Until the last rename it holds the one it held.
    pub fn write_directory(&self, directory: &Path) -> Result<Written, ArchiveError> {
        let refuse = |source| ArchiveError::Write { path: directory.to_owned(), source };
        adopt(self.image, directory)?;
        let name = name_of(directory).map_err(refuse)?;
        let before = self.memory.known.blobs(&name);
        let mut layout = Layout { directory, before: &before, now: Blobs::default(), kept: true };
        fs_err::create_dir_all(directory.join("blobs/sha256")).map_err(refuse)?;
        layout.document("oci-layout", LAYOUT.as_bytes()).map_err(refuse)?;
        for content in [&self.documents.manifest, &self.documents.config] {
            layout.blob(&Digest::of(content), content.len() as u64, |out| {
                out.write_all(content).map_err(Copying::Write)
            })?;
        }
        for (blob, file) in self.blobs.iter().filter_map(with_file) {
            layout.blob(&blob.digest, blob.size, |out| file.copy_to(out))?;
        }
        layout.document("index.json", &self.documents.index).map_err(refuse)?;
        layout.sweep(&self.blobs).map_err(refuse)?;
        let Layout { now, kept, .. } = layout;
        let size = now.blobs.values().map(|facts| facts.size).sum();
        if now != before {
            self.memory.known.remember_blobs(&name, directory, now).map_err(refuse)?;
        }
        Ok(self.written(size, kept))
    }
}

fn with_file(blob: &Blob) -> Option<(&Blob, &Checked)> {
    blob.file.as_ref().map(|file| (blob, file))
}

/// Makes sure that the directory is nobody else's: missing, empty, or a layout with the same image in some version.
fn adopt(image: &Image, directory: &Path) -> Result<(), ArchiveError> {
    let refuse = |source| ArchiveError::Write { path: directory.to_owned(), source };
    match fs_err::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(ArchiveError::NotALayout { path: directory.to_owned() });
        }
        Err(error) => return Err(refuse(error)),
        Ok(mut entries) => {
            if entries.next().is_none() {
                return Ok(());
            }
        }
    }
    if !directory.join("oci-layout").is_file() {
        return Err(ArchiveError::NotALayout { path: directory.to_owned() });
    }
    let path = directory.join("index.json");
    let index = match fs_err::metadata(&path) {
        // A first build may have ended here.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if metadata.len() <= LONGEST_INDEX => fs_err::read(&path).map_err(refuse)?,
        Ok(_) => Vec::new(),
        Err(error) => return Err(refuse(error)),
    };
    let Ok(index) = serde_json::from_slice::<Index>(&index) else {
        return Err(ArchiveError::NotALayout { path: directory.to_owned() });
    };
    for descriptor in index.manifests {
        let other = descriptor.annotations.get(NAME).cloned().unwrap_or(descriptor.digest);
        let same = |name: &ImageName| other.parse().is_ok_and(|other: ImageName| name.is_version_of(&other));
        if !image.names.iter().any(same) {
            return Err(ArchiveError::OtherImage { path: directory.to_owned(), image: other });
        }
    }
    Ok(())
}

struct Layout<'a> {
    directory: &'a Path,
    /// The blobs that the last build left here.
    before: &'a Blobs,
    now: Blobs,
    /// Nothing had to be written.
    kept: bool,
}

impl Layout<'_> {
    /// Makes sure that the blob is there and whole.
    fn blob(
        &mut self,
        digest: &Digest,
        size: u64,
        fill: impl FnOnce(&mut std::fs::File) -> Result<(), Copying>,
    ) -> Result<(), ArchiveError> {
        let path = self.directory.join(blob_name(digest));
        let refuse = |source| ArchiveError::Write { path: path.clone(), source };
        let facts = match Facts::at(&path).map_err(refuse)? {
            Some(facts) if self.before.blobs.get(&digest.to_string()) == Some(&facts) => facts,
            Some(facts) if facts.size == size && has_digest(&path, digest).map_err(refuse)? => facts,
            _ => {
                self.kept = false;
                write(&path, fill).map_err(|failure| match failure {
                    Copying::Write(source) => refuse(source),
                    Copying::Layer(error) => error,
                })?;
                let facts = Facts::at(&path).map_err(refuse)?;
                facts.ok_or_else(|| refuse(io::ErrorKind::NotFound.into()))?
            }
        };
        self.now.blobs.insert(digest.to_string(), facts);
        Ok(())
    }

    fn document(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.directory.join(name);
        let length = Facts::at(&path)?.map(|facts| facts.size);
        if length == Some(content.len() as u64) && fs_err::read(&path)? == content {
            return Ok(());
        }
        self.kept = false;
        write(&path, |out| out.write_all(content))
    }

    /// Removes what the last build wrote and the image no longer has.
    fn sweep(&self, wanted: &[Blob]) -> io::Result<()> {
        for (name, facts) in &self.before.blobs {
            let Ok(digest) = name.parse::<Digest>() else { continue };
            if wanted.iter().any(|blob| blob.digest == digest) {
                continue;
            }
            let path: PathBuf = self.directory.join(blob_name(&digest));
            if !self.now.blobs.contains_key(name) && Facts::at(&path)?.as_ref() == Some(facts) {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn has_digest(path: &Path, digest: &Digest) -> io::Result<bool> {
    let mut content = Hashed { inner: File::open(path)?, hasher: Hasher::default() };
    let mut buffer = io::BufReader::with_capacity(1 << 17, &mut content);
    io::copy(&mut buffer, &mut io::sink())?;
    Ok(content.hasher.finish() == *digest)
}

/// Writes a file, all of it or nothing.
fn write<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut std::fs::File) -> Result<(), E>,
) -> Result<(), E> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = NamedTempFile::new_in(directory)?;
    fill(temporary.as_file_mut())?;
    fchmod(temporary.as_file(), Mode::from_raw_mode(0o644)).map_err(io::Error::from)?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}
