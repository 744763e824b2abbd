//! The log: every service's output line by line, labelled, without secrets, on standard output and
//! in memory for who asks later.

mod lines;
mod mask;
mod output;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use self::lines::{LONGEST, Line, Lines};
pub(crate) use self::mask::Mask;
pub(crate) use self::output::Output;

/// The label of PID 1's own lines.
const OWN: &str = "casque";
/// Lines kept in memory for each label, and their bytes.
const KEPT_LINES: usize = 1000;
const KEPT_BYTES: usize = 1 << 20;
/// The most a single answer holds.
const ANSWER_BYTES: usize = 2 << 20;
/// What is read from one service before the others get their turn.
const SLICE: usize = 64 * 1024;
/// What may still come out of a pipe when its service is gone: as much as a pipe holds.
const REST_SLICES: usize = 16;
/// How long a pipe is read after its service is gone. A stranger that inherited it may hold it open
/// for ever.
const PATIENCE: Duration = Duration::from_millis(200);

/// Everything about the log.
#[derive(Debug)]
pub(crate) struct Log {
    output: Output,
    mask: Mask,
    streams: BTreeMap<u64, Stream>,
    next_stream: u64,
    kept: BTreeMap<String, Kept>,
    lines: u64,
}

/// One run's output.
#[derive(Debug)]
struct Stream {
    label: String,
    pipe: File,
    lines: Lines,
    until: Option<Duration>,
}

/// The newest lines of one label, numbered in the order they were written.
#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<(u64, String)>,
    bytes: usize,
}

impl Log {
    /// Returns a log that writes to `output`.
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            mask: Mask::default(),
            streams: BTreeMap::new(),
            next_stream: 0,
            kept: BTreeMap::new(),
            lines: 0,
        }
    }

    /// From now on hides these values.
    pub(crate) fn hide(&mut self, mask: Mask) {
        self.mask = mask;
    }

    /// Writes one of PID 1's own lines.
    pub(crate) fn say(&mut self, text: &str) {
        self.write_line(OWN, text.as_bytes(), false);
    }

    /// Takes the reading end of a pipe and returns the stream's number.
    pub(crate) fn open(&mut self, label: &str, pipe: OwnedFd) -> u64 {
        self.next_stream += 1;
        let stream =
            Stream { label: label.to_owned(), pipe: File::from(pipe), lines: Lines::default(), until: None };
        self.streams.insert(self.next_stream, stream);
        self.next_stream
    }

    /// Returns each stream with the descriptor to poll.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (u64, RawFd)> {
        self.streams.iter().map(|(&id, stream)| (id, stream.pipe.as_raw_fd()))
    }

    /// Returns standard output.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Reads what one stream has, within limits.
    pub(crate) fn read(&mut self, id: u64) {
        let mut buffer = [0; SLICE];
        let read = match self.streams.get_mut(&id) {
            Some(stream) => stream.pipe.read(&mut buffer),
            None => return,
        };
        match read {
            Ok(0) => self.close(id),
            Ok(count) => self.take(id, &buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.close(id),
        }
    }

    /// The service is gone: reads what it left, then waits a little for whoever else holds the
    /// pipe.
    pub(crate) fn finish(&mut self, id: u64, now: Duration) {
        for _ in 0..REST_SLICES {
            self.read(id);
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.until = Some(now + PATIENCE);
        }
    }

    /// Closes the streams whose time is over.
    pub(crate) fn due(&mut self, now: Duration) {
        let over: Vec<u64> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.until.is_some_and(|until| until <= now))
            .map(|(&id, _)| id)
            .collect();
        for id in over {
            self.close(id);
        }
    }

    /// Returns when [`Self::due`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.streams.values().filter_map(|stream| stream.until).min()
    }

    /// Says whether a stream is still open.
    pub(crate) fn is_reading(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Returns the newest lines, oldest first, of one label or of all; none for an unknown label.
    pub(crate) fn newest(&self, label: Option<&str>, count: u32) -> Option<Vec<String>> {
        let mut lines: Vec<&(u64, String)> = match label {
            Some(label) => self.kept.get(label)?.lines.iter().collect(),
            None => self.kept.values().flat_map(|kept| &kept.lines).collect(),
        };
        lines.sort_unstable_by_key(|(number, _)| *number);
        let mut room = ANSWER_BYTES;
        let newest = lines.iter().rev().take(usize::try_from(count).unwrap_or(usize::MAX));
        let mut newest: Vec<String> = newest
            .map_while(|(_, line)| {
                room = room.checked_sub(line.len())?;
                Some(line.clone())
            })
            .collect();
        newest.reverse();
        Some(newest)
    }

    /// Makes a label known that has not written anything yet.
    pub(crate) fn know(&mut self, label: &str) {
        self.kept.entry(label.to_owned()).or_default();
    }

    fn take(&mut self, id: u64, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let mut ready = Vec::new();
        stream.lines.take(bytes, self.mask.longest(), |line| ready.push(line));
        let label = stream.label.clone();
        self.write_lines(&label, ready);
    }

    fn close(&mut self, id: u64) {
        if let Some(mut stream) = self.streams.remove(&id) {
            let mut ready = Vec::new();
            stream.lines.finish(|line| ready.push(line));
            self.write_lines(&stream.label, ready);
        }
    }

    fn write_lines(&mut self, label: &str, lines: Vec<Line>) {
        for Line { bytes, cut } in lines {
            self.write_line(label, &bytes, cut);
        }
    }

    fn write_line(&mut self, label: &str, bytes: &[u8], cut: bool) {
        let masked = self.mask.apply(bytes, LONGEST);
        let cut = if cut || bytes.len() > LONGEST { " [cut]" } else { "" };
        let line = format!("{label} | {}{cut}", String::from_utf8_lossy(&masked));
        if label == OWN {
            self.output.own_line(line.as_bytes());
        } else {
            self.output.line(line.as_bytes());
        }
        self.lines += 1;
        self.kept.entry(label.to_owned()).or_default().push(self.lines, line);
    }
}

impl Kept {
    fn push(&mut self, number: u64, line: String) {
        self.bytes += line.len();
        self.lines.push_back((number, line));
        while self.lines.len() > KEPT_LINES || self.bytes > KEPT_BYTES {
            match self.lines.pop_front() {
                Some((_, line)) => self.bytes -= line.len(),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn log() -> Log {
        Log::new(Output::standard().unwrap())
    }

    fn stream(log: &mut Log, label: &str) -> (u64, File) {
        let (read, write) = crate::sys::pipe().unwrap();
        (log.open(label, read), File::from(write))
    }

    #[test]
    fn a_secret_across_two_reads_and_across_the_limit_is_masked() {
        let mut log = log();
        log.hide(Mask::new(&["topsecret".to_owned()]));
        let (id, mut pipe) = stream(&mut log, "web");
        pipe.write_all(b"it is top").unwrap();
        log.read(id);
        pipe.write_all(b"secret!\n").unwrap();
        log.read(id);
        let before = "x".repeat(LONGEST - 4);
        pipe.write_all(format!("{before}topsecret and much more\n").as_bytes()).unwrap();
        log.read(id);
        let shrunk = format!("topsecret{}", "x".repeat(LONGEST - 9));
        pipe.write_all(format!("{shrunk}topsec and much more\n").as_bytes()).unwrap();
        log.read(id);
        assert_eq!(
            log.newest(Some("web"), 10).unwrap(),
            [
                "web | it is ***!".to_owned(),
                format!("web | {before}*** [cut]"),
                format!("web | ***{} [cut]", "x".repeat(LONGEST - 9)),
            ]
        );
    }

    #[test]
    fn the_newest_lines_of_all_come_in_the_order_they_were_written() {
        let mut log = log();
        let (web, mut web_pipe) = stream(&mut log, "web");
        let (db, mut db_pipe) = stream(&mut log, "db");
        web_pipe.write_all(b"1\n").unwrap();
        log.read(web);
        db_pipe.write_all(b"2\n").unwrap();
        log.read(db);
        log.say("3");
        web_pipe.write_all(b"4").unwrap();
        drop(web_pipe);
        log.finish(web, Duration::ZERO);
        assert_eq!(log.newest(None, 3).unwrap(), ["db | 2", "casque | 3", "web | 4"]);
        assert_eq!(log.newest(Some("db"), 3).unwrap(), ["db | 2"]);
        assert_eq!(log.newest(Some("cache"), 3), None);
        log.know("cache");
        assert_eq!(log.newest(Some("cache"), 3), Some(vec![]));
    }

    #[test]
    fn memory_is_bounded_in_lines_and_in_bytes() {
        let mut log = log();
        for number in 0..KEPT_LINES + 5 {
            log.say(&number.to_string());
        }
        let kept = log.newest(None, u32::MAX).unwrap();
        assert_eq!((kept.len(), kept[0].as_str()), (KEPT_LINES, "casque | 5"));
        let long = "x".repeat(LONGEST);
        for _ in 0..KEPT_LINES {
            log.say(&long);
        }
        assert_eq!(log.newest(None, u32::MAX).unwrap().len(), KEPT_BYTES / (LONGEST + 9));
    }

    #[test]
    fn a_pipe_held_by_a_stranger_is_closed_after_a_while() {
        let mut log = log();
        let (id, _held) = stream(&mut log, "web");
        log.finish(id, Duration::from_secs(1));
        assert_eq!(log.deadline(), Some(Duration::from_millis(1200)));
        log.due(Duration::from_millis(1199));
        assert!(log.is_reading());
        log.due(Duration::from_millis(1200));
        assert!(!log.is_reading());
    }
}
