//! `logs`: the newest captured lines.

use casque_format::control::{Reply, Request};

use crate::control::ask;
use crate::error::Error;
use crate::root::Root;

/// Returns the newest `lines` lines of `service`, or of all.
pub fn run(root: &Root, service: Option<String>, lines: u32) -> Result<String, Error> {
    let Reply::Logs { lines } = ask(root, &Request::Logs { service, lines })? else {
        return Err(Error::Protocol);
    };
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}
