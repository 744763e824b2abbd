//! Which proxy a request goes through, decided as curl decides it.

use std::fmt;
use std::net::IpAddr;

use url::Url;

/// The proxies of this place. An address may hold a user name and a password, so none is ever shown.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http` addresses, such as `http://proxy.example.com:3128`.
    pub http: Option<String>,
    /// For `https` addresses.
    pub https: Option<String>,
    /// Hosts that are asked directly: names with everything below them, numbers, networks, or `*`; with commas between.
    pub except: Option<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("except", &self.except).finish_non_exhaustive()
    }
}

impl Proxies {
    /// Tells whether `url` is asked without a proxy, whatever there is.
    pub(crate) fn passes_by(&self, url: &Url) -> bool {
        let Some(except) = &self.except else { return false };
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let number: Option<IpAddr> = host.parse().ok();
        let entries = except.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        entries.into_iter().any(|entry| match number {
            _ if entry == "*" => true,
            Some(number) => covers(entry, number),
            None => {
                let name = entry.trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
                host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        })
    }
}

/// Tells whether `entry`, an address or a network such as `10.0.0.0/8`, has `number` in it.
fn covers(entry: &str, number: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let network = network.trim_start_matches('[').trim_end_matches(']').parse();
    let (Ok(network), Some(bits)) = (network, bits) else { return false };
    let (network, number, width) = match (network, number) {
        (IpAddr::V4(network), IpAddr::V4(number)) => {
            (u128::from(network.to_bits()), u128::from(number.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(number)) => (network.to_bits(), number.to_bits(), 128),
        _ => return false,
    };
    let differing = 128 - (network ^ number).leading_zeros();
    differing <= width - bits.min(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_that_are_asked_directly_are_those_that_curl_asks_directly() {
        let except = "localhost, .internal.example,example.org 10.0.0.0/8,192.168.1.7,[fd00::]/8";
        let proxies = Proxies { except: Some(except.to_owned()), ..Proxies::default() };
        for (url, directly) in [
            ("http://localhost:81/", true),
            ("http://internal.example/", true),
            ("https://a.b.INTERNAL.example./", true),
            ("http://notinternal.example/", false),
            ("http://www.example.org/", true),
            ("http://badexample.org/", false),
            ("http://example.org.evil/", false),
            ("http://10.200.3.4/", true),
            ("http://11.0.0.1/", false),
            ("http://192.168.1.7/", true),
            ("http://192.168.1.70/", false),
            ("http://[fd12::1]/", true),
            ("http://[fe80::1]/", false),
        ] {
            assert_eq!(proxies.passes_by(&Url::parse(url).unwrap()), directly, "{url}");
        }
        let all = Proxies { except: Some("*".to_owned()), ..Proxies::default() };
        assert!(all.passes_by(&Url::parse("http://any/").unwrap()));
    }

    #[test]
    fn a_password_of_a_proxy_is_not_shown() {
        let proxies = Proxies { http: Some("http://u:secret@p".to_owned()), ..Proxies::default() };
        assert_eq!(format!("{proxies:?}"), "Proxies { except: None, .. }");
    }
}
