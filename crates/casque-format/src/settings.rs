//! The schema of a product's settings.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One setting that the customer may give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
}

/// Takes text, a whole number or a truth value as text.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Scalar;

    impl Visitor<'_> for Scalar {
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
    }

    deserializer.deserialize_any(Scalar).map(Some)
}

/// The type of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Any text.
    String,
    /// A decimal integer, 64 bits signed.
    Integer,
    /// `true` or `false`.
    Bool,
    /// A TCP port, 1 to 65535.
    Port,
    /// A host name or an address.
    Host,
    /// An absolute URL.
    Url,
    /// Any text that is not empty; always secret.
    Password,
}

impl Kind {
    /// Returns what to tell a customer who gave something else.
    pub fn expected(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Integer => "a whole number such as 42",
            Self::Bool => "`true` or `false`",
            Self::Port => "a port number from 1 to 65535",
            Self::Host => "a host name or an address such as `mail.example.com`",
            Self::Url => "a URL such as `smtp://user:password@host:25`",
            Self::Password => "a password that is not empty",
        }
    }
}

/// Returns the environment variable of a setting: capitals, `_` for `-`, after the product's prefix.
pub fn environment_name(prefix: &str, setting: &str) -> String {
    format!("{prefix}{}", setting.to_uppercase().replace('-', "_"))
}

/// The settings every product has, added by the build unless the manifest describes them itself.
pub fn built_in() -> Vec<(&'static str, Setting)> {
    let setting = |kind, description: &str, secret, generate, default: Option<&str>| Setting {
        kind,
        description: description.to_owned(),
        secret,
        generate,
        default: default.map(str::to_owned),
        required: false,
    };
    vec![
        (
            "log-files",
            setting(
                Kind::Integer,
                "How many log files each service keeps in the volume, the current one included; 0 for none.",
                false,
                false,
                Some("5"),
            ),
        ),
        (
            "log-format",
            setting(
                Kind::String,
                "What a line of the container's log looks like: text or json.",
                false,
                false,
                Some("text"),
            ),
        ),
        (
            "log-size",
            setting(
                Kind::Integer,
                "MiB of a service's log file before the next is begun.",
                false,
                false,
                Some("10"),
            ),
        ),
        (
            "status-agent",
            setting(
                Kind::String,
                "First word of the User-Agent that may see the details of /status.",
                false,
                false,
                Some("monitor"),
            ),
        ),
        (
            "status-token",
            setting(Kind::Password, "Token that opens the details of /status.", true, true, None),
        ),
    ]
}
