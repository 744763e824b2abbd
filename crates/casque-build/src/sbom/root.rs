//! Files of a finished root filesystem, whose links never lead out of it.

use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

/// Longer texts are something else.
const LONGEST: u64 = 64 << 20;

/// A root filesystem.
#[derive(Debug)]
pub(super) struct Root {
    directory: rustix::fd::OwnedFd,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { directory: open(path, flags, Mode::empty())? })
    }

    /// Returns the text of a file; nothing when there is none.
    pub(super) fn text(&self, path: &str) -> io::Result<Option<String>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat2(&self.directory, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(file) => std::fs::File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("etc")).unwrap();
        fs_err::write(root.path().join("etc/here"), "inside").unwrap();
        fs_err::os::unix::fs::symlink("/etc/here", root.path().join("link")).unwrap();
        fs_err::os::unix::fs::symlink("/etc/passwd", root.path().join("out")).unwrap();
        let opened = Root::open(root.path()).unwrap();
        assert_eq!(opened.text("link").unwrap().as_deref(), Some("inside"));
        assert_eq!(opened.text("out").unwrap(), None);
        assert_eq!(opened.text("etc").unwrap(), None);
    }
}
