//! `%` specifiers, of a unit run by the system's own manager.

use crate::UnitError;

/// What the specifiers of one unit stand for.
#[derive(Debug)]
pub(super) struct Specifiers<'a> {
    unit: &'a str,
    stem: &'a str,
    prefix: &'a str,
    instance: &'a str,
}

impl<'a> Specifiers<'a> {
    /// Returns the specifiers of the unit of that name.
    pub(super) fn of(unit: &'a str) -> Self {
        let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        Self { unit, stem, prefix, instance }
    }

    /// Replaces the specifiers in the value of `key`.
    pub(super) fn expand(&self, key: &str, text: &str) -> Result<String, UnitError> {
        let mut result = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                result.push(character);
                continue;
            }
            match characters.next() {
                Some('%') => result.push('%'),
                Some('n') => result.push_str(self.unit),
                Some('N') => result.push_str(self.stem),
                Some('p') => result.push_str(self.prefix),
                Some('P') => result.push_str(&unescape(self.prefix)),
                Some('i') => result.push_str(self.instance),
                Some('I') => result.push_str(&unescape(self.instance)),
                Some('j') => result.push_str(self.prefix.rsplit('-').next().unwrap_or(self.prefix)),
                Some('t') => result.push_str("/run"),
                Some('S') => result.push_str("/var/lib"),
                Some('C') => result.push_str("/var/cache"),
                Some('L') => result.push_str("/var/log"),
                Some('E') => result.push_str("/etc"),
                Some('T') => result.push_str("/tmp"),
                Some('V') => result.push_str("/var/tmp"),
                Some('h') => result.push_str("/root"),
                Some('u' | 'g') => result.push_str("root"),
                Some('U' | 'G') => result.push('0'),
                other => {
                    return Err(UnitError::Expression {
                        unit: self.unit.to_owned(),
                        key: key.to_owned(),
                        expression: format!("%{}", other.map(String::from).unwrap_or_default()),
                    });
                }
            }
        }
        Ok(result)
    }
}

/// Undoes `systemd-escape`: `-` stands for `/`, `\xNN` for a byte.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let value =
                    str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                value.map(|value| (value, tail))
            }
            _ => None,
        };
        let (byte, tail) = escaped.unwrap_or((if first == b'-' { b'/' } else { first }, after));
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
