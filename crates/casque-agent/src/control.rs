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
    let limit = match request {
        Request::Restart { .. } | Request::Stop { .. } | Request::Start { .. } | Request::Reload => None,
        _ => Some(LONGEST_QUESTION),
    };
    let mut answers = send(root, request, limit)?;
    let mut line = String::new();
    answers.read_line(&mut line).map_err(Error::Unreachable)?;
    read(&line)
}

/// Sends `request` and gives each answer until PID 1 ends, or until `give` wants no more.
pub fn listen(
    root: &Root,
    request: &Request,
    mut give: impl FnMut(Reply) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut answers = send(root, request, None)?;
    loop {
        let mut line = String::new();
        // A container that ends while somebody listens is no error.
        match answers.read_line(&mut line) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            result => result.map_err(Error::Unreachable)?,
        };
        if !give(read(&line)?)? {
            return Ok(());
        }
    }
}

/// A connection on which PID 1 keeps the services stopped.
pub struct Maintenance(BufReader<UnixStream>);

impl Maintenance {
    /// Has every service but the agent stopped, and returns when they are. They start again when this is dropped, or when
    /// this process dies.
    pub fn begin(root: &Root) -> Result<Self, Error> {
        let mut answers = send(root, &Request::Maintain, None)?;
        let mut line = String::new();
        answers.read_line(&mut line).map_err(Error::Unreachable)?;
        match read(&line)? {
            Reply::Done => Ok(Self(answers)),
            _ => Err(Error::Protocol),
        }
    }

    /// Fails when PID 1 has ended it.
    pub fn check(&mut self) -> Result<(), String> {
        let stream = self.0.get_ref();
        let mut line = String::new();
        let looked = stream.set_nonblocking(true).and_then(|()| self.0.read_line(&mut line));
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Ok(_) => match read(&line) {
                Err(Error::Refused(message)) => Err(message),
                _ => Err("PID 1 has ended the maintenance".to_owned()),
            },
            Err(error) => Err(format!("PID 1 cannot be asked: {error}")),
        }
    }
}

fn send(root: &Root, request: &Request, limit: Option<Duration>) -> Result<BufReader<UnixStream>, Error> {
    let path = root.join(paths::CONTROL_SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        Error::Unreachable(io::Error::new(error.kind(), format!("`{}`: {error}", paths::CONTROL_SOCKET)))
    })?;
    stream.set_read_timeout(limit).map_err(Error::Unreachable)?;
    let mut line = serde_json::to_string(request).map_err(|_| Error::Protocol)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(Error::Unreachable)?;
    Ok(BufReader::new(stream))
}

fn read(line: &str) -> Result<Reply, Error> {
    match serde_json::from_str(line) {
        Ok(Reply::Error { message }) => Err(Error::Refused(message)),
        Ok(reply) => Ok(reply),
        Err(_) => Err(Error::Protocol),
    }
}
