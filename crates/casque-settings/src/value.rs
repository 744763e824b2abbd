//! What a setting's value must look like.

use std::net::IpAddr;

use casque_format::settings::{Kind, Setting};
use regex_lite::Regex;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Returns `text` as the type writes it, or nothing when it is not a value of `setting`.
///
/// A number is written plainly, a duration as its seconds, a size as its bytes, a list with `,` between its items.
pub fn check(setting: &Setting, text: &str) -> Option<String> {
    if setting.kind == Kind::List {
        return list(setting, text);
    }
    let value = one(setting, setting.kind, text)?;
    let number = value.parse::<i64>().ok();
    let bound = |bound: &Option<String>| bound.as_ref().and_then(|bound| number_of(setting.kind, bound));
    let fits = bound(&setting.min).is_none_or(|least| number.is_some_and(|number| number >= least))
        && bound(&setting.max).is_none_or(|most| number.is_some_and(|number| number <= most));
    (fits && length_fits(setting, value.chars().count())).then_some(value)
}

/// Returns the number that a text of this type stands for.
pub(crate) fn number_of(kind: Kind, text: &str) -> Option<i64> {
    match kind {
        Kind::Integer => integer(text),
        Kind::Port => port(text).map(i64::from),
        Kind::Duration => duration(text),
        Kind::Size => size(text),
        _ => None,
    }
}

/// Returns the regular expression that a whole value has to match.
pub(crate) fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

fn list(setting: &Setting, text: &str) -> Option<String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let kind = setting.items.unwrap_or_default();
    let items: Vec<String> = items.map(|item| one(setting, kind, item)).collect::<Option<_>>()?;
    length_fits(setting, items.len()).then(|| items.join(","))
}

/// Judges a value that is no list, or an item of one.
fn one(setting: &Setting, kind: Kind, text: &str) -> Option<String> {
    let value = match kind {
        Kind::String => text.to_owned(),
        Kind::Password => (!text.is_empty()).then(|| text.to_owned())?,
        Kind::Integer | Kind::Port | Kind::Duration | Kind::Size => number_of(kind, text)?.to_string(),
        Kind::Bool => matches!(text, "true" | "false").then(|| text.to_owned())?,
        Kind::Choice => setting.choices.iter().find(|choice| *choice == text)?.clone(),
        Kind::Host => is_host(text).then(|| text.to_owned())?,
        Kind::Network => is_network(text).then(|| text.to_owned())?,
        Kind::Url => (is_url(text) && has_scheme(setting, text)).then(|| text.to_owned())?,
        Kind::Certificate => is_certificate(text).then(|| text.to_owned())?,
        Kind::List => return None,
    };
    let matches = |pattern: &String| whole(pattern).is_ok_and(|pattern| pattern.is_match(&value));
    setting.pattern.as_ref().is_none_or(matches).then_some(value)
}

fn length_fits(setting: &Setting, length: usize) -> bool {
    setting.min_length.is_none_or(|least| length >= least)
        && setting.max_length.is_none_or(|most| length <= most)
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

/// Seconds: whole numbers with a unit each, the largest first, such as `1h30m`.
fn duration(text: &str) -> Option<i64> {
    amounts(text, &[('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)])
}

/// Bytes: one whole number, which may have a unit of 1024.
fn size(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let units = [('K', 1_i64 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];
    let (digits, factor) = units.iter().find_map(|(unit, factor)| {
        Some((text.strip_suffix(*unit).or_else(|| text.strip_suffix(unit.to_ascii_lowercase()))?, factor))
    })?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(*factor)
}

fn amounts(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let (mut rest, mut units, mut sum) = (text, units, 0_i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest[digits..].chars().next()?;
        let place = units.iter().position(|(known, _)| *known == unit)?;
        let amount: i64 = rest[..digits].parse().ok()?;
        sum = sum.checked_add(amount.checked_mul(units[place].1)?)?;
        units = &units[place + 1..];
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(sum)
}

/// An address, or one with the length of a network's prefix.
fn is_network(text: &str) -> bool {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.is_none_or(|length| {
        length.bytes().all(|byte| byte.is_ascii_digit())
            && length.parse::<u8>().is_ok_and(|length| length <= most)
    })
}

/// One certificate or more, and nothing that is none: a key in its place would be shown to everybody.
fn is_certificate(text: &str) -> bool {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let begins = text.matches("-----BEGIN ").count();
    certificates
        .is_ok_and(|all| !all.is_empty() && all.len() == begins && all.iter().all(|one| is_sequence(one)))
}

/// Says whether DER has one sequence that is exactly as long as it says.
fn is_sequence(der: &[u8]) -> bool {
    let Some((0x30, rest)) = der.split_first().map(|(tag, rest)| (*tag, rest)) else { return false };
    let Some((&first, rest)) = rest.split_first() else { return false };
    let digits = usize::from(first & 0x7f);
    if first < 0x80 {
        return rest.len() == digits;
    }
    let Some((length, content)) = rest.split_at_checked(digits) else { return false };
    digits <= 4 && length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) == content.len()
}

fn has_scheme(setting: &Setting, text: &str) -> bool {
    let scheme = text.split("://").next().unwrap_or_default();
    setting.schemes.is_empty() || setting.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind) -> Setting {
        Setting { kind, ..Setting::default() }
    }

    fn accepted(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert!(check(&of(kind), text).is_some(), "{text:?} is a {kind:?}");
        }
    }

    fn refused(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert_eq!(check(&of(kind), text), None, "{text:?} is no {kind:?}");
        }
    }

    /// Returns which of `texts` are values of `setting`, as they are written.
    fn values(setting: &Setting, texts: &[&str]) -> Vec<String> {
        texts.iter().filter_map(|text| check(setting, text)).collect()
    }

    #[test]
    fn texts_are_anything_and_passwords_are_not_empty() {
        accepted(Kind::String, &["", " ", "ü\n"]);
        accepted(Kind::Password, &[" ", "a'\"$"]);
        refused(Kind::Password, &[""]);
    }

    #[test]
    fn numbers_are_written_plainly() {
        assert_eq!(check(&of(Kind::Integer), "-007").as_deref(), Some("-7"));
        assert_eq!(check(&of(Kind::Port), "080").as_deref(), Some("80"));
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

    #[test]
    fn durations_are_seconds_and_sizes_are_bytes() {
        let texts = [
            "0s",
            "90s",
            "15m",
            "1h30m",
            "1d",
            "90",
            "",
            "s",
            "1m1h",
            "1.5h",
            "-1s",
            "1h30",
            "9223372036854775807d",
        ];
        assert_eq!(values(&of(Kind::Duration), &texts), ["0", "90", "900", "5400", "86400"]);
        let texts =
            ["0", "512", "512k", "2M", "3G", "1T", "", "M", "1.5G", "-1", "1P", "1MB", "9999999999T", "1ü"];
        let bytes = ["0", "512", "524288", "2097152", "3221225472", "1099511627776"];
        assert_eq!(values(&of(Kind::Size), &texts), bytes);
    }

    #[test]
    fn networks_are_addresses_with_or_without_a_prefix() {
        accepted(Kind::Network, &["10.0.0.0/8", "10.1.2.3", "::1", "fd00::/8"]);
        refused(
            Kind::Network,
            &["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "fd00::/129", "example.com", "10.0.0/8"],
        );
    }

    #[test]
    fn bounds_and_lengths_include_their_ends() {
        let numbers = Setting { min: Some("1".to_owned()), max: Some("64".to_owned()), ..of(Kind::Integer) };
        assert_eq!(values(&numbers, &["0", "1", "64", "65"]), ["1", "64"]);
        let times = Setting { min: Some("1m".to_owned()), max: Some("1h".to_owned()), ..of(Kind::Duration) };
        assert_eq!(values(&times, &["59s", "60s", "60m", "61m"]), ["60", "3600"]);
        let texts = Setting { min_length: Some(2), max_length: Some(3), ..of(Kind::Password) };
        assert_eq!(values(&texts, &["ä", "äö", "äöü", "äöüß"]), ["äö", "äöü"]);
    }

    #[test]
    fn a_pattern_is_matched_by_the_whole_value() {
        let word = Setting { pattern: Some("[a-z]+|[0-9]+".to_owned()), ..of(Kind::String) };
        assert_eq!(values(&word, &["abc", "12", "abc1", "a b", "abc\n", ""]), ["abc", "12"]);
    }

    #[test]
    fn a_choice_is_one_of_its_choices_and_a_url_has_one_of_its_schemes() {
        let choices = ["one", "two"].map(str::to_owned).to_vec();
        assert_eq!(values(&Setting { choices, ..of(Kind::Choice) }, &["one", "One", "three", ""]), ["one"]);
        let mail = Setting { schemes: ["smtp", "smtps"].map(str::to_owned).to_vec(), ..of(Kind::Url) };
        assert_eq!(values(&mail, &["smtp://a", "SMTPS://a", "http://a"]), ["smtp://a", "SMTPS://a"]);
    }

    #[test]
    fn a_list_has_items_of_one_type_without_blanks_around_them() {
        let hosts = Setting { items: Some(Kind::Host), max_length: Some(2), ..of(Kind::List) };
        let texts = ["a.example, 10.0.0.1", "", "a,,b", "a,b,c", "a b"];
        assert_eq!(values(&hosts, &texts), ["a.example,10.0.0.1", "", "a,b"]);
    }

    #[test]
    fn a_certificate_is_whole_and_no_key() {
        // A sequence of three bytes stands in for a certificate: what is in it is judged by whoever uses it.
        let block = |label: &str, content: &str| {
            format!("-----BEGIN {label}-----\n{content}\n-----END {label}-----\n")
        };
        let good = block("CERTIFICATE", "MAMCAQE=");
        accepted(Kind::Certificate, &[&good, &format!("{good}{good}")]);
        let key = block("PRIVATE KEY", "MAMCAQE=");
        let short = block("CERTIFICATE", "MAMCAQ==");
        refused(Kind::Certificate, &["", "text", &key, &format!("{good}{key}"), &short, &good[..40]]);
    }
}
