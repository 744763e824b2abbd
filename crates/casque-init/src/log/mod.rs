//! The log: every service's output line by line, without secrets; labelled on standard output, in a file of its own,
//! in memory for who asks later, and in a buffer for the customer's syslog where there is one.

mod buffer;
mod files;
mod form;
mod lines;
mod mask;
mod output;
mod ring;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use casque_format::run::{LogFormat, Logs};

use self::buffer::Buffer;
use self::files::{Change, LogFile};
pub(crate) use self::form::stamp;
use self::lines::{LONGEST, Lines, Piece};
pub(crate) use self::mask::Mask;
pub(crate) use self::output::Output;
use self::ring::Ring;
use crate::sys;

/// The label of PID 1's own lines.
pub(crate) const OWN: &str = "casque";
/// Ends a line that was too long.
const CUT: &[u8] = b" [cut]\n";
/// The most a single answer holds.
const ANSWER_BYTES: usize = 2 << 20;
/// What is read from one service before the others get their turn.
const SLICE: usize = 256 * 1024;
/// What a pipe may hold, by this many slices.
const PIPE_SLICES: usize = 4;
/// How long a pipe is read after its service is gone. A stranger that inherited it may hold it open for ever.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long what the service itself left there may have to wait for a slow reader of standard output.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// What the pipe of a service may hold while PID 1 is busy with others.
pub(crate) const PIPE_BYTES: i32 = 1 << 20;

/// Everything about the log.
#[derive(Debug)]
pub(crate) struct Log {
    output: Output,
    format: LogFormat,
    mask: Mask,
    streams: BTreeMap<u64, Stream>,
    next_stream: u64,
    labels: BTreeMap<String, Label>,
    lines: u64,
    buffer: Vec<u8>,
    /// What the agent sends to the customer's syslog.
    syslog: Option<Buffer>,
    /// What is to be said of that.
    notices: Vec<String>,
    /// What was written since it was last taken, while somebody follows.
    fresh: Option<Vec<(String, Vec<u8>)>>,
}

/// One run's output.
#[derive(Debug)]
struct Stream {
    label: String,
    pipe: File,
    lines: Lines,
    /// Its service is gone: since when, and when to end.
    until: Option<Duration>,
}

/// All output of one label.
#[derive(Debug, Default)]
struct Label {
    ring: Ring,
    file: Option<LogFile>,
    /// The number of its newest line.
    newest: u64,
    dropped: u64,
}

/// What is not where it should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Lines that standard output did not take.
    pub(crate) dropped: u64,
    /// Lines that the file did not take.
    pub(crate) unfiled: u64,
    /// Why the file takes none now.
    pub(crate) problem: Option<String>,
}

impl Log {
    /// Returns a log that writes to `output`.
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            format: LogFormat::default(),
            mask: Mask::default(),
            streams: BTreeMap::new(),
            next_stream: 0,
            labels: BTreeMap::new(),
            lines: 0,
            buffer: Vec::new(),
            syslog: None,
            notices: Vec::new(),
            fresh: None,
        }
    }

    /// From now on hides these values.
    pub(crate) fn hide(&mut self, mask: Mask) {
        self.mask = mask;
    }

    /// From now on writes as the plan wants it, to the files of the plan, and knows these labels.
    pub(crate) fn arrange<'a>(&mut self, logs: &Logs, names: impl Iterator<Item = &'a str>) {
        self.format = logs.format;
        if self.syslog.as_ref().map(Buffer::about) != logs.syslog.as_ref() {
            self.syslog = logs.syslog.clone().map(Buffer::new);
        }
        for name in names.chain([OWN]) {
            let limit = *logs.services.get(name).unwrap_or(&logs.limit);
            let directory = logs.directory.as_deref().map(Path::new);
            let label = self.labels.entry(name.to_owned()).or_default();
            label.file = directory.map(|directory| LogFile::new(directory, name, limit));
        }
    }

    /// Returns a text as it may be shown.
    pub(crate) fn masked(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask.apply(text.as_bytes())).into_owned()
    }

    /// Writes one of PID 1's own lines.
    pub(crate) fn say(&mut self, text: &str) {
        let line = [text.replace('\n', " ").as_bytes(), b"\n"].concat();
        let line = self.mask.apply(&line).into_owned();
        if let Some(Change::Broken(why)) = self.keep(OWN, &line) {
            let notice = broken(self.labels.get(OWN).and_then(|label| label.file.as_ref()), &why);
            self.own_line(format!("{notice}\n").as_bytes());
        }
        self.own_line(&line);
        self.say_notices();
    }

    fn say_notices(&mut self) {
        std::mem::take(&mut self.notices).iter().for_each(|notice| self.say(notice));
    }

    /// Repeats a label's last lines, unless nothing but our own came after them.
    pub(crate) fn quote(&mut self, label: &str) {
        const QUOTED: usize = 5;
        let newest = |label: &Label| label.newest;
        let others = self.labels.iter().filter(|(name, _)| *name != label && *name != OWN);
        let Some(label_lines) = self.labels.get(label) else {
            return;
        };
        if others.map(|(_, other)| newest(other)).max() < Some(newest(label_lines)) {
            return;
        }
        let lines = label_lines
            .ring
            .newest()
            .take(QUOTED)
            .map(|(_, line)| String::from_utf8_lossy(line).into_owned());
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() {
            self.say(&format!("the last lines of `{label}`:"));
            lines.iter().rev().for_each(|line| self.say(&format!("  {line}")));
        }
    }

    /// Takes the reading end of a pipe and returns the stream's number.
    pub(crate) fn open(&mut self, label: &str, pipe: OwnedFd) -> u64 {
        self.next_stream += 1;
        let stream =
            Stream { label: label.to_owned(), pipe: File::from(pipe), lines: Lines::default(), until: None };
        self.streams.insert(self.next_stream, stream);
        self.next_stream
    }

    /// Returns each stream to poll with its descriptor; none while standard output holds them back.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (u64, RawFd)> {
        let open = !self.output.holds_back();
        self.streams.iter().filter(move |_| open).map(|(&id, stream)| (id, stream.pipe.as_raw_fd()))
    }

    /// Returns standard output.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Writes to standard output what it takes.
    pub(crate) fn write(&mut self) {
        self.output.write();
        if self.output.must_own_up() {
            self.own_up();
        }
    }

    /// Reads what one stream has, within limits.
    pub(crate) fn read(&mut self, id: u64) {
        if !self.output.holds_back() {
            self.read_slice(id);
        }
    }

    /// Reads a slice; says whether there may be more.
    fn read_slice(&mut self, id: u64) -> bool {
        let margin = self.mask.longest();
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        // Not more than once, unless longer secrets have come.
        buffer.resize(LONGEST + margin + SLICE, 0);
        let lead = stream.lines.lead(&mut buffer);
        let more = match stream.pipe.read(&mut buffer[lead..lead + SLICE]) {
            Ok(0) => {
                self.close(id);
                false
            }
            Ok(count) => {
                // Taken out, so that its lines can be written while they are found.
                let mut lines = std::mem::take(&mut stream.lines);
                let label = std::mem::take(&mut stream.label);
                lines.take(&buffer[..lead + count], margin, |piece| self.take(&label, piece));
                if let Some(stream) = self.streams.get_mut(&id) {
                    (stream.lines, stream.label) = (lines, label);
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                self.close(id);
                false
            }
        };
        self.buffer = buffer;
        more
    }

    /// The service is gone: reads what it left, then waits a little for whoever else holds the pipe.
    pub(crate) fn finish(&mut self, id: u64, now: Duration) {
        for _ in 0..=PIPE_SLICES {
            if self.output.holds_back() || !self.read_slice(id) {
                break;
            }
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.until = Some(now + PATIENCE);
        }
    }

    /// Closes the streams whose time is over, once they are empty.
    pub(crate) fn due(&mut self, now: Duration) {
        self.output.due(now);
        let waits = self.output.holds_back();
        let over: Vec<(u64, Duration)> = self
            .streams
            .iter()
            .filter_map(|(&id, stream)| Some((id, stream.until.filter(|until| *until <= now)?)))
            .collect();
        for (id, until) in over {
            if waits && now < until + LONGEST_REST {
                continue;
            }
            for _ in 0..=PIPE_SLICES {
                if !self.read_slice(id) {
                    break;
                }
            }
            self.close(id);
        }
    }

    /// Returns when [`Self::due`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let rest = if self.output.holds_back() { LONGEST_REST } else { Duration::ZERO };
        let streams = self.streams.values().filter_map(|stream| stream.until).min().map(|until| until + rest);
        streams.into_iter().chain(self.output.deadline()).min()
    }

    /// Says whether a stream is still open.
    pub(crate) fn is_reading(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Returns the newest lines, oldest first, of one label or of all; none for an unknown label.
    pub(crate) fn newest(&self, label: Option<&str>, count: u32) -> Option<Vec<String>> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut lines: Vec<(u64, &str, &[u8])> = Vec::new();
        let wanted = match label {
            Some(label) => vec![self.labels.get_key_value(label)?],
            None => self.labels.iter().collect(),
        };
        for (name, label) in wanted {
            lines.extend(label.ring.newest().take(count).map(|(number, line)| (number, name.as_str(), line)));
        }
        lines.sort_unstable_by_key(|&(number, ..)| std::cmp::Reverse(number));
        let mut room = ANSWER_BYTES;
        let newest = lines.into_iter().take(count).map_while(|(_, name, line)| {
            room = room.checked_sub(line.len())?;
            Some(format!("{name} | {}", String::from_utf8_lossy(line)))
        });
        let mut newest: Vec<String> = newest.collect();
        newest.reverse();
        Some(newest)
    }

    /// Returns the number of the newest line.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Returns the lines of a label that are newer than the line `number`, oldest first; not more than an answer holds.
    pub(crate) fn since(&self, label: &str, number: u64) -> Vec<String> {
        const MOST: usize = 100;
        let ring = self.labels.get(label).map(|label| label.ring.newest());
        let newer = ring.into_iter().flatten().take(MOST).take_while(|&(line, _)| line > number);
        let mut lines: Vec<String> =
            newer.map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect();
        lines.reverse();
        lines
    }

    /// From now on keeps what is written for [`Self::fresh`], or no longer.
    pub(crate) fn follow(&mut self, follow: bool) {
        match follow {
            true => {
                self.fresh.get_or_insert_default();
            }
            false => self.fresh = None,
        }
    }

    /// Takes the blocks of lines that were written since the last time, each with its label.
    pub(crate) fn fresh(&mut self) -> Vec<(String, Vec<u8>)> {
        self.fresh.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Returns what of a label is not where it should be.
    pub(crate) fn losses(&self, label: &str) -> Losses {
        let Some(label) = self.labels.get(label) else {
            return Losses::default();
        };
        let (unfiled, problem) = label.file.as_ref().map(LogFile::state).unwrap_or_default();
        Losses { dropped: label.dropped, unfiled, problem: problem.map(str::to_owned) }
    }

    fn close(&mut self, id: u64) {
        if let Some(mut stream) = self.streams.remove(&id) {
            stream.lines.finish(|piece| self.take(&stream.label, piece));
        }
    }

    fn take(&mut self, label: &str, piece: Piece<'_>) {
        match piece {
            Piece::Lines(block) => {
                let mask = std::mem::take(&mut self.mask);
                self.add(label, &mask.apply(block));
                self.mask = mask;
            }
            Piece::Long(line) => {
                let mut block = self.mask.apply_up_to(line, LONGEST);
                block.extend_from_slice(CUT);
                self.add(label, &block);
            }
        }
    }

    /// Adds whole lines of a service.
    fn add(&mut self, label: &str, block: &[u8]) {
        let before = self.lines;
        let change = self.keep(label, block);
        let (format, time) = (self.format, self.time());
        let dropped =
            self.output.lines(self.lines - before, |out| form::lines(out, format, time, label, block));
        self.say_notices();
        let Some(kept) = self.labels.get_mut(label) else {
            return;
        };
        kept.dropped += dropped;
        let notice = match (change, kept.file.as_ref()) {
            (Some(Change::Broken(why)), file) => broken(file, &why),
            (Some(Change::Mended), Some(file)) => {
                format!("log file `{}` is written again", file.path().display())
            }
            _ => return,
        };
        self.say(&notice);
    }

    /// Puts lines everywhere but on standard output.
    fn keep(&mut self, label: &str, block: &[u8]) -> Option<Change> {
        if !self.labels.contains_key(label) {
            self.labels.insert(label.to_owned(), Label::default());
        }
        let kept = self.labels.get_mut(label)?;
        self.lines += kept.ring.push(block, self.lines + 1);
        kept.newest = self.lines;
        if let Some(buffer) = &mut self.syslog {
            let directory = buffer.about().directory.clone();
            let notice = match buffer.write(label, block, sys::wall_clock()) {
                Some(Change::Broken(why)) => Some(format!(
                    "cannot write to `{directory}`: {why}; lines do not get to the syslog receiver"
                )),
                Some(Change::Mended) => Some(format!("`{directory}` is written again")),
                None => None,
            };
            self.notices.extend(notice);
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.push((label.to_owned(), block.to_vec()));
        }
        kept.file.as_mut()?.write(block)
    }

    fn own_line(&mut self, line: &[u8]) {
        let (format, time) = (self.format, self.time());
        self.output.own_line(|out, dropped| {
            if dropped > 0 {
                form::lines(out, format, time, OWN, lost(dropped).as_bytes());
            }
            form::lines(out, format, time, OWN, line);
        });
    }

    fn own_up(&mut self) {
        let (format, time) = (self.format, self.time());
        self.output.own_line(|out, dropped| form::lines(out, format, time, OWN, lost(dropped).as_bytes()));
    }

    fn time(&self) -> Duration {
        match self.format {
            LogFormat::Text => Duration::ZERO,
            LogFormat::Json => sys::wall_clock(),
        }
    }
}

fn lost(lines: u64) -> String {
    format!("{lines} lines dropped here: nobody read the log\n")
}

fn broken(file: Option<&LogFile>, why: &str) -> String {
    let path = file.map(|file| file.path().display().to_string()).unwrap_or_default();
    format!("cannot write log file `{path}`: {why}; standard output has its lines")
}

#[cfg(test)]
mod tests;
