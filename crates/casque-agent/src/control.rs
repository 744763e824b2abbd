//! Asks PID 1 something over its control socket: one line there, one line back.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use casque_format::control::{Reply, Request};
use casque_format::paths;

use crate::error::Error;
use crate::root::Root;

/// A question is answered at once; only commands wait for what they cause.
const LONGEST_QUESTION: Duration = Duration::from_secs(10);

/// Sends `request` and returns the answer; a refusal is an error.
pub fn ask(root: &Root, request: &Request) -> Result<Reply, Error> {
    let path = root.join(paths::CONTROL_SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        Error::Unreachable(io::Error::new(error.kind(), format!("`{}`: {error}", paths::CONTROL_SOCKET)))
    })?;
    let limit = match request {
        Request::Status | Request::Watch | Request::Logs { .. } => Some(LONGEST_QUESTION),
        Request::Restart { .. } | Request::Stop { .. } | Request::Start { .. } => None,
    };
    stream.set_read_timeout(limit).map_err(Error::Unreachable)?;
    let mut line = serde_json::to_string(request).map_err(|_| Error::Protocol)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(Error::Unreachable)?;
    line.clear();
    BufReader::new(stream).read_line(&mut line).map_err(Error::Unreachable)?;
    match serde_json::from_str(&line) {
        Ok(Reply::Error { message }) => Err(Error::Refused(message)),
        Ok(reply) => Ok(reply),
        Err(_) => Err(Error::Protocol),
    }
}
