//! `restart`, `stop` and `start`: commands to PID 1 that answer when they are carried out.

use casque_format::control::{Reply, Request};

use crate::control::ask;
use crate::error::Error;
use crate::root::Root;

/// Has PID 1 carry out `request`.
pub fn run(root: &Root, request: &Request) -> Result<String, Error> {
    match ask(root, request)? {
        Reply::Done => Ok(String::new()),
        _ => Err(Error::Protocol),
    }
}
