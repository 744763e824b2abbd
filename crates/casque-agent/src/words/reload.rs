//! `reload`: what runs takes over what was changed by hand.

use std::io;

use super::settings::live;
use crate::error::Error;
use crate::root::Root;

/// Has settings and certificates read again, and says who was told of it.
pub fn run(root: &Root) -> Result<String, Error> {
    match live::take_over(root)? {
        Some(changes) if changes.is_empty() => Ok("nothing has changed\n".to_owned()),
        Some(changes) => Ok(format!("{}\n", live::told(&changes))),
        None => Err(Error::Unreachable(io::ErrorKind::NotFound.into())),
    }
}
