//! Debian's control data: stanzas of `Field: value` lines with folded continuation.

/// One stanza, borrowed from its text.
#[derive(Debug, Clone, Copy)]
pub struct Stanza<'a> {
    text: &'a str,
}

impl<'a> Stanza<'a> {
    /// Takes the first stanza of `text`.
    pub fn first(text: &'a str) -> Option<Self> {
        stanzas(text).next()
    }

    /// Returns the stanza as it is written.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the fields in their order; a value keeps its inner line breaks and loses the space around it.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.lines().flatten()
    }

    /// Returns the fields in their order, and each line that is none: apt takes such a line for the begin of the next name,
    /// so that what follows is lost, and dpkg refuses it.
    pub fn lines(&self) -> impl Iterator<Item = Result<(&'a str, &'a str), &'a str>> + use<'a> {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let end = field_end(rest);
                let (field, after) = rest.split_at(end);
                rest = after;
                match field.split_once(':') {
                    _ if field.starts_with('#') => {}
                    Some((name, value)) if !name.contains('\n') => return Some(Ok((name, value.trim()))),
                    _ => return Some(Err(field.lines().next().unwrap_or_default())),
                }
            }
            None
        })
    }

    /// Returns the value of a field; names differ in more than case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Returns the stanzas of `text`.
pub fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches('\n');
        if rest.is_empty() {
            return None;
        }
        let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
        let (stanza, after) = rest.split_at(end);
        rest = after;
        Some(Stanza { text: stanza })
    })
}

/// A field ends where a line begins that is not indented.
fn field_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut position = 0;
    while let Some(line) = text[position..].find('\n') {
        position += line + 1;
        if !matches!(bytes.get(position), Some(b' ' | b'\t')) {
            return position;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_continuation_lines() {
        let text = "\nPackage: a\nDescription: short\n long: one\n .\n more\nsize: 3\n\n\nPackage: b\n";
        let all: Vec<_> = stanzas(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("Description"), Some("short\n long: one\n .\n more"));
        assert_eq!(all[0].get("Size"), Some("3"));
        assert_eq!(all[0].get("long"), None);
        assert_eq!(all[1].text(), "Package: b\n");
    }

    #[test]
    fn a_line_that_is_no_field_is_nobodys_name() {
        let text = "Package: a\n# a: comment\nVersion\n more: x\nSize: 3\n\r\nnothing";
        let lines: Vec<_> = Stanza::first(text).unwrap().lines().collect();
        assert_eq!(lines, [Ok(("Package", "a")), Err("Version"), Ok(("Size", "3")), Err(""), Err("nothing")]);
    }
}
