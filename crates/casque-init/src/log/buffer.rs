//! Every line once more, numbered and with its time, for the agent to send to the customer's syslog.
//!
//! Segments in a directory, of which the oldest goes when the room is used up. PID 1 does not know what was sent: a number
//! that is missing tells the reader how many lines it did not get.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use casque_format::syslog::{SEGMENTS, segment_first, segment_name};
use memchr::{memchr_iter, memrchr};

use super::files::Change;
use super::form;

/// More than the longest record: each byte of the longest line may become six.
const LONGEST_RECORD: u64 = 128 * 1024;

/// The buffer as it is being written.
#[derive(Debug)]
pub(super) struct Buffer {
    about: casque_format::syslog::Buffer,
    /// The number of the newest record; unknown until the first one is written.
    newest: Option<u64>,
    /// Lines that came before it was known.
    uncounted: u64,
    open: Option<Open>,
    broken: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes of whole records.
    size: u64,
}

impl Buffer {
    /// Returns a buffer that is opened at the first line.
    pub(super) fn new(about: casque_format::syslog::Buffer) -> Self {
        Self { about, newest: None, uncounted: 0, open: None, broken: false }
    }

    /// Returns where it is and what it may take.
    pub(super) fn about(&self) -> &casque_format::syslog::Buffer {
        &self.about
    }

    /// Writes whole lines of a service, read at `time` since 1970.
    pub(super) fn write(&mut self, label: &str, block: &[u8], time: Duration) -> Option<Change> {
        match self.try_write(label, block, time) {
            Ok(()) => std::mem::take(&mut self.broken).then_some(Change::Mended),
            Err(error) => {
                // What is torn would make one line of two. What cannot be cut off is left behind.
                let cut = self.open.as_ref().map(|open| open.file.set_len(open.size));
                if !matches!(cut, Some(Ok(()))) {
                    self.open = None;
                }
                let known = std::mem::replace(&mut self.broken, true);
                (!known).then(|| Change::Broken(error.to_string()))
            }
        }
    }

    fn try_write(&mut self, label: &str, block: &[u8], time: Duration) -> io::Result<()> {
        // Those that cannot be written are counted, too.
        self.uncounted += memchr_iter(b'\n', block).count() as u64;
        let before = match self.newest {
            Some(newest) => newest,
            None => newest(Path::new(&self.about.directory))?,
        };
        let last = before + std::mem::take(&mut self.uncounted);
        self.newest = Some(last);
        let mut number = last - memchr_iter(b'\n', block).count() as u64;
        if self.open.as_ref().is_some_and(Open::is_deleted) {
            self.open = None;
        }
        let stamp = form::stamp(time);
        let mut out = Vec::with_capacity(block.len() + block.len() / 2);
        let mut first = number + 1;
        let mut begin = 0;
        for end in memchr_iter(b'\n', block) {
            number += 1;
            form::record(&mut out, number, &stamp, label, &block[begin..end]);
            begin = end + 1;
            let size = self.open.as_ref().map_or(0, |open| open.size);
            if size + out.len() as u64 >= self.about.size / SEGMENTS {
                self.put(&out, first)?;
                out.clear();
                first = number + 1;
                self.open = None;
            }
        }
        if out.is_empty() { Ok(()) } else { self.put(&out, first) }
    }

    /// Writes whole records, of which the first has the number `first`.
    fn put(&mut self, records: &[u8], first: u64) -> io::Result<()> {
        if self.open.is_none() {
            self.make_room()?;
            self.open = Some(Open::new(&Path::new(&self.about.directory).join(segment_name(first)))?);
        }
        let open = self.open.as_mut().ok_or(ErrorKind::NotFound)?;
        open.file.write_all(records)?;
        open.size += records.len() as u64;
        Ok(())
    }

    /// Removes the oldest segments, so that another one fits.
    fn make_room(&self) -> io::Result<()> {
        let segments = segments(Path::new(&self.about.directory))?;
        let sizes =
            segments.iter().map(|(_, path)| fs::symlink_metadata(path).map_or(0, |about| about.len()));
        let mut total: u64 = sizes.clone().sum();
        for ((_, path), size) in segments.iter().zip(sizes) {
            if total + self.about.size / SEGMENTS <= self.about.size {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
        // Everybody who gets into the directory may read it: the agent, through its group.
        let file =
            OpenOptions::new().append(true).create_new(true).mode(0o644).custom_flags(flags).open(path)?;
        Ok(Self { file, size: 0 })
    }

    fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() == 0)
    }
}

/// Returns the segments, oldest first.
fn segments(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let first = entry.file_name().to_str().and_then(segment_first);
        segments.extend(first.map(|first| (first, entry.path())));
    }
    segments.sort();
    Ok(segments)
}

/// Returns the number of the newest record that may ever have been written.
fn newest(directory: &Path) -> io::Result<u64> {
    let segments = segments(directory)?;
    let Some((first, path)) = segments.last() else { return Ok(0) };
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LONGEST_RECORD)))?;
    let mut tail = Vec::new();
    file.take(LONGEST_RECORD).read_to_end(&mut tail)?;
    let end = memrchr(b'\n', &tail).map_or(0, |end| end + 1);
    // One that a dying machine tore was a line, too.
    let torn = u64::from(end < tail.len());
    let whole = &tail[..end.saturating_sub(1)];
    let line = &whole[memrchr(b'\n', whole).map_or(0, |end| end + 1)..];
    let record = serde_json::from_slice(line).ok();
    let number = record.and_then(|record: serde_json::Value| record.get("number")?.as_u64());
    // A segment without a whole record: it has at least its name.
    Ok(number.map_or(*first, |number| number + torn))
}

#[cfg(test)]
mod tests {
    use casque_format::syslog::Record;

    use super::*;

    const TIME: Duration = Duration::from_millis(1_700_000_000_123);

    fn buffer(directory: &Path, size: u64) -> Buffer {
        let directory = directory.to_str().unwrap().to_owned();
        Buffer::new(casque_format::syslog::Buffer { directory, size })
    }

    fn records(directory: &Path) -> Vec<Record> {
        let all = segments(directory).unwrap().into_iter();
        let text: String = all.map(|(_, path)| fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn numbers(directory: &Path) -> Vec<u64> {
        records(directory).iter().map(|record| record.number).collect()
    }

    #[test]
    fn each_line_is_a_record_with_number_time_and_service() {
        let directory = tempfile::tempdir().unwrap();
        let mut buffer = buffer(directory.path(), 1 << 20);
        assert_eq!(buffer.write("web", b"one\r\n\"two\"\xff\n", TIME), None);
        assert_eq!(buffer.write("db", b"three\n", TIME), None);
        let record = |number, service: &str, line: &str| Record {
            number,
            time: "2023-11-14T22:13:20.123Z".to_owned(),
            service: service.to_owned(),
            line: line.to_owned(),
        };
        let expected =
            [record(1, "web", "one"), record(2, "web", "\"two\"\u{fffd}"), record(3, "db", "three")];
        assert_eq!(records(directory.path()), expected);
    }

    #[test]
    fn numbers_go_on_after_a_restart_and_count_a_record_that_was_torn() {
        let directory = tempfile::tempdir().unwrap();
        buffer(directory.path(), 1 << 20).write("web", b"1\n2\n", TIME);
        buffer(directory.path(), 1 << 20).write("web", b"3\n", TIME);
        let mut torn = OpenOptions::new().append(true).open(directory.path().join(segment_name(3))).unwrap();
        torn.write_all(b"{\"number\":4,\"ti").unwrap();
        buffer(directory.path(), 1 << 20).write("web", b"5\n", TIME);
        let names: Vec<u64> = segments(directory.path()).unwrap().iter().map(|(first, _)| *first).collect();
        assert_eq!(names, [1, 3, 5]);
        fs::write(directory.path().join(segment_name(6)), "{\"nu").unwrap();
        buffer(directory.path(), 1 << 20).write("web", b"7\n", TIME);
        assert!(directory.path().join(segment_name(7)).exists());
    }

    #[test]
    fn the_oldest_go_when_the_room_is_used_up() {
        let directory = tempfile::tempdir().unwrap();
        let size = 8 << 10;
        let mut buffer = buffer(directory.path(), size);
        for _ in 0..100 {
            buffer.write("web", &[b'x'; 999].iter().chain(b"\n").copied().collect::<Vec<_>>(), TIME);
        }
        let all = segments(directory.path()).unwrap();
        let total: u64 = all.iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum();
        assert!(total <= size && total > size / 2, "{total}");
        assert_eq!(numbers(directory.path()).last(), Some(&100));
        let first = numbers(directory.path())[0];
        assert_eq!(numbers(directory.path()), (first..=100).collect::<Vec<_>>());
    }

    #[test]
    fn lines_that_could_not_be_written_leave_a_gap_and_are_said_once() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("buffer");
        let mut buffer = buffer(&below, 1 << 20);
        fs::create_dir(&below).unwrap();
        buffer.write("web", b"1\n", TIME);
        fs::remove_dir_all(&below).unwrap();
        assert!(matches!(buffer.write("web", b"2\n3\n", TIME), Some(Change::Broken(_))));
        assert_eq!(buffer.write("web", b"4\n", TIME), None);
        fs::create_dir(&below).unwrap();
        assert_eq!(buffer.write("web", b"5\n", TIME), Some(Change::Mended));
        assert_eq!(numbers(&below), [5]);
    }
}
