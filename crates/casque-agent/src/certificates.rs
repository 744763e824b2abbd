//! What the settings that are certificates say: whose they are and when they end.

use casque_format::settings::{Kind, TLS_CERTIFICATE};
use casque_format::status::Certificate;
use x509_parser::pem::Pem;

use crate::settings::Settings;
use crate::tls::pair::Pair;

/// Warned of so many seconds ahead.
const WARNED_AHEAD: i64 = 30 * DAY;
/// Seconds.
const DAY: i64 = 86_400;

/// Returns the certificates among `settings`, by name of the setting. One that cannot be understood is left out. `https` is
/// what HTTPS is served with, wherever that is from.
pub fn of(settings: &Settings, https: Option<&Pair>) -> Vec<Certificate> {
    let given = settings.iter().filter(|(name, one)| {
        one.setting.kind == Kind::Certificate && (https.is_none() || *name != TLS_CERTIFICATE)
    });
    let mut all: Vec<Certificate> = given.filter_map(|(name, one)| certificate(name, one.text()?)).collect();
    all.extend(https.map(|pair| Certificate {
        setting: TLS_CERTIFICATE.to_owned(),
        subject: pair.subject.clone(),
        not_after: pair.not_after,
        days_left: None,
    }));
    all.sort_by(|one, other| one.setting.cmp(&other.setting));
    all
}

/// Returns whole days until the end of one, at `now`, seconds since 1970.
pub fn days_left(certificate: &Certificate, now: i64) -> i64 {
    certificate.not_after.saturating_sub(now).div_euclid(DAY)
}

/// Returns what an operator must know about one at `now`, seconds since 1970.
pub fn warning(certificate: &Certificate, now: i64) -> Option<String> {
    let left = certificate.not_after.saturating_sub(now);
    let (setting, subject) = (&certificate.setting, &certificate.subject);
    let what = match setting.as_str() {
        TLS_CERTIFICATE => format!("the certificate for HTTPS (`{subject}`)"),
        _ => format!("the certificate of setting `{setting}` (`{subject}`)"),
    };
    match left {
        ..0 => Some(format!("{what} ended {} days ago", -left / DAY)),
        0..WARNED_AHEAD => Some(format!("{what} ends in {} days", left / DAY)),
        _ => None,
    }
}

/// Reads a chain: the first is whose it is, and it is good until the first of all ends.
pub fn certificate(setting: &str, text: &str) -> Option<Certificate> {
    let (mut subject, mut not_after) = (None, i64::MAX);
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        let block = block.ok()?;
        let certificate = block.parse_x509().ok()?;
        subject.get_or_insert_with(|| certificate.subject().to_string());
        not_after = not_after.min(certificate.validity().not_after.timestamp());
    }
    Some(Certificate { setting: setting.to_owned(), subject: subject?, not_after, days_left: None })
}

#[cfg(test)]
mod tests {
    use casque_format::settings::Setting;

    use super::*;
    use crate::settings::{Origin, Resolved, Text, Value};

    /// Of `CN=backend.example.com`, made once with openssl(1) for 3650 days from 2026.
    const GOOD: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBkjCCATegAwIBAgIUfko/5Yp64lGnFer8RTe5BSuc60gwCgYIKoZIzj0EAwIw\n\
        HjEcMBoGA1UEAwwTYmFja2VuZC5leGFtcGxlLmNvbTAeFw0yNjExMjcyMDE5MzJa\n\
        Fw0zNjExMjQyMDE5MzJaMB4xHDAaBgNVBAMME2JhY2tlbmQuZXhhbXBsZS5jb20w\n\
        WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS9fAmyc93FHBlqOG1rNQAPwo/MCW3I\n\
        cxYCR1733YzAHUwkSShoDRcvuTfhCA3SSNGbxMhDD5XksNprc4KuL9gWo1MwUTAd\n\
        BgNVHQ4EFgQUb2g8GePqvLL5SvpNxSTh8Go2PCswHwYDVR0jBBgwFoAUb2g8GePq\n\
        vLL5SvpNxSTh8Go2PCswDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBG\n\
        AiEAz5StTz3kG59J+/FDX8J2hkxzYoxFyrouK7c0Vu8+bzACIQCEuL/WeMnlAn1B\n\
        ZK0ZSRrznvLJSo/QIFrZdxCRkiWCSQ==\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn a_chain_ends_with_the_first_of_its_certificates() {
        let setting = Setting { kind: Kind::Certificate, ..Setting::default() };
        let value = |text: &str| Value::Known(Text::new(text.to_owned()));
        let one =
            |value| Resolved { setting: setting.clone(), value, origin: Origin::Unset, warnings: vec![] };
        let settings = Settings::from([
            ("chain".to_owned(), one(value(&format!("{GOOD}{GOOD}")))),
            ("none".to_owned(), one(Value::Unset)),
            (
                "wrong".to_owned(),
                one(value("-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n")),
            ),
        ]);
        let found = of(&settings, None);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].setting.as_str(), found[0].subject.as_str()),
            ("chain", "CN=backend.example.com")
        );
        let end = found[0].not_after;
        let said = |before: i64| warning(&found[0], end - before);
        assert_eq!(said(31 * 86_400), None);
        let what = "the certificate of setting `chain` (`CN=backend.example.com`)";
        assert_eq!(said(3 * 86_400), Some(format!("{what} ends in 3 days")));
        assert_eq!(said(-2 * 86_400), Some(format!("{what} ended 2 days ago")));
    }
}
