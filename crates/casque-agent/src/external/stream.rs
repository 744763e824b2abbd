//! A connection to an external service, encrypted where its URL asks for it.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Refusal, Target};
use crate::names;
use crate::tls::client::{self, Trust};

/// What is read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

/// Connects to the first address of the host that answers.
///
/// # Errors
/// Names that are not known, addresses that do not answer, certificates that prove nothing.
pub async fn open(target: &Target, trust: &Trust, host: &str, port: u16) -> Result<Box<dyn Duplex>, Refusal> {
    if host.starts_with('/') {
        let stream = UnixStream::connect(host).await;
        return stream
            .map(|stream| Box::new(stream) as _)
            .map_err(|error| Refusal::passing(error.to_string()));
    }
    let (stream, address) = reach(host, port).await?;
    if !target.is_secure() {
        return Ok(Box::new(stream));
    }
    let lasting = |error: std::io::Error| Refusal::lasting(error.to_string());
    let name = client::name(host).map_err(lasting)?;
    let connector = client::connector(&target.trust(trust)).map_err(lasting)?;
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        // What the other end sends while it comes up is no TLS either.
        Err(error) => {
            let ip = address.ip().to_string();
            let at = if host == ip { String::new() } else { format!(" at {ip}") };
            Err(Refusal::passing(format!("reached{at}, but no TLS with it: {error}")))
        }
    }
}

/// Connects to the first address of the host that answers, without encryption.
///
/// # Errors
/// Names that are not known, addresses that do not answer.
pub async fn reach(host: &str, port: u16) -> Result<(TcpStream, SocketAddr), Refusal> {
    let addresses = names::addresses(host, port).await;
    let addresses = addresses.map_err(|error| Refusal::passing(error.to_string()))?;
    let mut reasons = Vec::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) if address.ip().to_string() == host => reasons.push(error.to_string()),
            Err(error) => reasons.push(format!("{}: {error}", address.ip())),
        }
    }
    if reasons.is_empty() {
        reasons.push("it has no address".to_owned());
    }
    Err(Refusal::passing(reasons.join(", ")))
}
