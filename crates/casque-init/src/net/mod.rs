//! Sockets: the ports that PID 1 opens, connections for probes, who is at the other end.

mod sys;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

pub(crate) use self::sys::{connect, connect_result, peer_uid};

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

/// Opens each port on IPv4, and on IPv6 where the container has it.
pub(crate) fn listen(ports: &[u16]) -> Result<Vec<OwnedFd>, ListenError> {
    let mut sockets = Vec::new();
    for &port in ports {
        let error = |source| ListenError { port, source };
        sockets.push(sys::listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).map_err(error)?);
        match sys::listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            Ok(socket) => sockets.push(socket),
            Err(source) if means_no_ipv6(&source) => {}
            Err(source) => return Err(error(source)),
        }
    }
    Ok(sockets)
}

fn means_no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT))
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
