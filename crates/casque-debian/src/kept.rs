//! Unpacked files of packages, kept so that a later build need not unpack them again.
//!
//! The digest of the content follows it: nothing waits for the disk here, and what a failing machine left is told from
//! what was written.

use std::io::{self, Write};
use std::path::Path;

use casque_format::digest::Digest;
use fs_err as fs;
use tempfile::NamedTempFile;

/// Bytes of a digest.
const TRAILER: usize = 32;

/// Returns what was kept at `place`; nothing when it is not there or not whole.
pub(crate) fn read(place: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = match fs::read(place) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(length) = bytes.len().checked_sub(TRAILER) else { return Ok(None) };
    let whole = Digest::of(&bytes[..length]).as_bytes()[..] == bytes[length..];
    bytes.truncate(length);
    Ok(whole.then_some(bytes))
}

/// Keeps `bytes` at `place`, whole at once.
pub(crate) fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = place.parent().unwrap_or(Path::new("."));
    let at = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot write `{}`: {error}", place.display()))
    };
    let mut file = NamedTempFile::new_in(directory).map_err(at)?;
    file.write_all(bytes).map_err(at)?;
    file.write_all(Digest::of(bytes).as_bytes()).map_err(at)?;
    file.persist(place).map(drop).map_err(|error| at(error.error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn what_is_not_whole_is_not_there() {
        let directory = TempDir::new().unwrap();
        let place = directory.path().join("x");
        assert_eq!(read(&place).unwrap(), None);
        write(&place, b"content").unwrap();
        assert_eq!(read(&place).unwrap().as_deref(), Some(&b"content"[..]));
        let mut bytes = fs::read(&place).unwrap();
        bytes[2] = 0;
        fs::write(&place, &bytes).unwrap();
        assert_eq!(read(&place).unwrap(), None);
        fs::write(&place, "").unwrap();
        assert_eq!(read(&place).unwrap(), None);
    }
}
