//! PID 1's own standard output, which never blocks: whoever reads it may stall, the services may
//! not.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::Duration;

use memchr::memchr_iter;

use crate::sys;

/// So much waits to be read before services have to wait too.
const ROOM: usize = 1 << 20;
/// What PID 1's own lines may take beyond that.
const OWN_ROOM: usize = 64 * 1024;
/// A pipe that poll(2) calls writable takes this many bytes at once (PIPE_BUF).
const SLICE: usize = 4096;
/// What is written in one go when the file says itself that it is full.
const LARGE_SLICE: usize = 256 * 1024;
/// What a single read may have added before anybody saw that it is full.
const MOST_BEYOND: usize = 1 << 20;

/// How long a full output stops the reading of what services write, unless it takes something.
const STALL: Duration = Duration::from_secs(1);

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    kind: Kind,
    waiting: Vec<u8>,
    written: usize,
    dropped: u64,
    /// Since when it has been full and has taken nothing.
    stuck_since: Option<Duration>,
    /// It has been stuck for too long: lines are dropped until there is room.
    stalled: bool,
    /// Nobody will ever read it again.
    closed: bool,
}

/// How to write without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An open file of our own, marked as non-blocking.
    Own,
    /// A socket: each call says that it must not wait.
    Socket,
    /// Shared with others, or a plain file: as much as poll(2) promises to be taken at once.
    Shared,
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
        if let Some(file) = own {
            return Ok(Self::new(file, Kind::Own));
        }
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let socket = file.metadata()?.file_type().is_socket();
        Ok(Self::new(file, if socket { Kind::Socket } else { Kind::Shared }))
    }

    fn new(file: File, kind: Kind) -> Self {
        Self {
            file,
            kind,
            waiting: Vec::new(),
            written: 0,
            dropped: 0,
            stuck_since: None,
            stalled: false,
            closed: false,
        }
    }

    /// Returns the descriptor to poll.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Says whether something waits to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.closed && self.pending() > 0
    }

    /// Says whether services have to wait until something is taken.
    pub(crate) fn holds_back(&self) -> bool {
        !self.closed && !self.stalled && self.pending() >= ROOM
    }

    /// Adds services' lines as `form` writes them; once it has stalled, counts them instead. Returns how many of
    /// `lines` were dropped.
    pub(super) fn lines(&mut self, lines: u64, form: impl FnOnce(&mut Vec<u8>)) -> u64 {
        if self.closed {
            return 0;
        }
        if self.stalled {
            self.dropped += lines;
            return lines;
        }
        form(&mut self.waiting);
        0
    }

    /// Adds one of PID 1's own lines, for which there is some room even then: why the container ended must not be lost
    /// in a service's flood.
    pub(super) fn own_line(&mut self, form: impl FnOnce(&mut Vec<u8>, u64)) {
        if self.closed {
            return;
        }
        if self.stalled && self.pending() >= ROOM + OWN_ROOM + MOST_BEYOND {
            self.dropped += 1;
            return;
        }
        form(&mut self.waiting, std::mem::take(&mut self.dropped));
    }

    /// Says whether it is time to own up to lines that were dropped.
    pub(super) fn must_own_up(&self) -> bool {
        self.dropped > 0 && !self.stalled && !self.closed
    }

    /// Judges whether it has stalled.
    pub(super) fn due(&mut self, now: Duration) {
        if !self.holds_back() {
            self.stuck_since = None;
        } else if now >= *self.stuck_since.get_or_insert(now) + STALL {
            self.stalled = true;
        }
    }

    /// Returns when [`Self::due`] has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.stuck_since.filter(|_| self.holds_back()).map(|since| since + STALL)
    }

    /// Writes what fits. Call it when poll says that something does.
    pub(crate) fn write(&mut self) {
        let slice = if self.kind == Kind::Shared { SLICE } else { LARGE_SLICE };
        while self.is_waiting() {
            let end = self.waiting.len().min(self.written + slice);
            let part = &self.waiting[self.written..end];
            let result = match self.kind {
                Kind::Socket => sys::send_now(&self.file, part),
                Kind::Own | Kind::Shared => self.file.write(part),
            };
            match result {
                Ok(written) => {
                    self.written += written;
                    self.stuck_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A full disk may be emptied again; a reader that is gone does not come back.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    self.dropped += memchr_iter(b'\n', part).count() as u64;
                    self.written = end;
                }
                Err(_) => self.closed = true,
            }
            if self.kind == Kind::Shared {
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
            self.stalled = false;
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
        let (read, write) = sys::pipe().unwrap();
        sys::set_nonblocking(&write).unwrap();
        (File::from(read), Output::new(File::from(write), Kind::Own))
    }

    fn read_all(file: &mut File) -> String {
        let mut text = Vec::new();
        let end = file.read_to_end(&mut text).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::WouldBlock);
        String::from_utf8(text).unwrap()
    }

    fn line(output: &mut Output) -> u64 {
        output.lines(1, |out| out.extend([b'x'; 1023].iter().chain(b"\n")))
    }

    #[test]
    fn a_slow_reader_holds_services_back_and_a_stuck_one_costs_lines() {
        let (mut reader, mut output) = pipe();
        while !output.holds_back() {
            assert_eq!(line(&mut output), 0);
        }
        let now = Duration::from_secs(7);
        output.due(now);
        assert_eq!(output.deadline(), Some(now + STALL));
        output.write();
        while !output.holds_back() {
            line(&mut output);
        }
        output.due(now + STALL);
        assert!(output.holds_back(), "it took something, so it has not stalled");
        output.due(now + 2 * STALL);
        assert!(!output.holds_back());
        assert_eq!((line(&mut output), line(&mut output), output.must_own_up()), (1, 1, false));
        output.own_line(|out, dropped| out.extend(format!("{dropped} dropped\n").bytes()));
        let mut text = String::new();
        while output.is_waiting() {
            output.write();
            text += &read_all(&mut reader);
        }
        assert!(text.ends_with("x\n2 dropped\n"));
        assert_eq!(line(&mut output), 0, "there is room again");
    }

    #[test]
    fn a_reader_that_is_gone_ends_all_writing() {
        let (reader, mut output) = pipe();
        drop(reader);
        line(&mut output);
        output.write();
        line(&mut output);
        assert!(!output.is_waiting() && !output.holds_back());
    }

    #[test]
    fn a_full_socket_does_not_wait() {
        let (mut reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut output = Output::new(File::from(std::os::fd::OwnedFd::from(writer)), Kind::Socket);
        while !output.holds_back() {
            line(&mut output);
        }
        output.write();
        assert!(output.is_waiting());
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [b'x']);
    }
}
