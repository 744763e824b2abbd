//! The only place that prints: stdout carries what was asked for, stderr everything else.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};

/// Writes `text` to stdout.
pub fn print(text: &str) {
    // A reader that went away, such as `head`, is no error of ours.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Returns stdin, locked.
pub fn input() -> io::StdinLock<'static> {
    io::stdin().lock()
}

/// Writes `text` to stdout at once; says whether anybody reads on.
pub fn stream(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

/// Writes `error: ` and one line to stderr.
pub fn error(line: &str) {
    say("error", line);
}

/// Writes `warning: ` and one line to stderr.
pub fn warning(line: &str) {
    say("warning", line);
}

/// Writes one line to stderr that is no reason to worry.
pub fn note(line: &str) {
    say("note", line);
}

/// Writes one line to stderr as it is: progress, or an event for programs.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes one line of progress to stderr when somebody looks at it.
pub fn progress(line: &str) {
    if io::stderr().is_terminal() {
        tell(line);
    }
}

/// Returns stdout, for what is no text, unless it is a terminal.
pub fn output() -> Option<OwnedFd> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return None;
    }
    stdout.as_fd().try_clone_to_owned().ok()
}

/// Returns stdin, for what is no text, unless it is a terminal.
pub fn piped() -> Option<OwnedFd> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return None;
    }
    stdin.as_fd().try_clone_to_owned().ok()
}

/// Writes a question to stderr, without a line break.
pub fn ask(question: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
}

fn say(what: &str, line: &str) {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{what}: {line}");
}

/// Returns rows as aligned columns; the last column is not padded.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns a duration for people.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["A", "B", "C"], ["äöü", "x", "long"], ["1", "22", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A    B   C\näöü  x   long\n1    22\n");
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [999, 59_000, 61_000, 3_660_000, 90_000_000].map(duration);
        assert_eq!(shown, ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
