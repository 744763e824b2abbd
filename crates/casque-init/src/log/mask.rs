//! Secrets in log lines, and the forms they take there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What stands where a secret stood.
const MASKED: &[u8] = b"***";
/// Shorter values would mask half of every line.
const SHORTEST: usize = 4;
/// A single line of a longer secret, such as a key in PEM form.
const SHORTEST_LINE: usize = 8;

/// The values that must not be seen.
#[derive(Debug, Default)]
pub(crate) struct Mask {
    /// Longest first, so that a secret inside another does not leave half of it.
    forms: Vec<Vec<u8>>,
    /// Whether a form begins with this byte.
    first: Vec<bool>,
    longest: usize,
}

impl Mask {
    /// Returns a mask for these values and the ways programs quote them.
    pub(crate) fn new(values: &[String]) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            // A secret of several lines never meets a single line as a whole.
            let lines = value.lines().filter(|_| value.contains('\n'));
            let lines = lines.map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            for text in [value.as_str()].into_iter().chain(lines) {
                if text.len() >= SHORTEST {
                    forms.extend(quoted(text).into_iter().map(String::into_bytes));
                }
            }
        }
        let mut forms: Vec<Vec<u8>> = forms.into_iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let mut first = vec![false; 256];
        for form in &forms {
            first[usize::from(form[0])] = true;
        }
        Self { longest: forms.first().map_or(0, Vec::len), forms, first }
    }

    /// Returns the length of the longest form.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Returns the line without secrets, up to `limit` bytes of it. A secret that begins before the
    /// limit must be there as a whole.
    pub(crate) fn apply(&self, line: &[u8], limit: usize) -> Vec<u8> {
        if self.forms.is_empty() {
            return line[..line.len().min(limit)].to_vec();
        }
        let mut masked = Vec::with_capacity(line.len());
        let mut rest = line;
        while let Some(&byte) = rest.first()
            && line.len() - rest.len() < limit
        {
            let form = self
                .forms
                .iter()
                .filter(|_| self.first[usize::from(byte)])
                .find(|form| rest.starts_with(form));
            if let Some(form) = form {
                masked.extend_from_slice(MASKED);
                rest = &rest[form.len()..];
            } else {
                masked.push(byte);
                rest = &rest[1..];
            }
        }
        masked
    }
}

/// Returns a value as it is, as JSON writes it (with and without escapes for all but ASCII), and
/// as URLs write it (with capital and small digits, with and without `/`, with `+` for a blank).
fn quoted(value: &str) -> Vec<String> {
    let json = serde_json::Value::from(value).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let strict = percent(value, "");
    vec![
        value.to_owned(),
        ascii(&json),
        json.replace('/', "\\/"),
        json,
        strict.to_lowercase_escapes(),
        strict.replace("%20", "+"),
        percent(value, "/").replace("%20", "+"),
        percent(value, "/"),
        // What may stand in the user information of a URL without being quoted (RFC 3986, 3.2.1).
        percent(value, "!$&'()*+,;="),
        strict,
    ]
}

fn percent(value: &str, safe: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || safe.as_bytes().contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Writes everything beyond ASCII as `\uXXXX`, as Python's `json` does.
fn ascii(json: &str) -> String {
    let mut text = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

trait Escapes {
    fn to_lowercase_escapes(&self) -> String;
}

impl Escapes for str {
    /// Writes `%2F` as `%2f`.
    fn to_lowercase_escapes(&self) -> String {
        let mut text = String::new();
        let mut digits = 0;
        for character in self.chars() {
            if digits > 0 {
                digits -= 1;
                text.push(character.to_ascii_lowercase());
            } else {
                digits = if character == '%' { 2 } else { 0 };
                text.push(character);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], line: &str) -> String {
        let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
        String::from_utf8(Mask::new(&secrets).apply(line.as_bytes(), usize::MAX)).unwrap()
    }

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        assert_eq!(
            masked(&["geheim"], "geheim agent monitor geheim, geheimgeheim"),
            "*** agent monitor ***, ******"
        );
        assert_eq!(masked(&[], "nothing to hide"), "nothing to hide");
    }

    #[test]
    fn a_secret_is_masked_in_every_way_it_is_quoted() {
        let secret = "p\"a/s s€+";
        for form in [
            "p\"a/s s€+",
            r#"p\"a/s s€+"#,
            r#"p\"a\/s s€+"#,
            r#"p\"a/s s\u20ac+"#,
            "p%22a%2Fs%20s%E2%82%AC%2B",
            "p%22a%2fs%20s%e2%82%ac%2b",
            "p%22a/s%20s%E2%82%AC%2B",
            "p%22a%2Fs+s%E2%82%AC%2B",
            "p%22a%2Fs%20s%E2%82%AC+",
        ] {
            assert_eq!(masked(&[secret], &format!("<{form}>")), "<***>", "{form}");
        }
    }

    #[test]
    fn of_two_secrets_the_longer_one_wins() {
        assert_eq!(masked(&["abcd", "abcdefgh"], "abcdefgh abcdefg"), "*** ***efg");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(masked(&["yes", ""], "yes or no"), "yes or no");
    }

    #[test]
    fn each_line_of_a_long_secret_is_masked() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADAN\nabc\n-----END KEY-----\n";
        assert_eq!(masked(&[key], "MIIEvQIBADAN abc"), "*** abc");
    }
}
