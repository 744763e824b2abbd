//! Addresses of a host: /etc/hosts and the name servers of /etc/resolv.conf, without the C library, which cannot look
//! names up where it is linked statically.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

/// Returns every address of a host, read anew each time: containers get other name servers while they run.
///
/// # Errors
/// A host that nobody knows, or name servers that do not answer.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = resolver(host)?.lookup_ip(host).await.map_err(|error| unknown(host, &error))?;
    Ok(found.iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Returns hosts and ports that offer a service (RFC 2782), such as `_mongodb._tcp.db.example`.
///
/// # Errors
/// A name that nobody knows, or name servers that do not answer.
pub async fn offered(name: &str) -> io::Result<Vec<(String, u16)>> {
    let found = resolver(name)?.srv_lookup(name).await.map_err(|error| unknown(name, &error))?;
    let offers = found.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(offer) => Some((offer.target.to_string().trim_end_matches('.').to_owned(), offer.port)),
        _ => None,
    });
    Ok(offers.collect())
}

/// Returns the texts that a name has (RFC 1464); none is no error.
pub async fn texts(name: &str) -> Vec<String> {
    let Ok(resolver) = resolver(name) else { return Vec::new() };
    let Ok(found) = resolver.txt_lookup(name).await else { return Vec::new() };
    let text = |data: &RData| match data {
        RData::TXT(text) => {
            let whole = text.txt_data.concat();
            Some(String::from_utf8_lossy(&whole).into_owned())
        }
        _ => None,
    };
    found.answers().iter().filter_map(|record| text(&record.data)).collect()
}

fn resolver(name: &str) -> io::Result<TokioResolver> {
    TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| unknown(name, &error))
}

fn unknown(name: &str, error: &dyn std::error::Error) -> io::Error {
    io::Error::other(format!("cannot find `{name}`: {error}"))
}
