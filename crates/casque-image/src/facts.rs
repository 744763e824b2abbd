//! What is known of files without reading them again, as build tools know it.
//!
//! A file whose device, inode, length and both times are what they were has the content it had: whatever changes
//! content sets the time of change, which no program can choose. One gap is left, a change in the same tick of the
//! clock, and [`Known::remember`] waits that tick out.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::digest::Digest;
use fs_err::File;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// The version of the files kept here; one of another version is as good as none.
pub const VERSION: u32 = 1;

/// The clock of a file system moves in steps of this length at most.
const TICK: Duration = Duration::from_millis(20);

/// What tells a file from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    device: u64,
    inode: u64,
    pub(crate) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Facts {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// Returns the facts of the regular file at `path`; `None` where there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs_err::symlink_metadata(path) {
            Ok(metadata) => Ok(metadata.is_file().then(|| Self::from(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says whether this is the file `other` but for its name, which a rename changes.
    pub(crate) fn is_renamed(&self, other: &Self) -> bool {
        Self { changed: other.changed, ..*self } == *other
    }

    /// Returns once a further change of the file would have a later time than it has now; `false` when the clock
    /// was set back and that may take long.
    fn settle(&self, directory: &Path) -> io::Result<bool> {
        let probe = tempfile::tempfile_in(directory)?;
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        for _ in 0..TICK.as_millis() {
            futimens(&probe, &Timestamps { last_access: omit, last_modification: now })?;
            let metadata = probe.metadata()?;
            if (metadata.mtime(), metadata.mtime_nsec()) > self.changed {
                return Ok(true);
            }
            // It is the clock itself that is waited for.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(false)
    }
}

impl From<&std::fs::Metadata> for Facts {
    fn from(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A directory of the cache that holds what is known of files. Several processes may use one.
#[derive(Debug)]
pub(crate) struct Known {
    directory: PathBuf,
}

/// A file of that directory.
#[derive(Serialize, Deserialize)]
struct Record<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

/// A file and the digest of what it holds or was made from.
#[derive(Serialize, Deserialize)]
struct Single {
    digest: Digest,
    facts: Facts,
}

/// The blobs of a directory in OCI layout.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blobs {
    pub(crate) blobs: BTreeMap<String, Facts>,
}

impl Known {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        fs_err::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Returns the digest that was remembered under `name`, if the file is as it was then.
    pub(crate) fn recall(&self, name: &str, facts: &Facts) -> Option<Digest> {
        let single: Single = self.read(name)?;
        (single.facts == *facts).then_some(single.digest)
    }

    /// Remembers `digest` for the file with these facts, which is in `directory`.
    pub(crate) fn remember(
        &self,
        name: &str,
        directory: &Path,
        facts: Facts,
        digest: Digest,
    ) -> io::Result<()> {
        match facts.settle(directory)? {
            true => self.write(name, Single { digest, facts }),
            false => Ok(()),
        }
    }

    pub(crate) fn blobs(&self, name: &str) -> Blobs {
        self.read(name).unwrap_or_default()
    }

    /// Remembers the blobs below `directory`, the newest of which has to settle for all.
    pub(crate) fn remember_blobs(&self, name: &str, directory: &Path, blobs: Blobs) -> io::Result<()> {
        let newest = blobs.blobs.values().max_by_key(|facts| facts.changed);
        match newest.map_or(Ok(true), |facts| facts.settle(directory))? {
            true => self.write(name, blobs),
            false => Ok(()),
        }
    }

    /// What cannot be read is not known.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = fs_err::read(self.directory.join(name)).ok()?;
        let record: Record<T> = serde_json::from_slice(&text).ok()?;
        (record.version == VERSION).then_some(record.content)
    }

    fn write<T: Serialize>(&self, name: &str, content: T) -> io::Result<()> {
        let record = Record { version: VERSION, content };
        let text = serde_json::to_vec(&record).expect("a record is plain data");
        // Not synced: what a crash leaves does not parse, or does not fit the file.
        let temporary = NamedTempFile::new_in(&self.directory)?;
        fs_err::write(temporary.path(), text)?;
        temporary.persist(self.directory.join(name)).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Returns what an output is remembered under.
pub(crate) fn name_of(path: &Path) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    Ok(format!("output-{}", Digest::of(path.as_os_str().as_bytes())))
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn a_file_that_was_touched_replaced_or_written_is_not_recalled() {
        let place = tempfile::tempdir().unwrap();
        let known = Known::open(place.path().join("known")).unwrap();
        let path = place.path().join("file");
        let digest = Digest::of(b"one");
        let recalled = || known.recall("name", &Facts::at(&path).unwrap().unwrap());
        let begin = || {
            fs::write(&path, "one").unwrap();
            let facts = Facts::at(&path).unwrap().unwrap();
            known.remember("name", place.path(), facts, digest).unwrap();
            assert_eq!(recalled(), Some(digest));
        };
        begin();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        assert_eq!(recalled(), None, "written in the same length, its time set back");
        begin();
        File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        assert_eq!(recalled(), None, "touched");
        begin();
        fs::write(place.path().join("other"), "one").unwrap();
        fs::rename(place.path().join("other"), &path).unwrap();
        assert_eq!(recalled(), None, "replaced");
        begin();
        fs::write(place.path().join("known/name"), "{\"version\":1,").unwrap();
        assert_eq!(recalled(), None, "its record is cut off");
    }

    #[test]
    fn facts_of_the_future_are_not_remembered() {
        let place = tempfile::tempdir().unwrap();
        let known = Known::open(place.path().join("known")).unwrap();
        let path = place.path().join("file");
        fs::write(&path, "one").unwrap();
        let facts = Facts::at(&path).unwrap().unwrap();
        let later = Facts { changed: (facts.changed.0 + 1000, 0), ..facts };
        known.remember("name", place.path(), later, Digest::of(b"one")).unwrap();
        assert_eq!(known.recall("name", &later), None);
    }
}
