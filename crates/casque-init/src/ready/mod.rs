//! Readiness checks as plain data: whom to ask, what to send, how to judge what comes back.
//!
//! Nothing here waits or opens anything; the engine carries bytes to and fro.

mod mongodb;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use casque_format::run::Ready;

/// Most bytes of an answer that are looked at.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024;

/// A checked readiness check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// Ask over a socket.
    Socket(Target, Dialog),
    /// Run a program as the service's user.
    Exec(Vec<String>),
}

/// Where a socket check connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A numeric address: PID 1 never resolves a name.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

/// What is said once connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dialog {
    /// Nothing: the connection is the answer.
    Connect,
    /// This HTTP request.
    Http(Vec<u8>),
    /// `PING`.
    Redis,
    /// `hello`.
    Mongodb,
}

/// What an answer so far means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More of it is needed.
    Incomplete,
    /// The service serves.
    Ready,
    /// It does not, and why.
    NotReady(String),
}

impl Check {
    /// Checks what the plan says, or returns what is wrong with it.
    pub(crate) fn parse(ready: &Ready) -> Result<Self, String> {
        Ok(match ready {
            Ready::Tcp(address) => Self::Socket(tcp(address)?, Dialog::Connect),
            Ready::Unix(path) => Self::Socket(unix(path)?, Dialog::Connect),
            Ready::Http(url) => http(url)?,
            Ready::Exec(command) if command.first().is_none_or(String::is_empty) => {
                return Err("the readiness command is empty".to_owned());
            }
            Ready::Exec(command) => Self::Exec(command.clone()),
            Ready::Redis(address) => Self::Socket(tcp(address)?, Dialog::Redis),
            Ready::Mongodb(address) => Self::Socket(tcp(address)?, Dialog::Mongodb),
            Ready::Notify => return Err("it says itself when it is ready, nobody can ask".to_owned()),
        })
    }

    /// Returns how long one probe may take.
    pub(crate) fn time_limit(&self) -> Duration {
        match self {
            Self::Socket(..) => Duration::from_secs(5),
            // A shell or an interpreter on a busy machine takes its time.
            Self::Exec(_) => Duration::from_secs(10),
        }
    }
}

impl Dialog {
    /// Returns what to send; empty when the connection alone decides.
    pub(crate) fn request(&self) -> Vec<u8> {
        match self {
            Self::Connect => Vec::new(),
            Self::Http(request) => request.clone(),
            Self::Redis => b"PING\r\n".to_vec(),
            Self::Mongodb => mongodb::hello(),
        }
    }

    /// Judges what came back so far; `ended` when nothing more will come.
    pub(crate) fn judge(&self, answer: &[u8], ended: bool) -> Verdict {
        let verdict = match self {
            Self::Connect => Verdict::Ready,
            Self::Http(_) => judge_http(answer),
            Self::Redis => judge_redis(answer),
            Self::Mongodb => mongodb::judge(answer),
        };
        match verdict {
            Verdict::Incomplete if ended => {
                Verdict::NotReady("it closed the connection without an answer".to_owned())
            }
            verdict => verdict,
        }
    }
}

fn tcp(address: &str) -> Result<Target, String> {
    let wrong = || format!("`{address}` is not a numeric address and a port, such as 127.0.0.1:80");
    if let Ok(address) = address.parse() {
        return Ok(Target::Tcp(address));
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    if host != "localhost" {
        return Err(wrong());
    }
    let port = port.parse().map_err(|_| wrong())?;
    Ok(Target::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

fn unix(path: &str) -> Result<Target, String> {
    // sun_path holds 108 bytes with the final NUL.
    if !path.starts_with('/') || path.len() > 107 || path.contains('\0') {
        return Err(format!("`{path}` is not the absolute path of a socket of at most 107 bytes"));
    }
    Ok(Target::Unix(PathBuf::from(path)))
}

fn http(url: &str) -> Result<Check, String> {
    let wrong = || format!("`{url}` is neither `http://address:port/path` nor `unix:/path/of/socket:/path`");
    let (target, host, path) = if let Some(rest) = url.strip_prefix("http://") {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (tcp(&with_port(authority))?, authority, path)
    } else if let Some(rest) = url.strip_prefix("unix:") {
        let (socket, path) = rest.split_once(':').ok_or_else(wrong)?;
        (unix(socket)?, "localhost", path)
    } else {
        return Err(wrong());
    };
    let path = if path.is_empty() { "/" } else { path };
    if !path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong());
    }
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: casque-init\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    Ok(Check::Socket(target, Dialog::Http(request.into_bytes())))
}

fn with_port(authority: &str) -> String {
    let bare = authority == "localhost"
        || authority.parse::<Ipv4Addr>().is_ok()
        || authority
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    if bare { format!("{authority}:80") } else { authority.to_owned() }
}

fn judge_http(answer: &[u8]) -> Verdict {
    const START: &[u8] = b"HTTP/1.";
    let known = answer.len().min(START.len());
    if answer[..known] != START[..known] {
        return Verdict::NotReady("its answer is not HTTP".to_owned());
    }
    // "HTTP/1.1 200": the code is bytes 9 to 11.
    let Some(code) = answer.get(9..12) else {
        return Verdict::Incomplete;
    };
    match std::str::from_utf8(code).ok().and_then(|code| code.parse::<u16>().ok()) {
        Some(200..=399) => Verdict::Ready,
        Some(code) => Verdict::NotReady(format!("it answered HTTP {code}")),
        None => Verdict::NotReady("its answer is not HTTP".to_owned()),
    }
}

fn judge_redis(answer: &[u8]) -> Verdict {
    let Some(end) = answer.iter().position(|&byte| byte == b'\n') else {
        return Verdict::Incomplete;
    };
    match &answer[..end] {
        line if line.starts_with(b"-LOADING") => Verdict::NotReady("it is loading its data".to_owned()),
        // An error such as -NOAUTH comes from a server that serves.
        [b'+' | b'-', ..] => Verdict::Ready,
        _ => Verdict::NotReady("its answer is not that of a Redis".to_owned()),
    }
}

#[cfg(test)]
mod tests;
