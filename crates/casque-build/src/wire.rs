//! The network of a step whose downloads are recorded: a loopback of its own, and on it a proxy, which is all there is.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use casque_replay::{Authority, Login, Proxy, Sockets, Tape, Told};
use casque_sandbox::ContainerNetwork;

use crate::error::BuildError;
use crate::sandbox::CERTIFICATES;

/// Where the proxy listens: above the ports that the kernel gives away, away from those that services have.
const PORT: u16 = 61080;
/// Programs that look names up themselves ask the proxy's own name server, which notes that and knows none.
pub(crate) const RESOLVER: &str = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n";
/// Where apt looks for settings; what is last counts.
pub(crate) const APT_SETTINGS: &str = "/etc/apt/apt.conf.d/99zz-casque-step";
/// The variables by which programs are told whom to trust.
pub(crate) const BUNDLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
];
/// The variables by which programs are told of a proxy.
const PROXIES: [&str; 7] =
    ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// A step's network while it runs.
pub(crate) struct Wire {
    network: ContainerNetwork,
    proxy: Proxy,
    tape: Arc<Tape>,
    certificate: String,
    variables: BTreeMap<String, String>,
}

impl Wire {
    /// Makes a network in which `tape` answers; `variables` are the step's besides.
    pub(crate) fn open(tape: Tape, variables: &BTreeMap<String, String>) -> Result<Self, BuildError> {
        let network = ContainerNetwork::new()?;
        let sockets = network.within(|| Sockets::listen(PORT))?.map_err(BuildError::Proxy)?;
        let authority = Authority::new().map_err(|error| BuildError::Proxy(io::Error::other(error)))?;
        let certificate = authority.certificate();
        let tape = Arc::new(tape);
        let proxy = Proxy::start(sockets, tape.clone(), Arc::new(authority)).map_err(BuildError::Proxy)?;
        Ok(Self { network, proxy, tape, certificate, variables: variables.clone() })
    }

    /// Ends the proxy and returns what it was asked.
    pub(crate) fn close(self) -> Result<Told, BuildError> {
        self.proxy.stop();
        Ok(self.tape.told()?)
    }

    pub(crate) fn network(&self) -> &ContainerNetwork {
        &self.network
    }

    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns the variables by which programs find the proxy and trust it.
    pub(crate) fn environment(&self, host_name: &str) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut variables: Vec<_> = self.variables.iter().map(|(name, value)| pair(name, value)).collect();
        let proxy = format!("http://127.0.0.1:{PORT}");
        variables.extend(PROXIES.map(|name| pair(name, &proxy)));
        let no_proxy = format!("{NO_PROXY},{host_name}");
        variables.extend(["no_proxy", "NO_PROXY"].map(|name| pair(name, &no_proxy)));
        variables.extend(BUNDLES.map(|name| pair(name, CERTIFICATES)));
        // It would ask for the newest pip, whichever that is on the day of the build.
        variables.push(pair("PIP_DISABLE_PIP_VERSION_CHECK", "1"));
        variables
    }
}

/// Returns apt's settings: the proxy, and no look at the clock, since expiry was judged when the step was locked.
pub(crate) fn apt_settings() -> String {
    format!(
        "Acquire::http::Proxy \"http://127.0.0.1:{PORT}\";\n\
         Acquire::https::Proxy \"http://127.0.0.1:{PORT}\";\n\
         Acquire::https::CAInfo \"{CERTIFICATES}\";\n\
         Acquire::Check-Valid-Until \"false\";\n\
         Acquire::Check-Date \"false\";\n\
         Acquire::Retries \"0\";\n"
    )
}

/// Takes the credentials out of variables that hold addresses: the proxy logs in in the step's place.
pub(crate) fn without_credentials(variables: &[(String, String)]) -> (BTreeMap<String, String>, Vec<Login>) {
    let mut logins = Vec::new();
    let mut clean = BTreeMap::new();
    for (name, value) in variables {
        let words = value.split_whitespace().map(|word| match split_credentials(word) {
            Some((address, credentials)) => {
                let authorization = format!("Basic {}", BASE64_STANDARD.encode(decoded(credentials)));
                let host_end = address[8..].find('/').map_or(address.len(), |slash| slash + 8);
                logins.push(Login { prefix: format!("{}/", &address[..host_end]), authorization });
                address
            }
            None => word.to_owned(),
        });
        let value = words.collect::<Vec<_>>().join(" ");
        clean.insert(name.clone(), value);
    }
    (clean, logins)
}

/// Returns an address without its credentials, and these.
fn split_credentials(address: &str) -> Option<(String, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (credentials, host) = authority.rsplit_once('@')?;
    let path = &rest[authority.len()..];
    Some((format!("{scheme}://{host}{path}"), credentials))
}

/// Undoes percent-encoding (RFC 3986, 2.1).
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_outside_of_the_step() {
        let variables = [
            ("PIP_INDEX_URL", "https://user:p%40ss@pypi.example.org:8443/simple/"),
            ("PIP_EXTRA_INDEX_URL", "https://one.example.org/a https://token@two.example.org"),
            ("PIP_TRUSTED_HOST", "pypi.example.org"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (clean, logins) = without_credentials(&variables);
        let clean: Vec<&str> = clean.values().map(String::as_str).collect();
        assert_eq!(
            clean,
            [
                "https://one.example.org/a https://two.example.org",
                "https://pypi.example.org:8443/simple/",
                "pypi.example.org",
            ]
        );
        let logins: Vec<_> =
            logins.iter().map(|login| (login.prefix.as_str(), login.authorization.as_str())).collect();
        assert_eq!(
            logins,
            [
                ("https://pypi.example.org:8443/", "Basic dXNlcjpwQHNz"),
                ("https://two.example.org/", "Basic dG9rZW4="),
            ]
        );
    }
}
