//! Stopping a container from outside.

use std::time::Duration;

use super::error::RunError;
use super::state::Place;

/// How a container was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// The code of its process 1.
    pub(crate) code: i32,
    /// It did not end in time and was killed.
    pub(crate) killed: bool,
}

/// Asks process 1 for an ordered stop, kills it after `patience`, and waits until all is put away.
pub(crate) fn stop(place: &Place, patience: Duration) -> Result<Stopped, RunError> {
    let state = place.running()?;
    let killed = match place.process(&state) {
        Ok(process) => {
            let asked = process.signal(state.stop_signal);
            let in_time = ended(asked)? || process.wait(patience)?;
            if !in_time {
                ended(process.signal(KILL))?;
            }
            !in_time
        }
        // It has ended by itself just now, and its supervisor is putting things away.
        Err(RunError::Sandbox(casque_sandbox::Error::Gone { .. })) => false,
        Err(error) => return Err(error),
    };
    Ok(Stopped { code: place.wait_for_end()?, killed })
}

const KILL: i32 = 9;

/// Tells whether a signal found the process gone.
fn ended(sent: Result<(), casque_sandbox::Error>) -> Result<bool, RunError> {
    match sent {
        Ok(()) => Ok(false),
        Err(casque_sandbox::Error::Gone { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
