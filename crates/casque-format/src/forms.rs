//! The forms in which a secret may turn up in a text: what is masked in logs, and searched for before anything leaves.

use std::fmt::Write as _;

/// How a secret is written somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Plain,
    /// As URLs and forms write it.
    Url,
    /// As JSON writes it, in one document or in one inside of another.
    Json,
    /// In the middle of something that was encoded.
    Base64,
}

impl Form {
    /// Returns what a message adds.
    pub fn note(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Url => " (URL-encoded)",
            Self::Json => " (quoted)",
            Self::Base64 => " (base64)",
        }
    }
}

/// A line of a longer secret, such as a key in PEM form, that is one by itself.
const SHORTEST_LINE: usize = 8;
/// What programs leave as it is in a URL: what is unreserved (RFC 3986, 2.3), and besides nothing, `/`, what JavaScript leaves, what may
/// stand in the user information, and what may in a path. Forms leave other characters.
const LEFT: [&str; 6] = ["-._~", "-._~/", "-._~!'()*", "-._~!$&'()*+,;=", "-._~/:@!$&'()*+,;=", "-._*"];

/// Returns a value without the line break that ends most files.
pub fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    &value[..end]
}

/// Returns the lines of a value that has several and whose lines are secrets, too.
pub fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let value = trimmed(value);
    let several = value.contains(&b'\n');
    let lines = value.split(move |byte| several && *byte == b'\n').filter(move |_| several);
    // The first line of a key says what it is and is the same in all of them.
    lines.map(<[u8]>::trim_ascii).filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with(b"-----"))
}

/// Returns the forms that a text may hold as they are.
pub fn plain(value: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let value = trimmed(value);
    let mut forms = vec![(Form::Plain, value.to_vec())];
    for left in LEFT {
        for upper in [true, false] {
            let strict = percent_encoded(value, upper, left);
            forms.push((Form::Url, strict.replace("%20", "+").into_bytes()));
            forms.push((Form::Url, strict.into_bytes()));
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let once = quoted(text);
        // Of a document inside of another.
        let twice: Vec<String> = once.iter().flat_map(|text| quoted(text)).collect();
        forms.extend(once.into_iter().chain(twice).map(|text| (Form::Json, text.into_bytes())));
    }
    distinct(forms)
}

/// Returns the forms that a text without its white space may hold, for base64 is often broken into lines: what the value
/// is in the middle of other bytes, without the digits at both ends that these decide.
pub fn base64(value: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let value = trimmed(value);
    let mut forms = Vec::new();
    for (before, mixed) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [vec![0; before], value.to_vec()].concat();
        let whole = bytes.len() * 8 / 6;
        for last in [b"+/", b"-_"] {
            let digits = &base64_digits(&bytes, last)[mixed..whole];
            for upper in [true, false] {
                forms.push((Form::Base64, percent_encoded(digits, upper, "-_").into_bytes()));
            }
            forms.push((Form::Base64, digits.to_vec()));
        }
    }
    distinct(forms)
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

/// Encodes all but letters, digits and what is `left`.
fn percent_encoded(value: &[u8], upper: bool, left: &str) -> String {
    let mut text = String::new();
    for byte in value {
        let stays = byte.is_ascii_alphanumeric() || left.as_bytes().contains(byte);
        let written = match (stays, upper) {
            (true, _) => write!(text, "{}", char::from(*byte)),
            (false, true) => write!(text, "%{byte:02X}"),
            (false, false) => write!(text, "%{byte:02x}"),
        };
        written.expect("a text grows");
    }
    text
}

/// Returns what JSON writes: with and without escapes for `/`, for all but ASCII, and for what HTML would take for its own.
fn quoted(text: &str) -> Vec<String> {
    let json = serde_json::Value::from(text).to_string();
    let json = &json[1..json.len() - 1];
    let mut forms = Vec::new();
    for special in ["", "<>&"] {
        for all in [false, true] {
            let escaped = escaped(json, special, all);
            forms.push(escaped.replace('/', "\\/"));
            forms.push(escaped);
        }
    }
    forms
}

/// Writes these characters, and `all` beyond ASCII, as `\uXXXX`.
fn escaped(json: &str, special: &str, all: bool) -> String {
    let mut text = String::new();
    for character in json.chars() {
        if special.contains(character) || (all && !character.is_ascii()) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("a text grows");
            }
        } else {
            text.push(character);
        }
    }
    text
}

/// Returns all digits, the last of which may say less than six bits; `last` are those for 62 and 63.
fn base64_digits(bytes: &[u8], last: &[u8; 2]) -> Vec<u8> {
    let digit = |number: u32| match u8::try_from(number & 63).unwrap_or(0) {
        number @ 0..26 => b'A' + number,
        number @ 26..52 => b'a' + number - 26,
        number @ 52..62 => b'0' + number - 52,
        number => last[usize::from(number - 62)],
    };
    let mut digits = Vec::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().chain(&[0; 2]).take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        digits.extend([18, 12, 6, 0].iter().take(three.len() + 1).map(|shift| digit(bits >> shift)));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(forms: &[(Form, Vec<u8>)], expected: &[&str]) {
        for form in expected {
            assert!(forms.iter().any(|(_, known)| known == form.as_bytes()), "{form}");
        }
    }

    #[test]
    fn a_value_is_written_as_urls_and_documents_write_it() {
        has(
            &plain("p\"a/s s€<~*+\n".as_bytes()),
            &[
                "p\"a/s s€<~*+",
                "p%22a%2Fs%20s%E2%82%AC%3C~%2A%2B",
                "p%22a%2fs%20s%e2%82%ac%3c~%2a%2b",
                "p%22a/s+s%E2%82%AC%3C~%2A%2B",
                "p%22a%2Fs%20s%E2%82%AC%3C~*+",
                "p%22a%2Fs%20s%E2%82%AC%3C~*%2B",
                "p%22a%2Fs+s%E2%82%AC%3C%7E*%2B",
                "p\\\"a/s s€<~*+",
                "p\\\"a\\/s s€<~*+",
                "p\\\"a/s s\\u20ac<~*+",
                "p\\\"a/s s€\\u003c~*+",
                "p\\\\\\\"a/s s€<~*+",
                "p\\\\\\\"a/s s\\\\u20ac<~*+",
            ],
        );
        assert_eq!(plain(b"simple1"), [(Form::Plain, b"simple1".to_vec())]);
        assert!(plain(b"\xff\xff\xff\xff").iter().all(|(form, _)| *form != Form::Json));
    }

    #[test]
    fn base64_is_that_of_the_value_whatever_is_before_it() {
        // `printf 'se?>cret' | base64`, and after one and two other bytes.
        has(
            &base64(b"se?>cret\n"),
            &["c2U/PmNyZX", "c2U_PmNyZX", "c2U%2FPmNyZX", "NlPz5jcmV0", "zZT8+Y3Jld"],
        );
        let all: String = (0..64).map(|number| char::from(base64_digits(&[number << 2], b"+/")[0])).collect();
        assert_eq!(all, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    }

    #[test]
    fn lines_are_those_of_a_value_that_has_several() {
        let key = b"-----BEGIN KEY-----\r\nMIIEvQIBADAN\r\nabc\n-----END KEY-----\n";
        assert_eq!(lines(key).collect::<Vec<_>>(), [b"MIIEvQIBADAN"]);
        assert_eq!(lines(b"only one line\n").count(), 0);
    }
}
