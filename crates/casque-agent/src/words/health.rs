//! `health`: the one answer that engines and orchestrators take, which ask by running a program.

use casque_format::control::{Overall, ServiceState};

use super::status::{overall, snapshot, state};
use crate::error::Error;
use crate::root::Root;

/// Returns a line when everything is ready, and otherwise an error that names what is not.
pub fn run(root: &Root) -> Result<String, Error> {
    let snapshot = snapshot(root)?;
    if snapshot.state == Overall::Ready {
        return Ok("ready\n".to_owned());
    }
    let waiting = snapshot.services.iter().filter(|service| service.state != ServiceState::Ready);
    let services = waiting.map(|service| format!("`{}` is {}", service.name, state(service.state)));
    Err(Error::Unwell { state: overall(snapshot.state), services: services.collect() })
}
