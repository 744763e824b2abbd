//! How far the buffer was sent, remembered over restarts of the agent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use casque_format::paths;
use casque_format::syslog::{Cursor, Position, VERSION};
use fs_err as fs;

use crate::root::Root;

/// Of the file; longer than any cursor.
const LENGTH: usize = 512;
/// Before the first record.
pub const BEGINNING: Position = Position { segment: 0, offset: 0, next: 1, lost: 0 };

/// Returns where to go on; an error where nothing is known.
///
/// What was being given to the kernel when the agent was killed counts as sent: the kernel goes on sending it.
pub fn load(root: &Root) -> io::Result<Position> {
    let content = fs::read(root.join(paths::SYSLOG_CURSOR))?;
    if content.is_empty() {
        // Killed before the first message.
        return Err(io::ErrorKind::NotFound.into());
    }
    let cursor: Cursor = serde_json::from_slice(&content)?;
    Ok(cursor.sending.unwrap_or(cursor.sent))
}

/// The file, open, so that to remember a place is one write.
#[derive(Debug)]
pub struct Kept(File);

impl Kept {
    /// Opens the file, or makes it.
    pub fn open(root: &Root) -> io::Result<Self> {
        let options = fs::OpenOptions::new().write(true).create(true).truncate(false).to_owned();
        Ok(Self(options.open(root.join(paths::SYSLOG_CURSOR))?.into_file()))
    }

    /// Remembers a place, and the one after what is about to be written to the connection.
    ///
    /// In place, and always as long: a process that is killed does not tear it. It is not synced, since that is done for each
    /// few lines: what a machine that loses its power forgets is repeated.
    pub fn save(&self, sent: Position, sending: Option<Position>) -> io::Result<()> {
        let mut content = serde_json::to_vec(&Cursor { version: VERSION, sent, sending })?;
        content.resize(LENGTH, b' ');
        self.0.write_all_at(&content, 0)
    }
}

/// Replaces a file of the agent's own, without syncing it.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new"));
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_cursor_fits_and_a_shorter_one_after_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        let cursor = root.join(paths::SYSLOG_CURSOR);
        fs::create_dir_all(cursor.parent().unwrap()).unwrap();
        assert_eq!(load(&root).unwrap_err().kind(), io::ErrorKind::NotFound);
        let most = Position { segment: u64::MAX, offset: u64::MAX, next: u64::MAX, lost: u64::MAX };
        Kept::open(&root).unwrap().save(BEGINNING, Some(most)).unwrap();
        assert_eq!((load(&root).unwrap(), fs::metadata(&cursor).unwrap().len()), (most, 512));
        Kept::open(&root).unwrap().save(BEGINNING, None).unwrap();
        assert_eq!(load(&root).unwrap(), BEGINNING);
    }
}
