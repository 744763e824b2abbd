//! Where files are: named by their SHA-256, whole or not there. One enum, so that another kind of place is one more variant.

use std::io::{self, Read as _};
use std::path::Path;

use casque_format::digest::{Digest, Hasher};

mod disk;

pub use disk::Disk;

use crate::error::DepotError;

/// A place for files.
#[derive(Debug)]
pub enum Storage {
    /// A directory.
    Disk(Disk),
}

/// What is there of an upload.
#[derive(Debug)]
pub struct Partial {
    /// Appends to it.
    pub file: std::fs::File,
    /// Its bytes so far.
    pub length: u64,
}

impl Storage {
    /// Uses a directory, and makes it when it is not there.
    pub fn disk(directory: &Path) -> Result<Self, DepotError> {
        Disk::open(directory).map(Self::Disk).map_err(DepotError::File)
    }

    /// Opens a file to read. Whoever has it open reads on when it is removed.
    pub fn read(&self, digest: Digest) -> io::Result<std::fs::File> {
        let Self::Disk(disk) = self;
        disk.read(digest)
    }

    /// Returns how much there is of an upload.
    pub fn partial_length(&self, product: &str, digest: Digest) -> io::Result<u64> {
        let Self::Disk(disk) = self;
        disk.partial_length(product, digest)
    }

    /// Opens an upload to go on with it.
    pub fn partial(&self, product: &str, digest: Digest) -> io::Result<Partial> {
        let Self::Disk(disk) = self;
        disk.partial(product, digest)
    }

    /// Forgets an upload.
    pub fn discard(&self, product: &str, digest: Digest) -> io::Result<()> {
        let Self::Disk(disk) = self;
        disk.discard(product, digest)
    }

    /// Makes a file of an upload that is complete, if it is what it is said to be; otherwise it is gone.
    pub fn finish(&self, product: &str, digest: Digest) -> Result<(), DepotError> {
        let Self::Disk(disk) = self;
        let found =
            hash(disk.reopen(product, digest).map_err(DepotError::File)?).map_err(DepotError::File)?;
        if found != digest {
            disk.discard(product, digest).map_err(DepotError::File)?;
            return Err(DepotError::Content { expected: digest, found });
        }
        disk.keep(product, digest).map_err(DepotError::File)
    }

    /// Returns how many bytes there is room for.
    pub fn free(&self) -> io::Result<u64> {
        let Self::Disk(disk) = self;
        disk.free()
    }

    /// Returns the digests of all files that were written before a time, sorted, with their sizes.
    pub fn all(&self, before: std::time::SystemTime) -> io::Result<Vec<(Digest, u64)>> {
        let Self::Disk(disk) = self;
        disk.all(before)
    }

    /// Removes a file.
    pub fn remove(&self, digest: Digest) -> io::Result<()> {
        let Self::Disk(disk) = self;
        disk.remove(digest)
    }

    /// Removes uploads that nobody went on with since a time.
    pub fn sweep(&self, before: std::time::SystemTime) -> io::Result<usize> {
        let Self::Disk(disk) = self;
        disk.sweep(before)
    }

    /// Reads a file whole and returns what its digest is.
    pub fn rehash(&self, digest: Digest) -> io::Result<Digest> {
        hash(self.read(digest)?)
    }
}

fn hash(mut file: std::fs::File) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
