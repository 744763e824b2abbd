//! `logs`: the newest captured lines, and those that follow.

use casque_format::control::{Reply, Request};
use serde_json::json;

use crate::control::{ask, listen};
use crate::error::Error;
use crate::root::Root;
use crate::ui;

/// Returns the newest `lines` lines of `service`, or of all.
pub fn run(root: &Root, service: Option<String>, lines: u32, as_json: bool) -> Result<String, Error> {
    text(ask(root, &Request::Logs { service, lines })?, as_json)
}

/// Prints the same, and each line that comes, until the container ends.
pub fn follow(root: &Root, service: Option<String>, lines: u32, as_json: bool) -> Result<(), Error> {
    listen(root, &Request::Follow { service, lines }, |reply| Ok(ui::stream(&text(reply, as_json)?)))
}

fn text(reply: Reply, as_json: bool) -> Result<String, Error> {
    let Reply::Logs { lines } = reply else {
        return Err(Error::Protocol);
    };
    let form = |line: String| match line.split_once(" | ") {
        Some((service, line)) if as_json => json!({ "service": service, "line": line }).to_string() + "\n",
        _ => line + "\n",
    };
    Ok(lines.into_iter().map(form).collect())
}
