//! Files in a directory: `blobs/ab/abcd...` whole, `uploads/PRODUCT.abcd...` not yet.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use casque_format::digest::Digest;
use fs_err::{File, OpenOptions};

use super::Partial;

/// A directory with files.
#[derive(Debug)]
pub struct Disk {
    blobs: PathBuf,
    uploads: PathBuf,
}

impl Disk {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let disk = Self { blobs: directory.join("blobs"), uploads: directory.join("uploads") };
        fs_err::create_dir_all(&disk.blobs)?;
        fs_err::create_dir_all(&disk.uploads)?;
        Ok(disk)
    }

    fn place(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.blobs.join(&name[..2]).join(&name)
    }

    /// A product's name has no dot, so no two uploads share a file.
    fn upload(&self, product: &str, digest: Digest) -> PathBuf {
        self.uploads.join(format!("{product}.{digest}"))
    }

    pub(super) fn read(&self, digest: Digest) -> io::Result<std::fs::File> {
        Ok(File::open(self.place(digest))?.into_parts().0)
    }

    pub(super) fn partial_length(&self, product: &str, digest: Digest) -> io::Result<u64> {
        match fs_err::metadata(self.upload(product, digest)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(super) fn partial(&self, product: &str, digest: Digest) -> io::Result<Partial> {
        let file = OpenOptions::new().append(true).create(true).open(self.upload(product, digest))?;
        let length = file.metadata()?.len();
        Ok(Partial { file: file.into_parts().0, length })
    }

    pub(super) fn reopen(&self, product: &str, digest: Digest) -> io::Result<std::fs::File> {
        let file = File::open(self.upload(product, digest))?;
        file.sync_all()?;
        Ok(file.into_parts().0)
    }

    pub(super) fn discard(&self, product: &str, digest: Digest) -> io::Result<()> {
        fs_err::remove_file(self.upload(product, digest))
    }

    pub(super) fn keep(&self, product: &str, digest: Digest) -> io::Result<()> {
        let place = self.place(digest);
        let directory = place.parent().expect("a blob is in a directory");
        fs_err::create_dir_all(directory)?;
        fs_err::rename(self.upload(product, digest), &place)?;
        File::open(directory)?.sync_all()?;
        File::open(&self.blobs)?.sync_all()
    }

    pub(super) fn free(&self) -> io::Result<u64> {
        let facts = rustix::fs::statvfs(&self.blobs)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    pub(super) fn all(&self, before: SystemTime) -> io::Result<Vec<(Digest, u64)>> {
        let mut all = Vec::new();
        for directory in fs_err::read_dir(&self.blobs)? {
            for entry in fs_err::read_dir(directory?.path())? {
                let entry = entry?;
                let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
                let facts = entry.metadata()?;
                if let Some(digest) = digest.filter(|_| facts.modified().is_ok_and(|at| at < before)) {
                    all.push((digest, facts.len()));
                }
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    pub(super) fn remove(&self, digest: Digest) -> io::Result<()> {
        fs_err::remove_file(self.place(digest))
    }

    pub(super) fn sweep(&self, before: SystemTime) -> io::Result<usize> {
        let mut swept = 0;
        for entry in fs_err::read_dir(&self.uploads)? {
            let entry = entry?;
            if entry.metadata()?.modified()? < before {
                fs_err::remove_file(entry.path())?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}
