//! The filters of a mark: each writes a value so that the reader of that syntax gets exactly the value.

use std::fmt::Write;

use casque_format::marks::Filter;

/// Why a syntax cannot hold a value. Never shows the value.
pub type Refusal = &'static str;

/// Writes `value` for the syntax of `filter`.
pub fn apply(filter: Filter, value: &str) -> Result<String, Refusal> {
    match filter {
        Filter::Json | Filter::Yaml => Ok(json(value)),
        Filter::Ini => ini(value),
        Filter::Shell => shell(value),
        Filter::Nginx => nginx(value),
        Filter::Url => Ok(url(value)),
    }
}

/// Writes a double-quoted string, quotes included, that JSON and YAML read alike: `"` and `\` are
/// escaped, and so is every character that YAML takes for a line break or not printable.
fn json(value: &str) -> String {
    let mut written = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => written.extend(['\\', character]),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                // Writing to a string cannot fail.
                let _ = write!(written, "\\u{:04x}", u32::from(character));
            }
            _ => written.push(character),
        }
    }
    written.push('"');
    written
}

/// Writes the value as it is, for there is no quoting that all readers of such files share. A line
/// break or NUL is refused, and so are blanks at the ends, which all of them cut off: a password would silently be
/// another one. Comment characters are the reader's business.
fn ini(value: &str) -> Result<String, Refusal> {
    if value.contains(['\n', '\r', '\0']) {
        return Err("the value has a line break or NUL, which an ini file cannot hold");
    }
    if value.trim() != value {
        return Err("the value begins or ends with a blank, which readers of ini files cut off");
    }
    Ok(value.to_owned())
}

/// Writes one POSIX shell word in single quotes; a single quote becomes `'\''`. NUL is refused.
fn shell(value: &str) -> Result<String, Refusal> {
    if value.contains('\0') {
        return Err("the value has a NUL, which a shell word cannot hold");
    }
    Ok(format!("'{}'", value.replace('\'', r"'\''")))
}

/// Writes one nginx parameter in double quotes: `"` and `\` escaped, line breaks and tabs as `\n`,
/// `\r`, `\t`. `$` is refused, since nginx takes it for a variable and knows no escape; so is NUL.
fn nginx(value: &str) -> Result<String, Refusal> {
    if value.contains('$') {
        return Err("the value has a `$`, which nginx takes for a variable and cannot escape");
    }
    if value.contains('\0') {
        return Err("the value has a NUL, which an nginx parameter cannot hold");
    }
    let escaped = value.replace('\\', r"\\").replace('"', r#"\""#);
    Ok(format!("\"{}\"", escaped.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")))
}

/// Writes `%XX` for every byte but the unreserved ones of RFC 3986: letters, digits, `-`, `.`, `_`, `~`.
fn url(value: &str) -> String {
    let mut written = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// 64 printable characters: all of ASCII with its quotes, `$` and blanks, and some beyond.
    fn passwords() -> impl Strategy<Value = String> {
        let character = prop_oneof![8 => proptest::char::range(' ', '~'), 1 => any::<char>()];
        proptest::collection::vec(character, 64)
            .prop_map(|characters| characters.into_iter().filter(|one| *one != '\0').collect())
    }

    /// nginx's own reading of a quoted parameter (`ngx_conf_read_token`).
    fn read_nginx(written: &str) -> String {
        let mut value = String::new();
        let mut rest = written.strip_prefix('"').unwrap().chars();
        while let Some(character) = rest.next() {
            match character {
                '"' => {
                    assert_eq!(rest.as_str(), "", "the parameter ended early");
                    return value;
                }
                '\\' => value.push(match rest.next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => {
                        assert!(r#"'"\"#.contains(other));
                        other
                    }
                }),
                other => value.push(other),
            }
        }
        panic!("the parameter does not end");
    }

    fn read_url(written: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = written.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            } else {
                assert!(byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn json_readers_get_the_value_back(value in passwords()) {
            for filter in [Filter::Json, Filter::Yaml] {
                let written = apply(filter, &value).unwrap();
                prop_assert!(!written.chars().any(char::is_control));
                prop_assert_eq!(&serde_json::from_str::<String>(&written).unwrap(), &value);
            }
        }

        #[test]
        fn urls_carry_the_value(value in passwords()) {
            prop_assert_eq!(read_url(&apply(Filter::Url, &value).unwrap()), value);
        }

        #[test]
        fn nginx_gets_the_value_back_or_it_is_refused(value in passwords()) {
            match apply(Filter::Nginx, &value) {
                Ok(written) => prop_assert_eq!(read_nginx(&written), value),
                Err(_) => prop_assert!(value.contains('$')),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_shell_gets_the_value_back(value in passwords()) {
            let script = format!("printf %s {}", apply(Filter::Shell, &value).unwrap());
            let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }

    #[test]
    fn every_filter_writes_what_its_reader_expects() {
        let value = "a\"b'c\\d e\u{85}ü\n";
        let written = |filter| apply(filter, value);
        assert_eq!(written(Filter::Json).unwrap(), r#""a\"b'c\\d e\u0085ü\n""#);
        assert_eq!(written(Filter::Yaml), written(Filter::Json));
        assert_eq!(written(Filter::Shell).unwrap(), "'a\"b'\\''c\\d e\u{85}ü\n'");
        assert_eq!(written(Filter::Nginx).unwrap(), "\"a\\\"b'c\\\\d e\u{85}ü\\n\"");
        assert_eq!(written(Filter::Url).unwrap(), "a%22b%27c%5Cd%20e%C2%85%C3%BC%0A");
        assert_eq!(apply(Filter::Ini, "a;b # c").unwrap(), "a;b # c");
    }

    #[test]
    fn what_a_syntax_cannot_hold_is_refused() {
        for (filter, value) in [
            (Filter::Ini, "a\nb"),
            (Filter::Ini, "a\rb"),
            (Filter::Ini, "\0"),
            (Filter::Ini, " a"),
            (Filter::Ini, "a\u{a0}"),
            (Filter::Shell, "\0"),
            (Filter::Nginx, "a$b"),
            (Filter::Nginx, "\0"),
        ] {
            assert!(apply(filter, value).is_err(), "{filter:?} {value:?}");
        }
    }

    #[test]
    fn an_empty_value_is_still_a_word() {
        let written = Filter::ALL.map(|filter| apply(filter, "").unwrap());
        assert_eq!(written, ["\"\"", "\"\"", "", "''", "\"\"", ""]);
    }
}
