//! The only place that prints. What was asked for goes to stdout, everything else to stderr.

#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

use std::io::Write as _;

use casque_depot::config::Log;

/// Prints what was asked for.
pub(crate) fn line(text: &str) {
    // A reader that went away, as `head` does, is no error of ours.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Says something beside it.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Has what the server does written to stderr, a line each.
pub(crate) fn log(form: Log) {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    match form {
        Log::Text => lines.init(),
        Log::Json => lines.json().flatten_event(true).init(),
    }
}
