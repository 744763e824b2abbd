//! Sockets: the ports that PID 1 opens, connections for probes, who is at the other end.

mod sys;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

pub(crate) use self::sys::{connect, connect_result, notify_socket, peer_uid, receive};

/// A port could not be opened.
#[derive(Debug)]
pub(crate) struct ListenError {
    port: u16,
    source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, source } = self;
        write!(f, "cannot open port {port}: {source}")?;
        match source.kind() {
            io::ErrorKind::PermissionDenied => write!(
                f,
                "; run the container with `--cap-add NET_BIND_SERVICE` or \
                 `--sysctl net.ipv4.ip_unprivileged_port_start=0`"
            ),
            io::ErrorKind::AddrInUse => {
                write!(f, "; run the container with a network of its own, or end what uses the port")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ListenError {}

/// Opens each port, on every IPv4 address.
///
/// Not on IPv6: whoever serves a port has to take over every socket of it, and a front that listens on IPv4 alone would
/// leave the other one open with nobody behind it. Engines forward to IPv4.
pub(crate) fn listen(ports: &[u16]) -> Result<Vec<OwnedFd>, ListenError> {
    let open = |&port: &u16| {
        sys::listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            .map_err(|source| ListenError { port, source })
    };
    ports.iter().map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_a_remedy() {
        let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen(&[port]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot open port {port}: Address already in use")), "{error}");
        assert!(error.ends_with("or end what uses the port"), "{error}");
    }

    #[test]
    fn a_forbidden_port_is_named_with_a_remedy() {
        let source = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(
            ListenError { port: 80, source }.to_string(),
            "cannot open port 80: Permission denied (os error 13); run the container with \
             `--cap-add NET_BIND_SERVICE` or `--sysctl net.ipv4.ip_unprivileged_port_start=0`"
        );
    }
}
