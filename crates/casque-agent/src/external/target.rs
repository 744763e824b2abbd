//! An external service as a URL says it.

use std::collections::BTreeMap;

use super::Refusal;
use crate::names;
use crate::tls::client::Trust;

/// What a URL names. Secrets of it are in no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Such as `mongodb`, in lower case.
    pub scheme: String,
    /// Decoded; empty when the URL has none.
    pub user: String,
    /// Decoded; none when the URL has none.
    pub password: Option<String>,
    /// Decoded, without the first `/`.
    pub path: String,
    /// Options after `?`; names in lower case.
    pub options: BTreeMap<String, String>,
    hosts: Vec<(String, u16)>,
}

impl Target {
    /// Reads a URL as database drivers do: several hosts, each with a port or without.
    ///
    /// # Errors
    /// What is wrong with it, without what it says.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
        let scheme = scheme.to_ascii_lowercase();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // What is left of the last `@` before the path, since passwords are often not encoded.
        let end = rest.rfind('@').map_or(0, |at| at + 1);
        let (authority, path) = match rest[end..].split_once('/') {
            Some((hosts, path)) => (&rest[..end + hosts.len()], path),
            None => (rest, ""),
        };
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password)?)),
            None => (login, None),
        };
        let usual = usual_port(&scheme);
        let hosts = hosts.split(',').map(|host| host_and_port(host, usual)).collect::<Result<_, _>>()?;
        let option = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((name.to_ascii_lowercase(), decoded(value)?))
        };
        let options = query.split(['&', ';']).filter(|pair| !pair.is_empty()).map(option);
        Ok(Self {
            user: decoded(user)?,
            password,
            path: decoded(path)?,
            options: options.collect::<Result<_, String>>()?,
            hosts,
            scheme,
        })
    }

    /// Returns the hosts to ask, which a `+srv` name has to be looked up for, and the target with what was found there.
    ///
    /// # Errors
    /// A name that cannot be looked up.
    pub(super) async fn hosts(&self) -> Result<(Vec<(String, u16)>, Self), Refusal> {
        let mut target = self.clone();
        if !self.scheme.ends_with("+srv") {
            return Ok((self.hosts.clone(), target));
        }
        let (name, _) = self.first_host();
        let offers = names::offered(&format!("_mongodb._tcp.{name}")).await;
        let hosts = offers.map_err(|error| Refusal::passing(error.to_string()))?;
        for text in names::texts(name).await {
            for (option, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
                target.options.entry(option.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
            }
        }
        Ok((hosts, target))
    }

    /// Returns the first host and its port.
    pub fn first_host(&self) -> &(String, u16) {
        &self.hosts[0]
    }

    /// Says whether the connection is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        let said = ["tls", "ssl"].iter().find_map(|name| self.options.get(*name));
        match said {
            Some(value) => value == "true",
            None => matches!(self.scheme.as_str(), "mongodb+srv" | "rediss"),
        }
    }

    /// Returns by whom the other end has to be vouched for, `usual` unless the URL says otherwise.
    pub(super) fn trust(&self, usual: &Trust) -> Trust {
        if self.trusts_anybody() {
            return Trust::Anybody;
        }
        let own = ["tlscafile", "ssl_ca_certs"].iter().find_map(|name| self.options.get(*name));
        own.map_or_else(|| usual.clone(), |path| Trust::File(path.into()))
    }

    fn trusts_anybody(&self) -> bool {
        let on = |name: &str| self.options.get(name).is_some_and(|value| value == "true");
        let none = self.options.get("ssl_cert_reqs").is_some_and(|value| value == "none");
        on("tlsinsecure") || on("tlsallowinvalidcertificates") || none
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "mongodb" | "mongodb+srv" => Some(27017),
        "redis" | "rediss" => Some(6379),
        "http" => Some(80),
        "https" => Some(443),
        "postgres" | "postgresql" => Some(5432),
        "mysql" => Some(3306),
        "amqp" => Some(5672),
        "amqps" => Some(5671),
        "smtp" => Some(25),
        "smtps" => Some(465),
        "ldap" => Some(389),
        "ldaps" => Some(636),
        _ => None,
    }
}

fn host_and_port(text: &str, usual: Option<u16>) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("an IPv6 address does not end")?;
            (host.to_owned(), after.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (decoded(host)?, Some(port)),
            None => (decoded(text)?, None),
        },
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| format!("`{port}` is no port"))?,
        None => usual.ok_or("it names no port")?,
    };
    Ok((host, port))
}

/// Decodes `%XX` (RFC 3986, section 2.1); a `%` that begins no such thing stays.
fn decoded(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_err(|_| "a part of it is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn what_drivers_understand_is_understood() {
        let url =
            "mongodb://app%40x:p%2Fw:d@a.example,b.example:27018,[::1]:1/data?authSource=admin&tls=true";
        let target = Target::parse(url).unwrap();
        assert_eq!((target.user.as_str(), target.password.as_deref()), ("app@x", Some("p/w:d")));
        assert_eq!(target.path, "data");
        assert_eq!(target.options["authsource"], "admin");
        assert!(target.is_secure() && !target.trusts_anybody());
        let host = |host: &str, port| (host.to_owned(), port);
        assert_eq!(target.hosts, [host("a.example", 27017), host("b.example", 27018), host("::1", 1)]);
        let redis = Target::parse("rediss://:only/a@cache.example/3").unwrap();
        assert_eq!((redis.user.as_str(), redis.password.as_deref()), ("", Some("only/a")));
        assert_eq!((redis.path.as_str(), redis.is_secure()), ("3", true));
        assert!(Target::parse("mongodb+srv://db.example/?ssl=false").is_ok_and(|target| !target.is_secure()));
    }

    #[test]
    fn what_nobody_could_connect_to_is_told() {
        assert_eq!(Target::parse("mongodb:/x"), Err("it has no scheme".to_owned()));
        assert_eq!(Target::parse("mongodb:///x"), Err("it names no host".to_owned()));
        assert_eq!(Target::parse("redis://a:99999"), Err("`99999` is no port".to_owned()));
        assert_eq!(Target::parse("ftp://a"), Err("it names no port".to_owned()));
        assert_eq!(Target::parse("redis://a%ff"), Err("a part of it is no UTF-8".to_owned()));
    }

    proptest! {
        #[test]
        fn any_password_comes_back_from_its_encoded_form(password in any::<String>()) {
            let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let target = Target::parse(&format!("redis://u:{encoded}@h/0")).unwrap();
            prop_assert_eq!(target.password, Some(password));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), tail in any::<String>()) {
            let _ = Target::parse(&text);
            let _ = Target::parse(&format!("mongodb://{text}@{tail}?{text}"));
        }
    }
}
