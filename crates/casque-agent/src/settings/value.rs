//! What a setting's value must look like.

use std::net::IpAddr;

use casque_format::settings::Kind;

/// Returns `text` as the type writes it, or nothing when it is not of that type.
pub fn check(kind: Kind, text: &str) -> Option<String> {
    match kind {
        Kind::String => Some(text.to_owned()),
        Kind::Password => (!text.is_empty()).then(|| text.to_owned()),
        Kind::Integer => integer(text).map(|number| number.to_string()),
        Kind::Bool => matches!(text, "true" | "false").then(|| text.to_owned()),
        Kind::Port => port(text).map(|number| number.to_string()),
        Kind::Host => is_host(text).then(|| text.to_owned()),
        Kind::Url => is_url(text).then(|| text.to_owned()),
    }
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number| *number != 0 && !text.starts_with('+'))
}

/// A host name of RFC 1123 (with `_`, which inner networks use) or an address.
fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // A last label of digits alone would be a mistyped address.
    let digits = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(label) && !name.rsplit('.').next().is_some_and(digits)
}

/// An absolute URL as database and mail libraries read it: several hosts and no host (a socket's
/// path) are both in use, so this is looser than a browser.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let scheme_is_one = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme_is_one || rest.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let path = &rest[authority.len()..];
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    if hosts.is_empty() {
        return path.len() > 1;
    }
    hosts.split(',').all(is_host_and_port)
}

fn is_host_and_port(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else { return false };
        return matches!(address.parse(), Ok(IpAddr::V6(_)))
            && (after.is_empty() || after.strip_prefix(':').is_some_and(|number| port(number).is_some()));
    }
    let (host, number) = text.split_once(':').map_or((text, None), |(host, number)| (host, Some(number)));
    let encoded_socket = host.contains('%') && !host.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']);
    (is_host(host) || encoded_socket) && number.is_none_or(|number| port(number).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert!(check(kind, text).is_some(), "{text:?} is a {kind:?}");
        }
    }

    fn refused(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert_eq!(check(kind, text), None, "{text:?} is no {kind:?}");
        }
    }

    #[test]
    fn texts_are_anything_and_passwords_are_not_empty() {
        accepted(Kind::String, &["", " ", "ü\n"]);
        accepted(Kind::Password, &[" ", "a'\"$"]);
        refused(Kind::Password, &[""]);
    }

    #[test]
    fn numbers_are_written_plainly() {
        assert_eq!(check(Kind::Integer, "-007").as_deref(), Some("-7"));
        assert_eq!(check(Kind::Port, "080").as_deref(), Some("80"));
        accepted(Kind::Integer, &["0", "9223372036854775807"]);
        refused(Kind::Integer, &["", " 1", "1.0", "+1", "1e3", "9223372036854775808"]);
        accepted(Kind::Port, &["1", "65535"]);
        refused(Kind::Port, &["0", "65536", "-1", "http", "+80"]);
    }

    #[test]
    fn truth_has_two_spellings() {
        accepted(Kind::Bool, &["true", "false"]);
        refused(Kind::Bool, &["", "yes", "True", "1"]);
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        accepted(
            Kind::Host,
            &["mail", "mail.example.com", "mail.example.com.", "10.0.0.1", "::1", "a_b.local"],
        );
        refused(Kind::Host, &["", ".", "a..b", "-a", "a-", "a b", "10.0.0.256", "mail:25", "http://mail"]);
    }

    #[test]
    fn urls_have_a_scheme_and_a_place() {
        accepted(
            Kind::Url,
            &[
                "smtp://user:password@host:25",
                "smtp://host",
                "mongodb://u:p@a:27017,b:27017/db?replicaSet=x",
                "mongodb://%2Frun%2Fmongo.sock/db",
                "redis+socket:///run/redis.sock",
                "http://[::1]:8080/",
            ],
        );
        refused(
            Kind::Url,
            &[
                "",
                "mail.example.com",
                "smtp://",
                "smtp:///",
                "://host",
                "smtp://user:pa/ss@host",
                "http://host:0",
                "http://host:99999",
                "http://a b",
                "http://[::1",
            ],
        );
    }
}
