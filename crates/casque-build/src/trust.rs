//! The system's list of trusted certificates while a step runs: it has the step's proxy in it, for programs that read no
//! variables.

use std::fs::FileTimes;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The list that Debian's ca-certificates makes.
const LIST: &str = "etc/ssl/certs/ca-certificates.crt";

/// A certificate added to the list of a root filesystem. No mount does it: tools that write the list anew put another
/// file in its place.
pub(crate) struct Trust<'a> {
    path: PathBuf,
    added: &'a str,
    /// The list and its time before; none when there was no list.
    before: Option<(Vec<u8>, SystemTime)>,
}

impl<'a> Trust<'a> {
    /// Adds `certificate` to the list in `root`, where there is one.
    pub(crate) fn put(root: &Path, certificate: &'a str) -> io::Result<Self> {
        let path = root.join(LIST);
        let mut before = None;
        if path.symlink_metadata().is_ok_and(|file| file.is_file()) {
            let list = fs_err::read(&path)?;
            let time = fs_err::metadata(&path)?.modified()?;
            fs_err::write(&path, [&list, certificate.as_bytes()].concat())?;
            before = Some((list, time));
        }
        Ok(Self { path, added: certificate, before })
    }

    /// Takes the certificate out, wherever it is in the list by now.
    pub(crate) fn remove(self) -> io::Result<()> {
        if !self.path.symlink_metadata().is_ok_and(|file| file.is_file()) {
            return Ok(());
        }
        let list = fs_err::read(&self.path)?;
        let added = self.added.as_bytes();
        let Some(at) = list.windows(added.len()).position(|part| part == added) else { return Ok(()) };
        let without = [&list[..at], &list[at + added.len()..]].concat();
        let changed = fs_err::metadata(&self.path)?.modified()?;
        fs_err::write(&self.path, &without)?;
        // Who compares times sees the list as it was.
        let time = match self.before {
            Some((before, time)) if before == without => time,
            _ => changed,
        };
        let file = fs_err::OpenOptions::new().write(true).open(&self.path)?;
        file.file().set_times(FileTimes::new().set_modified(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_as_it_was_after_the_step() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(LIST);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, "theirs\n").unwrap();
        let time = SystemTime::UNIX_EPOCH;
        fs_err::File::options().write(true).open(&path).unwrap().file().set_modified(time).unwrap();

        let trust = Trust::put(root.path(), "ours\n").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "theirs\nours\n");
        trust.remove().unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "theirs\n");
        assert_eq!(fs_err::metadata(&path).unwrap().modified().unwrap(), time);
    }

    #[test]
    fn what_a_step_adds_to_the_list_stays() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(LIST);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, "theirs\n").unwrap();
        let trust = Trust::put(root.path(), "ours\n").unwrap();
        fs_err::write(&path, "theirs\nours\nthe step's\n").unwrap();
        trust.remove().unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "theirs\nthe step's\n");
    }

    #[test]
    fn a_root_without_a_list_gets_none() {
        let root = tempfile::tempdir().unwrap();
        Trust::put(root.path(), "ours\n").unwrap().remove().unwrap();
        assert!(!root.path().join("etc").exists());
    }
}
