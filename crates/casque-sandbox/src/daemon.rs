//! A program that goes on after the one that started it has returned.

use std::fs::OpenOptions;
use std::path::Path;

use crate::error::{Doing, Error};

/// Leaves the caller's session, so that its terminal's Ctrl-C and hang-up do not reach this process.
/// The caller must not be the leader of its process group, as a child of a program is not.
pub fn leave_session() -> Result<(), Error> {
    rustix::process::setsid().doing("start a session")?;
    Ok(())
}

/// Lets go of the caller's stdout and stderr: its pipes close, and what is written is thrown away.
pub fn leave_output() -> Result<(), Error> {
    let path = Path::new("/dev/null");
    let null = OpenOptions::new().write(true).open(path).doing_to("open", path)?;
    rustix::stdio::dup2_stdout(&null).doing("let go of stdout")?;
    rustix::stdio::dup2_stderr(&null).doing("let go of stderr")?;
    Ok(())
}
