//! The only place that prints.

use std::io::Write as _;

/// Prints a line to stdout; a reader that went away is no error, as with the real tools.
pub(crate) fn out(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Prints a line to stderr.
pub(crate) fn err(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
