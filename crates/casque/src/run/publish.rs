//! Which port of the host leads to which port of the container.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::error::RunError;

/// One published port, `[ADDRESS:]HOST:CONTAINER` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publish {
    /// Where the host listens; port 0 takes any that is free.
    pub(crate) host: SocketAddr,
    /// The port inside.
    pub(crate) container: u16,
}

/// A text that publishes no port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected [ADDRESS:]HOST-PORT:CONTAINER-PORT, such as 8080:80 or 127.0.0.1:8080:80")]
pub(crate) struct NotAPublish;

impl FromStr for Publish {
    type Err = NotAPublish;

    fn from_str(text: &str) -> Result<Self, NotAPublish> {
        let (host, container) = text.rsplit_once(':').ok_or(NotAPublish)?;
        let container: u16 = container.parse().map_err(|_| NotAPublish)?;
        if container == 0 {
            return Err(NotAPublish);
        }
        let host = match host.rsplit_once(':') {
            None => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port(host)?),
            Some((address, text)) => SocketAddr::new(parse_address(address)?, port(text)?),
        };
        Ok(Self { host, container })
    }
}

fn port(text: &str) -> Result<u16, NotAPublish> {
    text.parse().map_err(|_| NotAPublish)
}

fn parse_address(text: &str) -> Result<IpAddr, NotAPublish> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| NotAPublish)
}

impl fmt::Display for Publish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.container)
    }
}

/// A published port on which the host listens already.
#[derive(Debug)]
pub(crate) struct Listening {
    /// What is published, with the port that was found.
    pub(crate) publish: Publish,
    /// The listener.
    pub(crate) listener: TcpListener,
}

impl Publish {
    /// Listens, so that a port in use is known before anything is started.
    pub(crate) fn listen(self) -> Result<Listening, RunError> {
        let address = self.host;
        let refuse = |source| RunError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(refuse)?;
        let host = listener.local_addr().map_err(refuse)?;
        Ok(Listening { publish: Self { host, ..self }, listener })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_optional_and_may_be_of_either_family() {
        for (text, expected) in [
            ("8080:80", "0.0.0.0:8080:80"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80"),
            ("[::1]:0:80", "[::1]:0:80"),
        ] {
            assert_eq!(text.parse::<Publish>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn other_texts_publish_nothing() {
        for text in ["", "80", "80:", ":80", "x:80", "80:0", "1:2:3:80", "localhost:80:80", "70000:80"] {
            assert_eq!(text.parse::<Publish>(), Err(NotAPublish), "{text}");
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = "127.0.0.1:0:80".parse::<Publish>().unwrap().listen().unwrap();
        let error = first.publish.listen().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {}", first.publish.host));
        assert_eq!(error.hint().unwrap(), "choose another host port, as in `--publish 8081:80`");
    }
}
