//! Addresses of a host: /etc/hosts and the name servers of /etc/resolv.conf, without the C library, which cannot look
//! names up where it is linked statically.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;

/// Returns every address of a host, read anew each time: containers get other name servers while they run.
///
/// # Errors
/// A host that nobody knows, or name servers that do not answer.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |error: &dyn std::error::Error| io::Error::other(format!("cannot find `{host}`: {error}"));
    let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let resolver = resolver.map_err(|error| failed(&error))?;
    let found = resolver.lookup_ip(host).await.map_err(|error| failed(&error))?;
    Ok(found.iter().map(|address| SocketAddr::new(address, port)).collect())
}
