//! Names that are parts of addresses and of file names, so that no other text gets that far.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that cannot be such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name of a {what}: expected {expected}")]
pub struct NotAName {
    /// What was given, cut when it is long.
    pub text: String,
    /// What it should have named.
    pub what: &'static str,
    /// What such names are made of.
    pub expected: &'static str,
}

/// Declares a type of names: what it names, its longest, the characters besides letters and digits, and whether
/// letters may be capital.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal, $others:literal, $capitals:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAName;

            fn from_str(text: &str) -> Result<Self, NotAName> {
                let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || ($capitals && byte.is_ascii_uppercase());
                let fits = text.len() <= $longest
                    && text.bytes().next().is_some_and(letter)
                    && text.bytes().all(|byte| letter(byte) || $others.contains(&byte));
                match fits {
                    true => Ok(Self(text.to_owned())),
                    false => Err(NotAName { text: text.chars().take(80).collect(), what: $what, expected: $expected }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

names! {
    /// A product, the first part of its addresses.
    Product, "product", 64, b"-_", false,
    "at most 64 lower-case letters, digits, `-` and `_`, beginning with a letter or digit"
}

names! {
    /// A channel, such as `stable`, `beta` or `monthly`.
    Channel, "channel", 32, b"-", false,
    "at most 32 lower-case letters, digits and `-`, beginning with a letter or digit"
}

names! {
    /// The version of a product, such as `v43.4.4`.
    ReleaseName, "release", 64, b".-_+~", true,
    "at most 64 letters, digits and `.-_+~`, beginning with a letter or digit"
}

names! {
    /// A file of a release, such as `docker_backend-v43.4.4.tar`.
    ArtefactName, "file", 200, b".-_+~", true,
    "at most 200 letters, digits and `.-_+~`, beginning with a letter or digit"
}

/// Returns what a file is called when it is asked for without a version: `latest` in the version's place.
///
/// Packages have their versions without the `v` of a tag.
pub fn file_of_latest(file: &ArtefactName, release: &ReleaseName) -> Option<String> {
    let version = release.as_str();
    let bare = version.strip_prefix('v').unwrap_or(version);
    [version, bare].iter().find_map(|version| {
        let is_apart = |start: usize| {
            let end = start + version.len();
            let before = file.0.as_bytes().get(start.wrapping_sub(1));
            let after = file.0.as_bytes().get(end);
            before.is_some_and(|byte| b"-_".contains(byte)) && after.is_none_or(|byte| b"-_.".contains(byte))
        };
        let (start, _) = file.0.match_indices(version).find(|(start, _)| is_apart(*start))?;
        Some(format!("{}latest{}", &file.0[..start], &file.0[start + version.len()..]))
    })
}
