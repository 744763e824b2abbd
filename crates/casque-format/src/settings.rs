//! The schema of a product's settings.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// One setting that the customer may give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Setting {
    /// What a value must look like.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// One sentence for the customer.
    pub description: String,
    /// Never shown, never in an argument vector, masked in every log line.
    #[serde(default)]
    pub secret: bool,
    /// Made at random once per instance when none is given.
    #[serde(default)]
    pub generate: bool,
    /// The value when none is given, judged like any other; a number or `true` is taken as its text.
    #[serde(default, deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// No start without a value.
    #[serde(default)]
    pub required: bool,
    /// No start without a value when another setting has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_when: Option<Condition>,
    /// The least number, duration or size.
    #[serde(default, deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The greatest number, duration or size.
    #[serde(default, deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// The fewest characters; of a list, items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// The most characters; of a list, items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// A regular expression that the whole value matches; of a list, each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The values of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The schemes a URL may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<String>,
    /// The type of a list's items; none means text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Kind>,
    /// Names it had in earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed_from: Vec<String>,
    /// Environment variables that give it too, whatever the product's prefix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// Why it will go away, and what to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
}

impl Setting {
    /// Says whether a value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.secret || self.generate || self.kind == Kind::Password
    }

    /// Says whether it is for a mail server: a URL that can be nothing else.
    pub fn names_mail_server(&self) -> bool {
        let is_one = |scheme: &String| ["smtp", "smtps"].contains(&scheme.as_str());
        self.kind == Kind::Url && !self.schemes.is_empty() && self.schemes.iter().all(is_one)
    }
}

/// Takes text, a whole number, a truth value or a list of texts as text.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Scalar;

    impl<'de> Visitor<'de> for Scalar {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text, a whole number or a truth value")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_bool<E: de::Error>(self, truth: bool) -> Result<String, E> {
            Ok(truth.to_string())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<String, A::Error> {
            let mut all: Vec<String> = Vec::new();
            while let Some(item) = items.next_element()? {
                all.push(item);
            }
            Ok(all.join(","))
        }
    }

    deserializer.deserialize_any(Scalar).map(Some)
}

/// Another setting that has a value, `NAME`, or a given one, `NAME = VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    /// The other setting.
    pub setting: String,
    /// The value it has to have; none means any.
    pub is: Option<String>,
}

/// A text that is no [`Condition`].
#[derive(Debug, PartialEq, Eq, Error)]
#[error("`{0}` is neither `SETTING` nor `SETTING = VALUE`")]
pub struct NoCondition(String);

impl TryFrom<String> for Condition {
    type Error = NoCondition;

    fn try_from(text: String) -> Result<Self, NoCondition> {
        let (setting, is) = match text.split_once('=') {
            Some((setting, value)) => (setting.trim(), Some(value.trim())),
            None => (text.trim(), None),
        };
        if setting.is_empty() || is == Some("") {
            return Err(NoCondition(text));
        }
        Ok(Self { setting: setting.to_owned(), is: is.map(str::to_owned) })
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        match condition.is {
            Some(value) => format!("{} = {value}", condition.setting),
            None => condition.setting,
        }
    }
}

/// The type of a setting's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Any text.
    #[default]
    String,
    /// A decimal integer, 64 bits signed.
    Integer,
    /// `true` or `false`.
    Bool,
    /// One of the setting's choices.
    Choice,
    /// A TCP port, 1 to 65535.
    Port,
    /// A host name or an address.
    Host,
    /// An address or a network such as `10.0.0.0/8`.
    Network,
    /// An absolute URL.
    Url,
    /// A time such as `90s` or `12h`; its value is the seconds.
    Duration,
    /// An amount such as `512M`; its value is the bytes.
    Size,
    /// Any text that is not empty; always secret.
    Password,
    /// Certificates in PEM, the server's own first.
    Certificate,
    /// Several values, separated by commas.
    List,
}

impl Kind {
    /// Returns its name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Bool => "bool",
            Self::Choice => "choice",
            Self::Port => "port",
            Self::Host => "host",
            Self::Network => "network",
            Self::Url => "url",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Password => "password",
            Self::Certificate => "certificate",
            Self::List => "list",
        }
    }
}

/// Returns the environment variable of a setting: capitals, `_` for `-`, after the product's prefix.
pub fn environment_name(prefix: &str, setting: &str) -> String {
    format!("{prefix}{}", setting.to_uppercase().replace('-', "_"))
}

/// The setting for the number of log files of a service.
pub const LOG_FILES: &str = "log-files";
/// The setting for what a line of the container's log looks like.
pub const LOG_FORMAT: &str = "log-format";
/// The setting for the MiB of a log file.
pub const LOG_SIZE: &str = "log-size";
/// The setting for where logs are sent.
pub const SYSLOG_URL: &str = "syslog-url";
/// The setting for the facility of what is sent there.
pub const SYSLOG_FACILITY: &str = "syslog-facility";
/// The setting for the room of lines that wait to be sent.
pub const SYSLOG_BUFFER: &str = "syslog-buffer";
/// The setting for the authorities that alone are trusted there.
pub const SYSLOG_AUTHORITY: &str = "syslog-ca";
/// The facilities of syslog by number, RFC 5424 section 6.2.1.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
/// The setting for the time zone, which every service gets as `TZ`.
pub const TIME_ZONE: &str = "time-zone";
/// The setting for the proxy that services are to use.
pub const OUTGOING_PROXY: &str = "outgoing-proxy";
/// The setting for what is reached without that proxy.
pub const OUTGOING_PROXY_EXCEPTIONS: &str = "outgoing-proxy-exceptions";

/// The settings every product has, added by the build unless the manifest describes them itself.
pub fn built_in() -> Vec<(&'static str, Setting)> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let setting =
        |kind, description: &str| Setting { kind, description: description.to_owned(), ..Setting::default() };
    vec![
        (
            "base-url",
            Setting {
                schemes: texts(&["http", "https"]),
                ..setting(Kind::Url, "The address under which browsers reach this product.")
            },
        ),
        (
            LOG_FILES,
            Setting {
                default: Some("5".to_owned()),
                min: Some("0".to_owned()),
                max: Some("1000".to_owned()),
                ..setting(
                    Kind::Integer,
                    "How many log files each service keeps in the volume, the current one included; 0 for none.",
                )
            },
        ),
        (
            LOG_FORMAT,
            Setting {
                default: Some("text".to_owned()),
                choices: texts(&["text", "json"]),
                ..setting(Kind::Choice, "What a line of the container's log looks like: text or json.")
            },
        ),
        (
            LOG_SIZE,
            Setting {
                default: Some("10".to_owned()),
                min: Some("1".to_owned()),
                max: Some("1048576".to_owned()),
                ..setting(Kind::Integer, "MiB of a service's log file before the next is begun.")
            },
        ),
        (
            OUTGOING_PROXY,
            Setting {
                secret: true,
                schemes: texts(&["http", "https"]),
                variables: texts(&["HTTPS_PROXY", "HTTP_PROXY"]),
                ..setting(
                    Kind::Url,
                    "Proxy through which this product reaches others, as http://user:password@host:port.",
                )
            },
        ),
        (
            OUTGOING_PROXY_EXCEPTIONS,
            Setting {
                variables: texts(&["NO_PROXY"]),
                ..setting(Kind::List, "Hosts and domains that are reached without that proxy.")
            },
        ),
        (
            "status-agent",
            Setting {
                default: Some("monitor".to_owned()),
                ..setting(Kind::String, "First word of the User-Agent that may see the details of /status.")
            },
        ),
        (
            "status-token",
            Setting {
                secret: true,
                generate: true,
                ..setting(Kind::Password, "Token that opens the details of /status.")
            },
        ),
        (
            SYSLOG_BUFFER,
            Setting {
                default: Some("64M".to_owned()),
                min: Some("1M".to_owned()),
                max: Some("1T".to_owned()),
                ..setting(Kind::Size, "Room in the volume for lines that wait for the syslog receiver.")
            },
        ),
        (
            SYSLOG_AUTHORITY,
            setting(
                Kind::Certificate,
                "Certificate authorities that alone may sign the syslog receiver's certificate.",
            ),
        ),
        (
            SYSLOG_FACILITY,
            Setting {
                default: Some("local0".to_owned()),
                choices: texts(&FACILITIES),
                ..setting(Kind::Choice, "Facility of the lines that are sent to the syslog receiver.")
            },
        ),
        (
            SYSLOG_URL,
            Setting {
                schemes: texts(&["udp", "tcp", "tls"]),
                pattern: Some("[a-z]+://[^/?#@,%]+".to_owned()),
                ..setting(
                    Kind::Url,
                    "Syslog receiver of all logs (RFC 5424): udp://host:514, tcp://host:601 or tls://host:6514.",
                )
            },
        ),
        (
            TIME_ZONE,
            Setting {
                pattern: Some("[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*".to_owned()),
                variables: texts(&["TZ"]),
                ..setting(Kind::String, "Time zone of every service, such as Europe/Berlin.")
            },
        ),
        (
            "trusted-proxies",
            Setting {
                items: Some(Kind::Network),
                ..setting(Kind::List, "Proxies before this product whose word on a client's address counts.")
            },
        ),
    ]
}

/// The setting that switches HTTPS.
pub const HTTPS: &str = "https";
/// The setting for its certificate.
pub const TLS_CERTIFICATE: &str = "tls-certificate";
/// The setting for the key of that.
pub const TLS_KEY: &str = "tls-key";
/// The setting that sends browsers from HTTP to HTTPS.
pub const HTTPS_REDIRECT: &str = "https-redirect";
/// The setting for how long browsers are to use nothing but HTTPS.
pub const HSTS: &str = "hsts";

/// The settings of a product whose front serves HTTPS, added like those of [`built_in`].
pub fn of_https() -> Vec<(&'static str, Setting)> {
    let setting =
        |kind, description: &str| Setting { kind, description: description.to_owned(), ..Setting::default() };
    vec![
        (
            HTTPS,
            Setting {
                default: Some("auto".to_owned()),
                choices: ["auto", "on", "off"].map(str::to_owned).to_vec(),
                ..setting(Kind::Choice, "Whether HTTPS is served; auto: when a certificate is given.")
            },
        ),
        (
            TLS_CERTIFICATE,
            setting(
                Kind::Certificate,
                "Certificate for HTTPS and those that signed it, in place of /data/tls/cert.pem.",
            ),
        ),
        (
            TLS_KEY,
            Setting {
                secret: true,
                required_when: Some(Condition { setting: TLS_CERTIFICATE.to_owned(), is: None }),
                ..setting(Kind::String, "Its private key in PEM, in place of /data/tls/key.pem.")
            },
        ),
        (
            HTTPS_REDIRECT,
            Setting {
                default: Some("false".to_owned()),
                ..setting(Kind::Bool, "Whether whoever comes by HTTP is sent to HTTPS.")
            },
        ),
        (
            HSTS,
            Setting {
                default: Some("0s".to_owned()),
                ..setting(
                    Kind::Duration,
                    "How long browsers that came by HTTPS are to use nothing else (Strict-Transport-Security); 0s for not at all.",
                )
            },
        ),
    ]
}
