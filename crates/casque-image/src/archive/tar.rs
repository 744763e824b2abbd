//! An image as one tar: docker-archive and OCI layout at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use casque_format::digest::{Digest, Hasher};
use rustix::fs::{Mode, fchmod};
use tempfile::NamedTempFile;

use super::blobs::{Blob, Checked, Copying};
use super::documents::blob_name;
use super::{ArchiveError, Prepared, Written};
use crate::document::LAYOUT;
use crate::facts::{Facts, name_of};
use crate::node::{Kind, Node};
use crate::tar_writer::TarWriter;

/// A change in how the tar is put together must change it.
const GENERATION: u64 = 1;

type Out<'a> = BufWriter<&'a mut std::fs::File>;

impl Prepared<'_> {
    /// Writes the image to `path`, all of it or nothing. What is there already and unchanged is left alone.
    pub fn write_tar(&self, path: &Path) -> Result<Written, ArchiveError> {
        let refuse = |source| ArchiveError::Write { path: path.to_owned(), source };
        let name = name_of(path).map_err(refuse)?;
        let recipe = self.recipe();
        if let Some(facts) = Facts::at(path).map_err(refuse)?
            && self.memory.known.recall(&name, &facts) == Some(recipe)
        {
            return Ok(self.written(facts.size, true));
        }
        let directory = path.parent().filter(|parent| *parent != Path::new(""));
        let directory = directory.unwrap_or(Path::new("."));
        let mut temporary = NamedTempFile::new_in(directory).map_err(refuse)?;
        let out = BufWriter::new(temporary.as_file_mut());
        self.put_together(out).map_err(|failure| match failure {
            Copying::Write(source) => refuse(source),
            Copying::Layer(error) => error,
        })?;
        fchmod(temporary.as_file(), Mode::from_raw_mode(0o644)).map_err(|error| refuse(error.into()))?;
        let facts = Facts::from(&temporary.as_file().metadata().map_err(refuse)?);
        // Not synced, which would take longer than all the rest: after a power failure, the facts of a file that was
        // not whole on the disk are others, and the next build writes it again.
        temporary.persist(path).map_err(|error| refuse(error.error))?;
        if let Some(renamed) = Facts::at(path).map_err(refuse)?
            && renamed.is_renamed(&facts)
        {
            self.memory.known.remember(&name, directory, renamed, recipe).map_err(refuse)?;
        }
        Ok(self.written(facts.size, false))
    }

    /// Returns the digest of everything that decides over the tar's bytes.
    fn recipe(&self) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(&GENERATION.to_be_bytes());
        hasher.update(&self.created.to_be_bytes());
        // The documents name all blobs, and how many are left out.
        for document in self.documents.all() {
            hasher.update(&(document.len() as u64).to_be_bytes());
            hasher.update(document);
        }
        hasher.finish()
    }

    /// Puts what is read first at the front: a reader of the first kilobytes knows the image.
    fn put_together(&self, out: Out<'_>) -> Result<(), Copying> {
        let mut tar = TarWriter::new(out);
        let documents = &self.documents;
        for (name, content) in [
            ("oci-layout", LAYOUT.as_bytes()),
            ("index.json", &documents.index),
            ("manifest.json", &documents.docker),
        ] {
            self.document(&mut tar, name, content)?;
        }
        for name in ["blobs", "blobs/sha256"] {
            let node = self.node(Kind::Directory);
            tar.append(Path::new(name), &node, &mut io::empty()).map_err(Copying::Write)?;
        }
        for content in [&documents.manifest, &documents.config] {
            self.document(&mut tar, &blob_name(&Digest::of(content)), content)?;
        }
        let mut written = BTreeSet::new();
        for blob in &self.blobs {
            if let Some(file) = &blob.file
                && written.insert(blob.digest)
            {
                self.blob(&mut tar, blob, file)?;
            }
        }
        tar.finish().map(drop).map_err(Copying::Write)
    }

    fn document(&self, tar: &mut TarWriter<Out<'_>>, name: &str, mut content: &[u8]) -> Result<(), Copying> {
        let node = self.node(Kind::File { size: content.len() as u64 });
        tar.append(Path::new(name), &node, &mut content).map_err(Copying::Write)
    }

    fn blob(&self, tar: &mut TarWriter<Out<'_>>, blob: &Blob, file: &Checked) -> Result<(), Copying> {
        let name = blob_name(&blob.digest);
        let out = tar.begin(Path::new(&name), &self.node(Kind::File { size: blob.size }));
        let out = out.map_err(Copying::Write)?;
        out.flush().map_err(Copying::Write)?;
        file.copy_to(out.get_mut())?;
        tar.pad(blob.size).map_err(Copying::Write)
    }

    fn node(&self, kind: Kind) -> Node {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        Node { kind, mode, uid: 0, gid: 0, mtime: self.created, xattrs: BTreeMap::new() }
    }
}
