//! PID 1's own standard output, which never blocks: whoever reads it may stall, the services may
//! not.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// The most that waits to be read.
const ROOM: usize = 1 << 20;
/// What PID 1's own lines may take beyond that.
const OWN_ROOM: usize = 64 * 1024;
/// A pipe that poll(2) calls writable takes this many bytes at once (PIPE_BUF).
const SLICE: usize = 4096;
/// What is written in one go when the file says itself that it is full.
const LARGE_SLICE: usize = 64 * 1024;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    nonblocking: bool,
    waiting: Vec<u8>,
    written: usize,
    dropped: u64,
    /// Nobody will ever read it again.
    closed: bool,
}

impl Output {
    /// Takes standard output.
    ///
    /// Non-blocking is a mark of the open file, which others may share, so the file is opened anew
    /// where that is possible: a pipe or a terminal.
    pub(crate) fn standard() -> io::Result<Self> {
        let own = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open("/proc/self/fd/1")
            .ok()
            .filter(|file| {
                file.metadata()
                    .is_ok_and(|about| about.file_type().is_fifo() || about.file_type().is_char_device())
            });
        Ok(match own {
            Some(file) => Self::new(file, true),
            None => Self::new(File::from(io::stdout().as_fd().try_clone_to_owned()?), false),
        })
    }

    fn new(file: File, nonblocking: bool) -> Self {
        Self { file, nonblocking, waiting: Vec::new(), written: 0, dropped: 0, closed: false }
    }

    /// Returns the descriptor to poll.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Says whether something waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.closed && self.pending() > 0
    }

    /// Adds a service's line; when there is no room, counts it.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.line_within(ROOM, line);
    }

    /// Adds one of PID 1's own lines, for which there is always some room: why the container ended
    /// must not be lost in a service's flood.
    pub(crate) fn own_line(&mut self, line: &[u8]) {
        self.line_within(ROOM + OWN_ROOM, line);
    }

    fn line_within(&mut self, room: usize, line: &[u8]) {
        if self.pending() + line.len() + 1 > room {
            self.dropped += 1;
            return;
        }
        self.own_up();
        self.push(line);
    }

    /// Writes what fits. Call it when poll says that something does.
    pub(crate) fn write(&mut self) {
        let slice = if self.nonblocking { LARGE_SLICE } else { SLICE };
        while self.is_waiting() {
            let end = self.waiting.len().min(self.written + slice);
            match self.file.write(&self.waiting[self.written..end]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A full disk may be emptied again; a reader that is gone does not come back.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    self.written = end;
                    self.dropped += 1;
                }
                Err(_) => self.closed = true,
            }
            if !self.nonblocking {
                break;
            }
        }
        if self.closed || self.written == self.waiting.len() {
            self.waiting.clear();
            self.written = 0;
        } else if self.written > ROOM / 2 {
            self.waiting.drain(..self.written);
            self.written = 0;
        }
        if self.pending() < ROOM / 2 {
            self.own_up();
        }
    }

    /// Says how many lines were dropped.
    fn own_up(&mut self) {
        if self.dropped > 0 && !self.closed {
            let dropped = std::mem::take(&mut self.dropped);
            self.push(format!("casque | {dropped} lines dropped here: nobody read the log").as_bytes());
        }
    }

    fn push(&mut self, line: &[u8]) {
        if !self.closed {
            self.waiting.extend_from_slice(line);
            self.waiting.push(b'\n');
        }
    }

    fn pending(&self) -> usize {
        self.waiting.len() - self.written
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn pipe() -> (File, Output) {
        let (read, write) = crate::sys::pipe().unwrap();
        crate::sys::set_nonblocking(&write).unwrap();
        (File::from(read), Output::new(File::from(write), true))
    }

    fn read_all(file: &mut File) -> String {
        let mut text = Vec::new();
        let end = file.read_to_end(&mut text).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::WouldBlock);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_is_told_how_many() {
        let (mut reader, mut output) = pipe();
        let line = [b'x'; 1023];
        for _ in 0..ROOM / 1024 + 3 {
            output.line(&line);
        }
        let mut text = String::new();
        while output.is_waiting() {
            output.write();
            text += &read_all(&mut reader);
        }
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), ROOM / 1024 + 1);
        assert_eq!(lines.last(), Some(&"casque | 3 lines dropped here: nobody read the log"));
    }

    #[test]
    fn a_reader_that_is_gone_ends_all_writing() {
        let (reader, mut output) = pipe();
        drop(reader);
        output.line(b"one");
        output.write();
        output.line(b"two");
        assert!(!output.is_waiting());
    }
}
