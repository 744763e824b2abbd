//! Where a build puts its image, and in which form.

use std::path::{Path, PathBuf};

use casque_image::archive::{Compression, Image, Memory, Older, Prepared};
use serde::Serialize;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::event::Event;

/// A place for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One tar, docker-archive and OCI layout at once.
    Archive(PathBuf),
    /// A directory in OCI layout.
    Directory(PathBuf),
}

impl Target {
    /// Returns the file or directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Archive(path) | Self::Directory(path) => path,
        }
    }
}

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Where; the first is what a build reports the size of.
    pub targets: &'a [Target],
    /// How the layers are written.
    pub compression: Compression,
    /// An archive or directory whose layers whoever loads this one has.
    pub thin_against: Option<&'a Path>,
}

/// What was written to one place.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltOutput {
    /// The file or directory.
    pub path: PathBuf,
    /// Length of the archive, or of the directory's blobs.
    pub size: u64,
    /// How many of the lowest layers were left out.
    pub left_out: usize,
    /// How many bytes that spared.
    pub saved: u64,
    /// It was there already.
    pub unchanged: bool,
}

impl Output<'_> {
    /// Reads what a thin archive is made against, so that a mistake shows before the build.
    pub(crate) fn older(&self) -> Result<Option<Older>, BuildError> {
        let open = |path: &Path| {
            Older::open(path)
                .map_err(|source| BuildError::Older { path: path.to_owned(), source: Box::new(source) })
        };
        self.thin_against.map(open).transpose()
    }
}

impl Builder<'_> {
    /// Writes the image everywhere it is asked for. Returns its id.
    pub(crate) fn write_image(
        &self,
        image: &Image,
        output: &Output<'_>,
        older: Option<&Older>,
    ) -> Result<(String, Vec<BuiltOutput>), BuildError> {
        let memory = Memory::open(&self.cache.outputs())?;
        let prepared = Prepared::new(image, &memory, output.compression, older)?;
        if let Some(text) = shut_out(output.compression) {
            self.observer.event(&Event::Warning { text: text.to_owned() });
        }
        let mut built = Vec::new();
        for target in output.targets {
            let written = match target {
                Target::Archive(path) => prepared.write_tar(path),
                Target::Directory(path) => prepared.write_directory(path),
            }?;
            built.push(BuiltOutput {
                path: target.path().to_owned(),
                size: written.size,
                left_out: written.left_out,
                saved: written.saved,
                unchanged: written.kept,
            });
        }
        Ok((prepared.image_id().oci(), built))
    }
}

/// Says which engines cannot load an image with such layers.
fn shut_out(compression: Compression) -> Option<&'static str> {
    match compression {
        Compression::None | Compression::Gzip => None,
        Compression::Zstd => {
            Some("Docker before 23 cannot load layers compressed with zstd; gzip and plain ones it can")
        }
    }
}
