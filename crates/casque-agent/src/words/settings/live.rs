//! What runs takes over changed settings, or everything stays as it was.

use std::io;

use casque_format::control::{Change, Overall, Reply, Request, ServiceState, Snapshot, Touched};

use crate::control::{ask, listen};
use crate::error::Error;
use crate::root::Root;
use crate::words::status::notes;

/// Has PID 1 prepare its plan anew and carry it out. Returns what that touched when all of it runs again, and nothing where
/// nothing runs.
///
/// # Errors
/// Why PID 1 changed nothing; or a service that did not come up, and then what changed has to be taken back.
pub fn take_over(root: &Root) -> Result<Option<Vec<Change>>, Error> {
    let changes = match ask(root, &Request::Reload) {
        Ok(Reply::Reloaded { changes }) => changes,
        Ok(_) => return Err(Error::Protocol),
        Err(Error::Unreachable(error)) if nobody_is_there(&error) => return Ok(None),
        Err(Error::Refused(message)) => return Err(Error::NotTakenOver(reasons(&message))),
        Err(error) => return Err(error),
    };
    let started: Vec<&str> = changes
        .iter()
        .filter(|change| change.touched == Touched::Started)
        .map(|change| change.service.as_str())
        .collect();
    let mut outcome = Ok(());
    if !started.is_empty() {
        listen(root, &Request::Watch, |reply| {
            let Reply::Status { snapshot } = reply else { return Err(Error::Protocol) };
            outcome = judge(&snapshot, &started);
            Ok(outcome.is_ok() && !all_ready(&snapshot, &started))
        })?;
    }
    outcome.map(|()| Some(changes))
}

/// Says what was touched.
pub fn told(changes: &[Change]) -> String {
    let of = |wanted: Touched| {
        let names = changes.iter().filter(|change| change.touched == wanted);
        names.map(|change| format!("`{}`", change.service)).collect::<Vec<_>>()
    };
    let words = [(Touched::Told, "told"), (Touched::Started, "started anew"), (Touched::Stopped, "stopped")];
    let parts = words.into_iter().filter_map(|(touched, word)| {
        let names = of(touched);
        let (last, others) = names.split_last()?;
        Some(match others {
            [] => format!("{last} was {word}"),
            _ => format!("{} and {last} were {word}", others.join(", ")),
        })
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "nothing that runs depends on it".to_owned() } else { parts.join("; ") }
}

/// A container that does not run has no socket, or one that its predecessor left.
fn nobody_is_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Returns the errors of the preparation; without one, PID 1's own words.
fn reasons(message: &str) -> Vec<String> {
    let mut lines = message.lines();
    let own = lines.next().unwrap_or_default().to_owned();
    let errors: Vec<String> =
        lines.filter_map(|line| Some(line.strip_prefix("error: ")?.to_owned())).collect();
    if errors.is_empty() { vec![own] } else { errors }
}

fn judge(snapshot: &Snapshot, started: &[&str]) -> Result<(), Error> {
    let gone_wrong = |state| matches!(state, ServiceState::Backoff | ServiceState::Failed);
    let wrong = snapshot.services.iter().find(|service| {
        started.contains(&service.name.as_str())
            && (gone_wrong(service.state) || snapshot.state == Overall::Stopping)
    });
    wrong.map_or(Ok(()), |service| {
        Err(Error::DoesNotRun { service: service.name.clone(), reason: notes(service) })
    })
}

fn all_ready(snapshot: &Snapshot, started: &[&str]) -> bool {
    let waits =
        |state| matches!(state, ServiceState::Waiting | ServiceState::Starting | ServiceState::Stopping);
    !snapshot.services.iter().any(|one| started.contains(&one.name.as_str()) && waits(one.state))
}
