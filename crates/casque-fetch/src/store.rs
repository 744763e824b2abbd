//! Files kept under their SHA-256 digest.
//!
//! A file appears under its final name by one rename, after it was verified and synced; so a killed process or a full
//! disk never leaves half a file there, and any number of processes may share a store. A writer holds a lock on its
//! temporary file: one that can be locked belongs to nobody any more and is removed when the store is next opened.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use casque_format::digest::{Digest, Hasher};
use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use crate::FetchError;

/// A directory of files, each known by its digest.
#[derive(Debug, Clone)]
pub struct Store {
    files: PathBuf,
    temporary: PathBuf,
}

impl Store {
    /// Opens the store at `directory`, making what is missing.
    pub fn open(directory: &Path) -> Result<Self, FetchError> {
        let store = Self { files: directory.join("sha256"), temporary: directory.join("tmp") };
        fs::create_dir_all(&store.files).map_err(FetchError::Disk)?;
        fs::create_dir_all(&store.temporary).map_err(FetchError::Disk)?;
        store.remove_abandoned()?;
        Ok(store)
    }

    /// Returns where the file with this digest is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        place(&self.files, digest)
    }

    /// Tells whether the file with this digest is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Keeps `bytes` and returns their digest.
    pub fn insert_bytes(&self, bytes: &[u8]) -> Result<Digest, FetchError> {
        let digest = Digest::of(bytes);
        if !self.contains(&digest) {
            let mut entry = self.entry()?;
            entry.write(bytes)?;
            entry.keep(&digest)?;
        }
        Ok(digest)
    }

    /// Reads the file with this digest.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, FetchError> {
        fs::read(self.path(digest)).map_err(FetchError::Disk)
    }

    /// Copies what is missing here of `digests` from another store, which is only read and need not hold everything.
    ///
    /// # Errors
    /// `directory` is no store, or a file in it is not what its name says: it may have come a long way.
    pub fn import(&self, directory: &Path, digests: &[Digest]) -> Result<(), FetchError> {
        let files = directory.join("sha256");
        if !files.is_dir() {
            return Err(FetchError::NotAStore { path: directory.to_owned() });
        }
        for digest in digests.iter().filter(|digest| !self.contains(digest)) {
            let path = place(&files, digest);
            let mut file = match fs::File::open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                file => file.map_err(FetchError::Disk)?,
            };
            let mut entry = self.entry()?;
            let mut buffer = vec![0; 128 * 1024];
            loop {
                match file.read(&mut buffer).map_err(FetchError::Disk)? {
                    0 => break,
                    count => entry.write(&buffer[..count])?,
                }
            }
            let received = entry.digest();
            if received != *digest {
                let url = path.display().to_string();
                return Err(FetchError::HashMismatch { url, expected: *digest, received });
            }
            entry.keep(digest)?;
        }
        Ok(())
    }

    /// Starts a file whose digest is not known yet.
    pub fn entry(&self) -> Result<Entry<'_>, FetchError> {
        let file = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(&self.temporary)
            .map_err(|error| at(error, &self.temporary))?;
        flock(file.as_file(), FlockOperation::LockExclusive)
            .map_err(|error| at(error.into(), file.path()))?;
        Ok(Entry { store: self, file, hasher: Hasher::default() })
    }

    /// An empty file may be one that its writer has not locked yet, so it stays.
    fn remove_abandoned(&self) -> Result<(), FetchError> {
        for entry in fs::read_dir(&self.temporary).map_err(FetchError::Disk)? {
            let path = entry.map_err(FetchError::Disk)?.path();
            let Ok(file) = fs::File::open(&path) else { continue };
            let size = file.metadata().map_err(FetchError::Disk)?.len();
            if size > 0 && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(FetchError::Disk(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn place(files: &Path, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    files.join(&name[..2]).join(name)
}

/// A file on its way into the store; gone when dropped.
#[derive(Debug)]
pub struct Entry<'a> {
    store: &'a Store,
    file: NamedTempFile,
    hasher: Hasher,
}

impl Entry<'_> {
    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.hasher.update(bytes);
        self.file.as_file_mut().write_all(bytes).map_err(|error| at(error, self.file.path()))
    }

    /// Returns the digest of what was written so far.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Puts the file under its final name.
    pub fn keep(self, digest: &Digest) -> Result<(), FetchError> {
        let path = self.store.path(digest);
        self.file.as_file().sync_all().map_err(|error| at(error, self.file.path()))?;
        let parent = path.parent().expect("a path in the store has a parent");
        fs::create_dir_all(parent).map_err(FetchError::Disk)?;
        self.file.persist(&path).map_err(|error| at(error.error, &path))?;
        Ok(())
    }
}

/// Adds the path, as `fs_err` does, to an error of something that `fs_err` does not wrap.
fn at(error: std::io::Error, path: &Path) -> FetchError {
    let text = format!("cannot write `{}`: {error}", path.display());
    FetchError::Disk(std::io::Error::new(error.kind(), text))
}
