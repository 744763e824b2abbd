//! Reads the buffer that PID 1 writes: from a place on, in order, and with what is missing counted.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use casque_format::syslog::{Position, Record, segment_first};
use fs_err as fs;

/// What is read of a segment at once; more than the longest record.
const SLICE: u64 = 256 * 1024;
/// Between a look at the directory and the opening of a file PID 1 may remove that.
const TRIES: usize = 10;

/// What is to be sent, and the place after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// So many records before it are missing, and nothing else: the record itself is the next item.
    pub missing: Option<u64>,
    /// The record.
    pub record: Record,
    /// Where to go on after this item.
    pub after: Position,
}

/// Returns about as many items as fit into `most` bytes, at least one where there is one.
///
/// # Errors
/// A directory or a segment that cannot be read.
pub fn read(directory: &Path, from: Position, most: usize) -> io::Result<(Vec<Item>, Position)> {
    let mut tries = 0;
    loop {
        match try_read(directory, from, most) {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES && directory.exists() => {
                tries += 1
            }
            other => return other,
        }
    }
}

fn try_read(directory: &Path, from: Position, most: usize) -> io::Result<(Vec<Item>, Position)> {
    let segments = segments(directory)?;
    let mut items = Vec::new();
    let mut at = from;
    let mut bytes = 0;
    let Some(mut index) = begin(&segments, &mut at) else { return Ok((items, at)) };
    loop {
        let mut file = fs::File::open(&segments[index].1)?;
        file.seek(SeekFrom::Start(at.offset))?;
        let mut slice = Vec::new();
        file.take(SLICE).read_to_end(&mut slice)?;
        let mut rest = slice.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            let before = at.offset;
            at.offset += line.len() as u64;
            // A line that a dying machine tore is missing by its number.
            let Ok(record) = serde_json::from_slice::<Record>(line) else { continue };
            if record.number < at.next {
                continue;
            }
            let missing = record.number - at.next;
            if missing > 0 {
                at = Position { next: record.number, lost: at.lost + missing, ..at };
                let after = Position { offset: before, ..at };
                items.push(Item { missing: Some(missing), record: record.clone(), after });
            }
            at.next = record.number + 1;
            bytes += line.len();
            items.push(Item { missing: None, record, after: at });
            if bytes >= most {
                return Ok((items, at));
            }
        }
        let is_read = (slice.len() as u64) < SLICE;
        match (is_read, segments.get(index + 1)) {
            // PID 1 never goes back to one that it has left: what has no end there will never have one.
            (true, Some((first, _))) => {
                at = Position { segment: *first, offset: 0, ..at };
                index += 1;
            }
            (true, None) => return Ok((items, at)),
            // Nothing that PID 1 wrote: no record is as long.
            (false, _) if !slice.contains(&b'\n') => at.offset += SLICE,
            (false, _) => {}
        }
    }
}

/// Finds the segment to begin with, and moves the place there when its own is gone.
fn begin(segments: &[(u64, PathBuf)], at: &mut Position) -> Option<usize> {
    let index = segments.partition_point(|(first, _)| *first < at.segment);
    match segments.get(index) {
        Some((first, _)) if *first == at.segment => Some(index),
        Some((first, _)) => {
            *at = Position { segment: *first, offset: 0, ..*at };
            Some(index)
        }
        // The newest is always there, so somebody emptied the directory and numbers begin anew.
        None => {
            let (first, _) = segments.first()?;
            *at = Position { segment: *first, offset: 0, next: *first, ..*at };
            Some(0)
        }
    }
}

/// Returns how many bytes of the buffer come after a place.
pub fn waiting(directory: &Path, after: Position) -> u64 {
    let Ok(segments) = segments(directory) else { return 0 };
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |about| about.len());
    let later = segments.iter().filter(|(first, _)| *first >= after.segment);
    let bytes = later.map(|(first, path)| match *first == after.segment {
        true => size(path).saturating_sub(after.offset),
        false => size(path),
    });
    bytes.sum()
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

#[cfg(test)]
mod tests {
    use casque_format::syslog::segment_name;
    use tempfile::TempDir;

    use super::*;
    use crate::syslog::cursor::BEGINNING;

    fn segment(directory: &TempDir, first: u64, numbers: impl IntoIterator<Item = u64>, rest: &str) {
        let line = |number: u64| {
            let record =
                Record { number, time: "t".into(), service: "web".into(), line: format!("line {number}") };
            serde_json::to_string(&record).unwrap() + "\n"
        };
        let text: String = numbers.into_iter().map(line).collect();
        fs::write(directory.path().join(segment_name(first)), text + rest).unwrap();
    }

    /// Numbers of records, and `-N` for N that are missing, read in steps of `most` bytes.
    fn numbers(directory: &TempDir, mut at: Position, most: usize) -> (Vec<i64>, Position) {
        let mut numbers = Vec::new();
        loop {
            let (items, after) = read(directory.path(), at, most).unwrap();
            numbers.extend(items.iter().map(|item| match item.missing {
                Some(missing) => -i64::try_from(missing).unwrap(),
                None => i64::try_from(item.record.number).unwrap(),
            }));
            if items.is_empty() {
                return (numbers, after);
            }
            // Going on after any item is the same as going on after the last.
            assert_eq!(items.last().unwrap().after, after);
            at = after;
        }
    }

    #[test]
    fn records_come_in_order_over_segments_however_little_is_read_at_once() {
        let directory = tempfile::tempdir().unwrap();
        segment(&directory, 1, 1..=3, "");
        segment(&directory, 4, 4..=900, "");
        segment(&directory, 901, 901..=902, "{\"number\":903,\"half");
        let expected: Vec<i64> = (1..=902).collect();
        for most in [1, 100, 1 << 20] {
            assert_eq!(numbers(&directory, BEGINNING, most).0, expected);
        }
        let (_, end) = numbers(&directory, BEGINNING, 1000);
        segment(&directory, 901, 901..=903, "");
        assert_eq!(numbers(&directory, end, 1).0, [903]);
    }

    #[test]
    fn what_is_missing_is_counted_once_at_its_place() {
        let directory = tempfile::tempdir().unwrap();
        segment(&directory, 5, [5, 6, 9], "torn");
        segment(&directory, 11, 11..=12, "");
        let (found, end) = numbers(&directory, BEGINNING, 1);
        assert_eq!((found.as_slice(), end.lost), (&[-4, 5, 6, -2, 9, -1, 11, 12][..], 7));
        let (items, _) = read(directory.path(), BEGINNING, 1).unwrap();
        // Killed between the two: the count is not repeated.
        assert_eq!(read(directory.path(), items[0].after, 1).unwrap().0[0].record.number, 5);
        fs::remove_file(directory.path().join(segment_name(5))).unwrap();
        segment(&directory, 20, [20], "");
        let later = Position { segment: 5, offset: 10, next: 6, lost: 4 };
        assert_eq!(numbers(&directory, later, 1 << 20).0, [-5, 11, 12, -7, 20]);
    }

    #[test]
    fn a_buffer_that_was_emptied_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        segment(&directory, 1, 1..=2, "");
        let later = Position { segment: 700, offset: 10, next: 706, lost: 4 };
        assert_eq!(numbers(&directory, later, 1).0, [1, 2]);
    }

    #[test]
    fn what_waits_is_what_comes_after() {
        let directory = tempfile::tempdir().unwrap();
        segment(&directory, 1, [], "12345");
        segment(&directory, 2, [], "123");
        let at = |segment, offset| Position { segment, offset, next: 1, lost: 0 };
        assert_eq!([at(0, 9), at(1, 3), at(2, 3)].map(|at| waiting(directory.path(), at)), [8, 5, 0]);
    }
}
