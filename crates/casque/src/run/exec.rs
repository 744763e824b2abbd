//! One more command inside a container.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use casque_sandbox::{Exit, Join, Sandbox, Session, Signals, Streams};

use super::environment::{merge, of_process};
use super::error::RunError;
use super::state::Place;
use super::user::User;

/// Runs `command` inside a container as the user that this runs as, with this program's own streams and terminal.
///
/// It sees the environment of the container's process 1, and may do what that may do.
pub(crate) fn exec(place: &Place, command: Vec<String>, sandbox: &Sandbox) -> Result<Exit, RunError> {
    let state = place.running()?;
    let of_container = of_process(state.pid)?;
    // What a terminal understands is known to nobody here; this is what nearly all of them do.
    let terminal = std::io::stdin().is_terminal().then(|| ("TERM".to_owned(), "xterm".to_owned()));
    let join = Join {
        pid: state.pid,
        start_time: state.pid_start,
        command,
        environment: merge(of_container.into_iter().chain(terminal)),
        working_directory: PathBuf::from("/"),
        identity: state.user.and_then(User::identity),
        privileges: state.privileges,
        no_new_privileges: state.no_new_privileges,
        session: Session::Caller,
    };
    // Ctrl-C is for the command, which decides what it means; this program waits for its end.
    let _terminal = Signals::take_over(&[2, 3]);
    Ok(sandbox.join(&join, Streams::inherit())?.wait()?)
}
