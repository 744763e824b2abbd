//! The forms in which a secret may turn up.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

use super::SHORTEST;

/// How a secret is written somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Url,
    Json,
    Base64,
}

impl Form {
    /// Returns what a message adds.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Url => " (URL-encoded)",
            Self::Json => " (quoted)",
            Self::Base64 => " (base64)",
        }
    }
}

/// Returns a value without the line break that ends most files.
pub(super) fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    &value[..end]
}

/// Returns the forms that a file may hold as they are.
pub(super) fn plain(value: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let value = trimmed(value);
    let mut forms = vec![(Form::Plain, value.to_vec())];
    for (upper, kept) in [(true, ""), (false, ""), (true, "/"), (true, "/:@!$&'()*+,;=")] {
        forms.push((Form::Url, percent_encoded(value, upper, kept).into_bytes()));
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let quoted = serde_json::to_string(text).expect("a text is plain data");
        forms.push((Form::Json, quoted.as_bytes()[1..quoted.len() - 1].to_vec()));
    }
    distinct(forms)
}

/// Returns the forms that a text without its white space may hold, for base64 is often broken into lines: what the value
/// is in the middle of other bytes, without the digits at both ends that these decide.
pub(super) fn base64(value: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let value = trimmed(value);
    let mut forms = Vec::new();
    for (before, mixed) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [vec![0; before], value.to_vec()].concat();
        let whole = bytes.len() * 8 / 6;
        for encoded in [BASE64_STANDARD_NO_PAD.encode(&bytes), BASE64_URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push((Form::Base64, encoded.as_bytes()[mixed..whole].to_vec()));
        }
    }
    distinct(forms)
}

/// Returns everything to mask: all forms, and of a value of several lines each line.
pub(super) fn masked(value: &[u8]) -> Vec<Vec<u8>> {
    let whole = plain(value).into_iter().chain(base64(value)).map(|(_, form)| form);
    let lines = trimmed(value).split(|byte| *byte == b'\n').map(|line| trimmed(line).to_vec());
    // The first line of a key says what it is and is the same in all of them.
    let lines = lines.filter(|line| line.len() >= SHORTEST && !line.starts_with(b"-----"));
    whole.chain(lines).collect()
}

fn distinct(forms: Vec<(Form, Vec<u8>)>) -> Vec<(Form, Vec<u8>)> {
    let mut kept: Vec<(Form, Vec<u8>)> = Vec::new();
    for form in forms {
        if kept.iter().all(|known| known.1 != form.1) {
            kept.push(form);
        }
    }
    kept
}

/// Encodes all but what is unreserved (RFC 3986, 2.3) and what is `kept`.
fn percent_encoded(value: &[u8], upper: bool, kept: &str) -> String {
    let mut text = String::new();
    for byte in value {
        let stays = byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || kept.as_bytes().contains(byte);
        let written = match (stays, upper) {
            (true, _) => write!(text, "{}", char::from(*byte)),
            (false, true) => write!(text, "%{byte:02X}"),
            (false, false) => write!(text, "%{byte:02x}"),
        };
        written.expect("a text grows");
    }
    text
}
