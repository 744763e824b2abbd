//! A lock that ends with the process that holds it.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Doing, Error};

/// A lock on a file, held until dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock, making the file when it is missing; nothing when somebody else holds it.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            other => {
                other.doing_to("lock", path)?;
                Ok(Some(Self { _file: file }))
            }
        }
    }

    /// Waits until nobody else holds the lock, and takes it.
    pub fn acquire(path: &Path) -> Result<Self, Error> {
        Self::wait(path, FlockOperation::LockExclusive)
    }

    /// Waits until nobody holds the lock alone, and takes it together with whoever shares it.
    pub fn share(path: &Path) -> Result<Self, Error> {
        Self::wait(path, FlockOperation::LockShared)
    }

    fn wait(path: &Path, operation: FlockOperation) -> Result<Self, Error> {
        let file = open(path)?;
        loop {
            match flock(&file, operation) {
                Err(Errno::INTR) => {}
                other => {
                    other.doing_to("lock", path)?;
                    return Ok(Self { _file: file });
                }
            }
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path);
    Ok(file.doing_to("open", path)?)
}
