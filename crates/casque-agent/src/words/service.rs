//! `restart`, `stop` and `start`: commands to PID 1 that answer when they are carried out.

use casque_format::control::{Reply, Request};

use super::status::snapshot;
use crate::control::ask;
use crate::error::Error;
use crate::root::Root;

/// Has PID 1 carry out `request`; for programs, returns the state of `service` afterwards.
pub fn run(root: &Root, request: &Request, service: &str, as_json: bool) -> Result<String, Error> {
    match ask(root, request)? {
        Reply::Done if as_json => {
            let services = snapshot(root)?.services;
            let found = services.into_iter().find(|one| one.name == service).ok_or(Error::Protocol)?;
            Ok(serde_json::to_string_pretty(&found).map_err(|_| Error::Protocol)? + "\n")
        }
        Reply::Done => Ok(String::new()),
        _ => Err(Error::Protocol),
    }
}
