//! What a container wrote: two files at most, the older one removed when the newer one is full.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use casque_sandbox::{News, Watch};
use fs_err as fs;

use super::error::RunError;
use super::state::Place;

/// Most bytes of one file.
pub(crate) const MOST: u64 = 10 << 20;

/// Longest line; a longer one is continued on the next.
const LINE: u64 = 64 << 10;

/// Writes the log of a container.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: fs::File,
    written: u64,
    most: u64,
}

impl Log {
    /// Begins a log in `directory`; two files of `most` bytes at most.
    pub(crate) fn create(directory: &Path, most: u64) -> Result<Self, RunError> {
        let path = directory.join("log");
        let file = create(&path).map_err(RunError::File)?;
        Ok(Self { path, file, written: 0, most })
    }

    /// Writes a line.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.written + line.len() as u64 > self.most {
            fs::rename(&self.path, self.path.with_extension("1"))?;
            self.file = create(&self.path)?;
            self.written = 0;
        }
        self.written += line.len() as u64;
        self.file.write_all(line)
    }

    /// Copies `from` to its end, line by line, and shows each line. A full disk costs lines of the
    /// log and never stops the container, which would block when nobody reads.
    pub(crate) fn copy(&mut self, from: impl Read, show: &(dyn Fn(&str) + Sync)) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while (&mut from).take(LINE).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            let _ = self.write(&line);
            show(text(&line).as_ref());
            line.clear();
        }
    }
}

fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    fs::OpenOptions::from_options(options).open(path)
}

fn text(line: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line))
}

/// Shows what is in the log, oldest first.
pub(crate) fn show(place: &Place, show: &mut dyn FnMut(&str)) -> Result<(), RunError> {
    Reader::open(place)?.drain(show)
}

/// Shows what is in the log and what is written from now on, until the container ends.
pub(crate) fn follow(place: &Place, show: &mut dyn FnMut(&str)) -> Result<(), RunError> {
    let state = match place.running() {
        Ok(state) => state,
        Err(RunError::Ended { .. } | RunError::Lost { .. }) => return self::show(place, show),
        Err(error) => return Err(error),
    };
    let watch = Watch::directory(&place.directory)?;
    let mut reader = Reader::open(place)?;
    if let Ok(process) = place.process(&state) {
        loop {
            reader.drain(show)?;
            if watch.wait(&process)? == News::Ended {
                break;
            }
        }
    }
    // Its last lines may still be on their way to the log.
    match place.wait_for_end() {
        Ok(_) | Err(RunError::Lost { .. }) => reader.drain(show),
        Err(error) => Err(error),
    }
}

/// Reads a log while it grows.
struct Reader {
    path: PathBuf,
    /// The files to read, the next one first; the last one may still grow.
    files: Vec<BufReader<fs::File>>,
    /// The beginning of a line that is still being written.
    begun: Vec<u8>,
}

impl Reader {
    fn open(place: &Place) -> Result<Self, RunError> {
        let path = place.path("log");
        let mut files: Vec<BufReader<fs::File>> = Vec::new();
        // The newer first: if they change places in between, the same file comes twice.
        for path in [&path, &path.with_extension("1")] {
            match fs::File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => files.insert(0, BufReader::new(other.map_err(RunError::File)?)),
            }
        }
        if let [older, newer] = files.as_slice()
            && inode(older)? == inode(newer)?
        {
            files.pop();
        }
        Ok(Self { path, files, begun: Vec::new() })
    }

    /// Shows every whole line up to the end of the newest file.
    fn drain(&mut self, show: &mut dyn FnMut(&str)) -> Result<(), RunError> {
        loop {
            // A container that was just started may have no log yet.
            if self.files.is_empty() && !self.renamed()? {
                return Ok(());
            }
            let Some(file) = self.files.first_mut() else { return Ok(()) };
            while file.read_until(b'\n', &mut self.begun).map_err(RunError::File)? > 0 {
                if self.begun.last() == Some(&b'\n') {
                    show(text(&self.begun).as_ref());
                    self.begun.clear();
                }
            }
            if self.files.len() == 1 && !self.renamed()? {
                return Ok(());
            }
            self.files.remove(0);
        }
    }

    /// Opens the newest file if it is not the one being read: that was renamed meanwhile, or there was none.
    fn renamed(&mut self) -> Result<bool, RunError> {
        let newest = match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => BufReader::new(other.map_err(RunError::File)?),
        };
        if let Some(read) = self.files.first()
            && inode(&newest)? == inode(read)?
        {
            return Ok(false);
        }
        self.files.push(newest);
        Ok(true)
    }
}

fn inode(file: &BufReader<fs::File>) -> Result<u64, RunError> {
    Ok(file.get_ref().metadata().map_err(RunError::File)?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(directory: &Path) -> Place {
        Place { name: "x".parse().unwrap(), directory: directory.to_path_buf() }
    }

    fn lines(reader: &mut Reader) -> Vec<String> {
        let mut seen = Vec::new();
        reader.drain(&mut |line| seen.push(line.to_owned())).unwrap();
        seen
    }

    #[test]
    fn a_log_keeps_the_newest_lines_in_two_files() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::create(directory.path(), 8).unwrap();
        log.copy(&b"aaa\nbbb\nccc\nddd\neee\nfff"[..], &|_| ());
        let mut reader = Reader::open(&place(directory.path())).unwrap();
        assert_eq!(lines(&mut reader), ["ccc", "ddd", "eee", "fff"]);
        assert!(std::fs::metadata(directory.path().join("log")).unwrap().len() <= 8);
    }

    #[test]
    fn a_reader_follows_over_a_rename_and_waits_for_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::create(directory.path(), 8).unwrap();
        let mut reader = Reader::open(&place(directory.path())).unwrap();
        log.write(b"aaa\nb").unwrap();
        assert_eq!(lines(&mut reader), ["aaa"]);
        log.write(b"b\n").unwrap();
        log.write(b"ccc\n").unwrap();
        assert_eq!(lines(&mut reader), ["bb", "ccc"]);
        assert_eq!(lines(&mut reader), Vec::<String>::new());
    }

    #[test]
    fn a_reader_that_comes_before_the_log_sees_all_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = Reader::open(&place(directory.path())).unwrap();
        assert_eq!(lines(&mut reader), Vec::<String>::new());
        Log::create(directory.path(), 8).unwrap().write(b"aaa\n").unwrap();
        assert_eq!(lines(&mut reader), ["aaa"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::create(directory.path(), 1 << 20).unwrap();
        let lengths = std::sync::Mutex::new(Vec::new());
        let endless = vec![b'x'; LINE as usize + 5];
        log.copy(&endless[..], &|line| lengths.lock().unwrap().push(line.len()));
        assert_eq!(*lengths.lock().unwrap(), [LINE as usize, 5]);
    }
}
