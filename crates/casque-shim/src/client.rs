//! The clients' side of the socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::env::Environment;
use crate::error::ShimError;
use crate::protocol::{Reply, Request};

/// The socket's name in the state directory.
pub(crate) const SOCKET: &str = "shim.sock";

/// Asks the step's first process and waits for its answer.
pub(crate) fn ask(environment: &Environment, request: &Request) -> Result<Reply, ShimError> {
    let (stream, cannot) = send(environment, request)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(cannot)?;
    serde_json::from_str(&line).map_err(|_| ShimError::Answer)
}

/// Asks the step's first process and does not wait.
pub(crate) fn tell(environment: &Environment, request: &Request) -> Result<(), ShimError> {
    send(environment, request).map(drop)
}

fn send(
    environment: &Environment,
    request: &Request,
) -> Result<(UnixStream, impl Fn(std::io::Error) -> ShimError), ShimError> {
    let socket: PathBuf = environment.state.join(SOCKET);
    let name = socket.display().to_string();
    let cannot = move |source| ShimError::NoManager { socket: name.clone(), source };
    let mut stream = UnixStream::connect(&socket).map_err(&cannot)?;
    let mut text = serde_json::to_vec(request).map_err(|_| ShimError::Answer)?;
    text.push(b'\n');
    stream.write_all(&text).map_err(&cannot)?;
    Ok((stream, cannot))
}
