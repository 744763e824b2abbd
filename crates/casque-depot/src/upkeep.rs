//! What an operator does to the files: sweep, remove what nobody needs, read everything again.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use casque_format::digest::Digest;
use serde::Serialize;

use crate::app::seconds;
use crate::error::DepotError;
use crate::records::Records;
use crate::storage::Storage;

/// For how long an upload is kept that nobody goes on with, or that no release names.
pub const UPLOADS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// A file that is younger may yet get its record.
const SETTLED: Duration = Duration::from_secs(3600);
/// For how long a note of a download that began is of use.
const BEGUN_KEPT: Duration = Duration::from_secs(3 * 86_400);

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Uploads that ended in the middle.
    pub partial_uploads: usize,
    /// Files that no release and no recent upload names.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes what a killed server, a broken line or a release that is gone left. A download that runs goes on: it has its file open.
pub fn sweep(records: &Records, storage: &Storage, now: SystemTime) -> Result<Swept, DepotError> {
    let before = now.checked_sub(UPLOADS_KEPT).unwrap_or(SystemTime::UNIX_EPOCH);
    let begun = now.checked_sub(BEGUN_KEPT).unwrap_or(SystemTime::UNIX_EPOCH);
    let partial_uploads = storage.sweep(before).map_err(DepotError::File)?;
    records.forget_begun(seconds(begun))?;
    records.forget_uploads(seconds(before))?;
    let mut swept = Swept { partial_uploads, ..Swept::default() };
    // A file has its place for a moment before the records name it.
    let settled = now.checked_sub(SETTLED).unwrap_or(SystemTime::UNIX_EPOCH);
    let there = storage.all(settled).map_err(DepotError::File)?;
    let needed: BTreeSet<Digest> = records.needed()?.into_iter().collect();
    for (digest, size) in there.into_iter().filter(|(digest, _)| !needed.contains(digest)) {
        storage.remove(digest).map_err(DepotError::File)?;
        swept.files += 1;
        swept.bytes += size;
    }
    Ok(swept)
}

/// What reading everything again showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many files are needed.
    pub files: usize,
    /// Those of them that are not there.
    pub missing: Vec<Digest>,
    /// Those that are not what they were.
    pub damaged: Vec<Digest>,
    /// Whether the records are whole.
    pub records: bool,
}

/// Reads every file that is needed, and says which are not what they were.
pub fn verify(records: &Records, storage: &Storage) -> Result<Verified, DepotError> {
    let needed = records.needed()?;
    let mut verified = Verified { files: needed.len(), records: records.is_whole()?, ..Verified::default() };
    for digest in needed {
        match storage.rehash(digest) {
            Ok(found) if found == digest => {}
            Ok(_) => verified.damaged.push(digest),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => verified.missing.push(digest),
            Err(_) => verified.damaged.push(digest),
        }
    }
    Ok(verified)
}
