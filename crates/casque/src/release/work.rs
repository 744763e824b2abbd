//! What a project's releases keep on this machine, and that only one of them is made at a time.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use casque_fetch::Store;
use casque_format::digest::Digest;
use casque_format::release::{Artefact, Signed};
use fs_err as fs;
use fs_err::File;
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::ReleaseError;

/// Number of the format of [`Kept`].
pub(crate) const VERSION: u32 = 1;
/// Logs of earlier runs that are kept for each tag.
const LOGS: usize = 20;

/// A project's directory, which nobody else uses as long as this is there.
pub(crate) struct Workshop {
    pub(crate) directory: PathBuf,
    pub(crate) store: Store,
    _lock: File,
}

/// How far the release of a tag is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The commit that it is made from.
    pub(crate) commit: String,
    /// The counter that the commands were told, for what they make knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counter: Option<u64>,
    /// What the commands made, in the store; none before.
    pub(crate) files: Vec<Artefact>,
    /// The record that is to be published, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signed: Option<Signed>,
}

impl Kept {
    pub(crate) fn new(commit: &str, counter: u64) -> Self {
        let (commit, counter) = (commit.to_owned(), Some(counter));
        Self { version: VERSION, commit, counter, files: Vec::new(), signed: None }
    }

    /// Says whether what there is can still become the release after the newest one.
    pub(crate) fn follows(&self, newest: Option<u64>) -> bool {
        self.counter.is_some_and(|counter| newest.is_none_or(|newest| newest < counter))
    }
}

/// Returns where the lock of a project is that guards hold.
pub(crate) fn guards_lock(directory: &Path) -> PathBuf {
    directory.join("commands.lock")
}

/// Makes a project's directory.
pub(crate) fn directory(state: &Path, project: &str) -> Result<PathBuf, ReleaseError> {
    let directory = state.join("releases").join(project);
    fs::create_dir_all(&directory).map_err(ReleaseError::State)?;
    Ok(directory)
}

impl Workshop {
    /// Takes a project's directory; when another has it, says so by `waiting` and waits.
    pub(crate) fn take(directory: PathBuf, waiting: impl FnOnce()) -> Result<Self, ReleaseError> {
        let path = directory.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(ReleaseError::State)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            flock(&lock, FlockOperation::LockExclusive).map_err(|error| ReleaseError::State(error.into()))?;
        }
        let store = Store::open(&directory.join("store")).map_err(ReleaseError::Depot)?;
        Ok(Self { directory, store, _lock: lock })
    }

    /// Returns where the checkout is; each release has the same place, so that paths in what is built do not change.
    pub(crate) fn checkout(&self) -> PathBuf {
        self.directory.join("source")
    }

    fn tag(&self, tag: &str) -> PathBuf {
        self.directory.join("tags").join(tag)
    }

    /// Returns a new log of a tag, named by the time, and removes the oldest.
    pub(crate) fn log(&self, tag: &str, seconds: u64) -> Result<PathBuf, ReleaseError> {
        let logs = self.tag(tag).join("logs");
        fs::create_dir_all(&logs).map_err(ReleaseError::State)?;
        let mut there: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&logs).map_err(ReleaseError::State)? {
            there.push(entry.map_err(ReleaseError::State)?.path());
        }
        there.sort();
        for old in there.iter().take((there.len() + 1).saturating_sub(LOGS)) {
            fs::remove_file(old).map_err(ReleaseError::State)?;
        }
        Ok(logs.join(format!("{seconds:012}.log")))
    }

    pub(crate) fn kept(&self, tag: &str) -> Result<Option<Kept>, ReleaseError> {
        read(&self.tag(tag).join("kept.json"))
    }

    pub(crate) fn keep(&self, tag: &str, kept: &Kept) -> Result<(), ReleaseError> {
        fs::create_dir_all(self.tag(tag)).map_err(ReleaseError::State)?;
        write(&self.tag(tag).join("kept.json"), kept)
    }

    /// Copies a file into the store, and returns its size and digest.
    pub(crate) fn take_in(&self, path: &Path) -> Result<(u64, Digest), ReleaseError> {
        let mut file = File::open(path).map_err(ReleaseError::State)?;
        let mut entry = self.store.entry().map_err(ReleaseError::Depot)?;
        let (mut buffer, mut size) = (vec![0; 1 << 20], 0);
        loop {
            match file.read(&mut buffer).map_err(ReleaseError::State)? {
                0 => break,
                count => {
                    entry.write(&buffer[..count]).map_err(ReleaseError::Depot)?;
                    size += count as u64;
                }
            }
        }
        let digest = entry.digest();
        entry.keep(&digest).map_err(ReleaseError::Depot)?;
        Ok((size, digest))
    }

    /// Removes everything that the next release needs no more: the checkout, and all files but these.
    pub(crate) fn tidy(&self, needed: &[Digest]) -> Result<(), ReleaseError> {
        remove(&self.checkout())?;
        let files = self.directory.join("store/sha256");
        for directory in fs::read_dir(&files).map_err(ReleaseError::State)? {
            let directory = directory.map_err(ReleaseError::State)?.path();
            for file in fs::read_dir(&directory).map_err(ReleaseError::State)? {
                let file = file.map_err(ReleaseError::State)?;
                let digest = file.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
                if digest.is_none_or(|digest| !needed.contains(&digest)) {
                    fs::remove_file(file.path()).map_err(ReleaseError::State)?;
                }
            }
        }
        Ok(())
    }
}

/// Removes a directory, if there is one.
pub(crate) fn remove(directory: &Path) -> Result<(), ReleaseError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ReleaseError::State(error)),
        _ => Ok(()),
    }
}

/// Reads something that was kept.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReleaseError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReleaseError::State(error)),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ReleaseError::NotState { path: path.to_owned(), source }),
    }
}

/// Keeps something, whole.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<(), ReleaseError> {
    let bytes = serde_json::to_vec_pretty(value).expect("what is kept is plain data");
    let directory = path.parent().expect("it is in a project's directory");
    let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    });
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write `{}`: {error}", path.display()))
    };
    written.map(drop).map_err(|error| ReleaseError::State(named(error)))
}
