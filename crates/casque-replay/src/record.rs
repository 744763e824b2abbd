//! What is kept of a download.

use std::collections::BTreeMap;

use casque_format::digest::Digest;
use serde::{Deserialize, Serialize};

/// Headers of an answer that programs act on. All others are neither kept nor passed on.
pub(crate) const KEPT_HEADERS: [&str; 8] = [
    "content-disposition",
    "content-encoding",
    "content-type",
    "etag",
    "last-modified",
    "link",
    "location",
    "www-authenticate",
];

/// One request with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// The method; `GET` is left out.
    #[serde(default = "get", skip_serializing_if = "is_get")]
    pub method: String,
    /// The address, without credentials.
    pub url: String,
    /// What kind of answer was asked for, when that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    /// Digest of what the request sent, when it sent something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Digest>,
    /// The status; 200 is left out. 502 stands for a host that could not be reached.
    #[serde(default = "ok", skip_serializing_if = "is_ok")]
    pub status: u16,
    /// The body as text, where it cannot be had again from its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Its digest; an answer other than a success has no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Headers of the answer, the length of an answer to `HEAD` among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What a request is recognised by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) accept: Option<String>,
    pub(crate) sent: Option<Digest>,
}

impl Fetch {
    pub(crate) fn new(key: Key, status: u16) -> Self {
        Self {
            method: key.method,
            url: key.url,
            accept: key.accept,
            sent: key.sent,
            status,
            text: None,
            size: 0,
            sha256: None,
            headers: BTreeMap::new(),
        }
    }

    /// Takes the credentials out of the addresses that the answer's headers name: whoever replays it needs none.
    pub(crate) fn clear_credentials(&mut self) {
        for value in self.headers.values_mut() {
            *value = without_credentials(value);
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key {
            url: self.url.clone(),
            method: self.method.clone(),
            accept: self.accept.clone(),
            sent: self.sent,
        }
    }

    /// Tells whether the answer may be another when it is asked for again, so that it decides nothing yet.
    pub(crate) fn may_pass(&self) -> bool {
        self.status >= 500 || matches!(self.status, 408 | 425 | 429)
    }

    /// Tells whether its body can be had again by asking its address for it.
    pub fn is_download(&self) -> bool {
        self.method == "GET" && self.status == 200 && self.text.is_none()
    }
}

/// Returns `text` without the credentials of the addresses in it (RFC 3986, 3.2.1).
pub(crate) fn without_credentials(text: &str) -> String {
    const ENDS: &[char] = &['/', '?', '#', '"', '\'', '<', '>', '\\', ' ', '\t', '\r', '\n'];
    let mut clean = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let authority = &after[..after.find(ENDS).unwrap_or(after.len())];
        let credentials = authority.rfind('@').map_or(0, |at| at + 1);
        clean += before;
        clean += "://";
        rest = &after[credentials..];
    }
    clean + rest
}

fn get() -> String {
    "GET".to_owned()
}

fn ok() -> u16 {
    200
}

// What serde wants: functions of a reference.
fn is_get(method: &str) -> bool {
    method == "GET"
}

fn is_ok(status: &u16) -> bool {
    *status == 200
}

fn is_zero(size: &u64) -> bool {
    *size == 0
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn addresses_lose_their_credentials_and_nothing_else() {
        let cases = [
            ("https://user:token@h.example/a?b=c@d", "https://h.example/a?b=c@d"),
            (
                "<https://t@h:8443>; rel=\"next\", <http://h/@x>",
                "<https://h:8443>; rel=\"next\", <http://h/@x>",
            ),
            ("href=\"https://u:p@h/a\" mail a@b.example", "href=\"https://h/a\" mail a@b.example"),
            ("/relative@x", "/relative@x"),
            ("https://h", "https://h"),
        ];
        for (text, clean) in cases {
            assert_eq!(without_credentials(text), clean);
        }
    }
}
