//! One service's file: whole lines, bounded, begun anew by renaming, and never given up.
//!
//! Written by PID 1 itself into the page cache; a file system that answers an error costs the lines of that moment, which
//! are counted and owned up to in the file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use casque_format::run::LogLimit;
use memchr::{memchr, memchr_iter, memrchr};

/// A file and its predecessors.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    limit: LogLimit,
    open: Option<Open>,
    problem: Option<String>,
    /// Lines that could not be written since the last that could.
    missing: u64,
    /// All that could never be written.
    lost: u64,
    /// The last line has no end.
    torn: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

/// What PID 1 should say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It cannot be written any more.
    Broken(String),
    /// It can be written again.
    Mended,
}

impl LogFile {
    /// Returns a file that is opened at the first line.
    pub(super) fn new(directory: &Path, label: &str, limit: LogLimit) -> Self {
        let path = directory.join(format!("{}.log", label.replace('/', "_")));
        Self { path, limit, open: None, problem: None, missing: 0, lost: 0, torn: false }
    }

    /// Returns how many lines could not be written, and why none can be now.
    pub(super) fn state(&self) -> (u64, Option<&str>) {
        (self.lost, self.problem.as_deref())
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, block: &[u8]) -> Option<Change> {
        let mut rest = block;
        let result = self.try_write(&mut rest);
        match result {
            Ok(()) => self.problem.take().map(|_| Change::Mended),
            Err(error) => {
                let lines = memchr_iter(b'\n', rest).count() as u64;
                self.missing += lines;
                self.lost += lines;
                let text = error.to_string();
                // Opened anew next time: that alone helps against some errors.
                self.open = None;
                let known = self.problem.replace(text.clone()).is_some();
                (!known).then_some(Change::Broken(text))
            }
        }
    }

    fn try_write(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(Open::is_deleted) {
            self.open = None;
        }
        self.own_up()?;
        while !rest.is_empty() {
            let size = self.open()?.size;
            let room = usize::try_from(self.limit.size.saturating_sub(size)).unwrap_or(usize::MAX);
            let end = match rest.len() <= room {
                true => rest.len(),
                false => match memrchr(b'\n', &rest[..room]) {
                    Some(end) => end + 1,
                    // A line that fits into no file has one of its own.
                    None if size == 0 => memchr(b'\n', rest).map_or(rest.len(), |end| end + 1),
                    None => 0,
                },
            };
            if end == 0 {
                self.rotate()?;
                continue;
            }
            self.put(rest, end)?;
        }
        Ok(())
    }

    /// Writes the first `end` bytes of `rest` and takes them off it.
    fn put(&mut self, rest: &mut &[u8], end: usize) -> io::Result<()> {
        let mut left = end;
        while left > 0 {
            let open = self.open()?;
            match open.file.write(&rest[..left]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    open.size += written as u64;
                    self.torn = rest[written - 1] != b'\n';
                    *rest = &rest[written..];
                    left -= written;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends a line that was torn and says how many lines are missing.
    fn own_up(&mut self) -> io::Result<()> {
        if self.torn {
            self.put(&mut &b"\n"[..], 1)?;
        }
        if self.missing > 0 {
            let why = self.problem.as_deref().unwrap_or_default();
            let notice = format!("casque | {} lines are missing here: {why}\n", self.missing);
            self.put(&mut notice.as_bytes(), notice.len())?;
            self.missing = 0;
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        if self.open.is_none() {
            self.open = Some(Open::at(&self.path)?);
        }
        self.open.as_mut().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Makes the file its own first predecessor. Nothing is copied, so that nothing is lost in between.
    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        let old = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        if self.limit.files <= 1 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.limit.files - 1).rev() {
            match fs::rename(old(number), old(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, old(1))
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        // Whatever somebody may have put there: PID 1 waits for nobody and follows no link.
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "it is not a plain file"));
        }
        Ok(Self { file, size: about.len() })
    }

    fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(size: u64, files: u32) -> LogLimit {
        LogLimit { size, files }
    }

    fn names(directory: &Path) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        names.sort();
        names
    }

    fn expected(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn a_full_file_is_renamed_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(directory.path(), "web", limit(10, 3));
        for line in ["11111\n", "2\n3\n", "44444444444444\n5\n", "6\n"] {
            assert_eq!(file.write(line.as_bytes()), None);
        }
        let after =
            [("web.log", "5\n6\n"), ("web.log.1", "44444444444444\n"), ("web.log.2", "11111\n2\n3\n")];
        assert_eq!(names(directory.path()), expected(&after));
        let mut file = LogFile::new(directory.path(), "web", limit(10, 3));
        file.write(b"7\n");
        assert_eq!(names(directory.path())[0].1, "5\n6\n7\n", "a restart appends");
        let mut single = LogFile::new(directory.path(), "db", limit(4, 1));
        single.write(b"1\n2\n3\n");
        assert_eq!(names(directory.path())[0], ("db.log".to_owned(), "3\n".to_owned()));
    }

    #[test]
    fn a_deleted_file_and_a_deleted_directory_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("logs");
        let mut file = LogFile::new(&below, "web", limit(100, 2));
        file.write(b"1\n");
        fs::remove_file(below.join("web.log")).unwrap();
        file.write(b"2\n");
        assert_eq!(names(&below), expected(&[("web.log", "2\n")]));
        fs::remove_dir_all(&below).unwrap();
        file.write(b"3\n");
        assert_eq!(names(&below), expected(&[("web.log", "3\n")]));
    }

    #[test]
    fn what_could_not_be_written_is_counted_and_owned_up_to() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("logs");
        fs::write(&below, "in the way").unwrap();
        let mut file = LogFile::new(&below, "web", limit(100, 2));
        let Some(Change::Broken(why)) = file.write(b"1\n2\n") else { panic!("no change") };
        assert_eq!(file.write(b"3\n"), None, "said once");
        assert_eq!(file.state(), (3, Some(why.as_str())));
        fs::remove_file(&below).unwrap();
        assert_eq!(file.write(b"4\n"), Some(Change::Mended));
        assert_eq!(file.state(), (3, None));
        let text = format!("casque | 3 lines are missing here: {why}\n4\n");
        assert_eq!(names(&below), expected(&[("web.log", &text)]));
    }

    #[test]
    fn a_pipe_or_a_link_in_its_place_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        std::os::unix::fs::symlink(&victim, directory.path().join("web.log")).unwrap();
        let mut file = LogFile::new(directory.path(), "web", limit(100, 2));
        assert!(matches!(file.write(b"1\n"), Some(Change::Broken(_))));
        assert!(!victim.exists());
    }
}
