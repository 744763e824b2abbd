//! What is a secret by its looks: nobody told of it, and it is where secrets are.

use aho_corasick::{AhoCorasick, MatchKind};

/// What makes one look so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A private key in PEM.
    Key,
    /// The user of a URL, or its password.
    Url,
    /// What a header carries that says who somebody is.
    Header,
    /// A token that says by itself what it is.
    Token,
    /// The value of something that is called so.
    Value,
}

impl Look {
    /// Returns the name in its pseudonym.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "private-key",
            Self::Url => "url",
            Self::Header => "header",
            Self::Token => "token",
            Self::Value => "value",
        }
    }
}

/// What begins, or names, a secret; letters may be capitals.
const WORDS: [(&str, Look); 15] = [
    ("private key-----", Look::Key),
    ("://", Look::Url),
    (":\\/\\/", Look::Url),
    ("authorization", Look::Header),
    ("cookie", Look::Header),
    ("eyj", Look::Token),
    ("age-secret-key-1", Look::Token),
    ("passw", Look::Value),
    ("passphrase", Look::Value),
    ("secret", Look::Value),
    ("token", Look::Value),
    ("apikey", Look::Value),
    ("api_key", Look::Value),
    ("session", Look::Value),
    ("credential", Look::Value),
];
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
/// Far more than a key of any kind has.
const LONGEST_KEY: usize = 32 << 10;
/// Shorter ones are words such as `no`.
const SHORTEST_VALUE: usize = 4;

/// Finds them.
pub struct Looks(AhoCorasick);

impl Looks {
    /// Returns a search for all of them.
    pub fn new() -> Self {
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest);
        let built = builder.build(WORDS.map(|(word, _)| word));
        Self(built.expect("the words are few and short"))
    }

    /// Returns the text with what `instead` gives in the place of each, unless that is a pseudonym already.
    pub fn replace(&self, text: &[u8], mut instead: impl FnMut(Look, &[u8]) -> String) -> Vec<u8> {
        let mut replaced = Vec::with_capacity(text.len());
        let mut done = 0;
        for found in self.0.find_iter(text) {
            let (word, look) = (found.start()..found.end(), WORDS[found.pattern().as_usize()].1);
            let place = match look {
                Look::Key => key(text, word.start, word.end).map(|(begin, end)| (begin.max(done), end)),
                Look::Url => user(text, word.end),
                Look::Header => header(text, word.end),
                Look::Token => token(text, word.start),
                Look::Value => value(text, word.end),
            };
            let Some((begin, end)) = place.filter(|(begin, end)| *begin >= done && begin < end) else {
                continue;
            };
            if is_pseudonym(&text[begin..end]) {
                continue;
            }
            replaced.extend_from_slice(&text[done..begin]);
            replaced.extend_from_slice(instead(look, &text[begin..end]).as_bytes());
            done = end;
        }
        replaced.extend_from_slice(&text[done..]);
        replaced
    }
}

/// Returns the private keys in a text of nothing but PEM.
pub fn keys(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    Looks::new().replace(text, |look, place| {
        found.extend((look == Look::Key).then(|| place.to_vec()));
        String::new()
    });
    found
}

/// From the line that begins a key to the one that ends it, or to where that has to be; of one whose beginning is cut off, from there.
fn key(text: &[u8], word: usize, end: usize) -> Option<(usize, usize)> {
    let line = text[..word].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let before = &text[line..word];
    match last(before, BEGIN) {
        Some(begin) if last(before, END).is_none_or(|end| end < begin) => {
            let rest = &text[end..text.len().min(end + LONGEST_KEY)];
            let close = first(rest, b"PRIVATE KEY-----").map(|at| at + b"PRIVATE KEY-----".len());
            Some((line + begin, end + close.unwrap_or(rest.len())))
        }
        _ => Some((word.saturating_sub(LONGEST_KEY), end)),
    }
}

/// What is before the `@`: the password, and where there is none the user, who may be a token.
fn user(text: &[u8], begin: usize) -> Option<(usize, usize)> {
    let rest = &text[begin..];
    let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || b"/?#\"'<>\\`".contains(byte));
    let authority = &rest[..end.unwrap_or(rest.len())];
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let from = authority[..at].iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
    (from < at).then_some((begin + from, begin + at))
}

/// The rest of the line, or of what is in quotes, behind the colon; the word before a token says what kind it is.
fn header(text: &[u8], end: usize) -> Option<(usize, usize)> {
    let begin = assigned(text, end, b":=")?;
    let rest = &text[begin..];
    let ends = |byte: &u8| b"\r\n\"\\".contains(byte) || (*byte == b'\'' && text[begin - 1] == b'\'');
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    let kind = rest[..length]
        .iter()
        .position(|byte| *byte == b' ')
        .filter(|kind| rest[..*kind].iter().all(u8::is_ascii_alphabetic));
    let from = kind.map_or(0, |kind| kind + 1);
    (from < length).then_some((begin + from, begin + length))
}

/// A JSON Web Token, or an identity of age.
fn token(text: &[u8], begin: usize) -> Option<(usize, usize)> {
    let rest = &text[begin..];
    let of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let length = rest.iter().position(|byte| !of_it(byte)).unwrap_or(rest.len());
    let is_jwt = rest.starts_with(b"eyJ") && rest[..length].contains(&b'.') && length > 20;
    let alone = begin == 0 || !of_it(&text[begin - 1]);
    (alone && (is_jwt || rest[..1].eq_ignore_ascii_case(b"a"))).then_some((begin, begin + length))
}

/// What is given by `=`, or in quotes by `:`.
fn value(text: &[u8], end: usize) -> Option<(usize, usize)> {
    let rest = &text[end..];
    let name = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_".contains(byte)))?;
    let begin = match assigned(text, end + name, b"=") {
        Some(begin) => begin,
        None => assigned(text, end + name, b":").filter(|begin| b"\"'".contains(&text[begin - 1]))?,
    };
    let rest = &text[begin..];
    let (quote, is_quoted) = (text[begin - 1], b"\"'".contains(&text[begin - 1]));
    // Of a document inside of another, what ends it has a backslash.
    let is_inner = is_quoted && text[begin - 2] == b'\\';
    let mut is_escaped = false;
    let ends = |byte: &u8| {
        let was_escaped = is_escaped;
        is_escaped = !was_escaped && *byte == b'\\';
        match (is_quoted, is_inner) {
            (true, false) => !was_escaped && (*byte == quote || *byte == b'\n'),
            (true, true) => b"\\\n".contains(byte),
            (false, _) => byte.is_ascii_whitespace() || b"&,;\"'<>)}]\\".contains(byte),
        }
    };
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    let shown = &rest[..length];
    let is_masked = shown.iter().all(|byte| *byte == b'*');
    (length >= SHORTEST_VALUE && !is_masked).then_some((begin, begin + length))
}

/// Returns where that begins which one of `signs` gives to the name that ends here, behind a quote.
fn assigned(text: &[u8], end: usize, signs: &[u8]) -> Option<usize> {
    let skip = |at: usize, what: &[u8]| {
        at + text[at..].iter().position(|byte| !what.contains(byte)).unwrap_or(text.len() - at)
    };
    let sign = skip(end, b" \"'\\");
    if !signs.contains(text.get(sign)?) {
        return None;
    }
    let begin = skip(sign + 1, b" \\");
    let begin = if text.get(begin).is_some_and(|byte| b"\"'".contains(byte)) { begin + 1 } else { begin };
    (begin < text.len()).then_some(begin)
}

/// What [`super::pseudonyms`] makes, or PID 1's mask.
fn is_pseudonym(text: &[u8]) -> bool {
    let digits = text.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    let is_ours =
        text.starts_with(b"secret-") && digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit);
    is_ours || text == b"***"
}

fn first(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window.eq_ignore_ascii_case(what))
}

fn last(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window.eq_ignore_ascii_case(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> String {
        let replaced = Looks::new().replace(text.as_bytes(), |look, _| format!("<{}>", look.name()));
        String::from_utf8(replaced).unwrap()
    }

    #[test]
    fn what_looks_like_a_secret_is_replaced_and_nothing_around_it() {
        for (text, expected) in [
            ("to https://u:p%40x@db/x?a=b@c it", "to https://u:<url>@db/x?a=b@c it"),
            ("redis://:p@h mongodb://token@h,h2/", "redis://:<url>@h mongodb://<url>@h,h2/"),
            ("at http://host:80/a@b and http://host", "at http://host:80/a@b and http://host"),
            ("Authorization: Bearer abc.def\r\nX: y", "Authorization: Bearer <header>\r\nX: y"),
            (
                "{\"authorization\": \"Basic dTpw\", \"a\": 1}",
                "{\"authorization\": \"Basic <header>\", \"a\": 1}",
            ),
            ("Set-Cookie: id=5; Path=/\nnext", "Set-Cookie: <header>\nnext"),
            ("GET /?token=abcdef&x=1 200", "GET /?token=<value>&x=1 200"),
            ("{\"access_token\":\"a b\\\"c\"}", "{\"access_token\":\"<value>\"}"),
            ("{\\\"password\\\":\\\"hidden\\\"}", "{\\\"password\\\":\\\"<value>\\\"}"),
            ("sessionid=5f3a9c; PASSWORD = 'a b c'", "sessionid=<value>; PASSWORD = '<value>'"),
            ("is eyJhbGciOi.eyJzdWIiOiI.sig here", "is <token> here"),
            ("AGE-SECRET-KEY-1QQQQ\n", "<token>\n"),
            ("token: expired, secret=no, \"secret\": true", "token: expired, secret=no, \"secret\": true"),
            ("password=******** x=***", "password=******** x=***"),
            ("u://a:secret-smtp-url-1a2b3c4d@h", "u://a:secret-smtp-url-1a2b3c4d@h"),
            ("token", "token"),
            ("cookie:", "cookie:"),
        ] {
            assert_eq!(replaced(text), expected, "{text}");
        }
    }

    #[test]
    fn a_private_key_is_replaced_as_a_whole_whatever_is_cut_off() {
        let key = |kind: &str| {
            format!("-----BEGIN {kind}PRIVATE KEY-----\nMIIE\nabc\n-----END {kind}PRIVATE KEY-----")
        };
        assert_eq!(replaced(&format!("a\n{}\nb", key("RSA "))), "a\n<private-key>\nb");
        assert_eq!(
            replaced(&format!("x {} y {} z", key(""), key("EC ")).replace('\n', "\\n")),
            "x <private-key> y <private-key> z"
        );
        assert_eq!(replaced("a -----BEGIN PRIVATE KEY-----\nMIIE"), "a <private-key>");
        assert_eq!(replaced("MIIE\n-----END PRIVATE KEY-----\nb"), "<private-key>\nb");
        assert_eq!(
            keys(
                format!("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n{}\n", key(""))
                    .as_bytes()
            ),
            [key("").into_bytes()]
        );
    }
}
