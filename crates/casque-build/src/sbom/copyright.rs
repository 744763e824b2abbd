//! What a Debian package says of its licences: `/usr/share/doc/NAME/copyright`, read by machine where it is made for that.

use std::collections::{BTreeMap, BTreeSet};

use casque_debian::{Stanza, stanzas};

use super::licences::{All, Extracted, combined, known};

/// How the files that a machine can read begin.
const FORMATS: [&str; 2] = ["Format", "Format-Specification"];
/// Where Debian keeps the words of common licences.
const COMMON: &str = "/usr/share/common-licenses/";

/// What is known of a package's licences.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) expression: String,
    pub(super) comment: Option<String>,
}

/// Reads the copyright file of a package made from `source`, after which what is kept whole is named: its packages
/// mostly have the same.
pub(super) fn declared(source: &str, text: &str, extracted: &mut Extracted) -> Declared {
    match machine_readable(source, text, extracted) {
        Some(expression) => Declared { expression, comment: None },
        None => Declared {
            expression: extracted.keep(&format!("copyright of {source}"), text.trim()),
            comment: referred(text),
        },
    }
}

/// Names the common licences that a text for people refers to.
fn referred(text: &str) -> Option<String> {
    let names = text.split(COMMON).skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c))).unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches('.');
        (!name.is_empty()).then_some(name)
    });
    let names: BTreeSet<&str> = names.collect();
    let names: Vec<&str> = names.into_iter().collect();
    (!names.is_empty()).then(|| format!("its copyright file refers to {}", names.join(", ")))
}

fn machine_readable(source: &str, text: &str, extracted: &mut Extracted) -> Option<String> {
    let header = Stanza::first(text)?;
    FORMATS.iter().find_map(|name| header.get(name))?;
    let mut words: BTreeMap<String, String> = BTreeMap::new();
    for (_, field) in stanzas(text).filter_map(licence) {
        let Some((name, body)) = field.split_once('\n') else { continue };
        words.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| unfolded(body));
    }
    let standing = |name: &str| {
        let found = words.get(&name.to_ascii_lowercase()).cloned();
        found.unwrap_or_else(|| {
            format!("Named `{name}` in the copyright file of `{source}`, without words of its own.")
        })
    };
    let mut declared = All::default();
    // A paragraph without files gives words to a name, which need not hold by itself.
    let of_files =
        stanzas(text).filter_map(licence).filter(|(of_files, _)| *of_files).map(|(_, field)| field);
    for field in of_files.chain(header.get("License")) {
        let (synopsis, body) = field.split_once('\n').unwrap_or((field, ""));
        let mut one = |name: &str| match known(name) {
            Some(id) => id,
            None => {
                let alone = !body.is_empty() && name.eq_ignore_ascii_case(synopsis.trim());
                let words = if alone { unfolded(body) } else { standing(name) };
                extracted.keep(name, &words)
            }
        };
        // Nothing is to be kept of what turns out to be no combination of names.
        let is_names = combined(synopsis, &mut str::to_owned).is_some();
        let expression = match is_names.then(|| combined(synopsis, &mut one)).flatten() {
            Some(expression) => expression,
            None => extracted.keep(&format!("a licence of {source}"), &unfolded(field)),
        };
        declared.insert(expression);
    }
    Some(declared.expression())
}

/// Returns a paragraph's field, and whether it is about files.
fn licence<'a>(stanza: Stanza<'a>) -> Option<(bool, &'a str)> {
    Some((stanza.get("Files").is_some(), stanza.get("License")?))
}

/// Takes the space off the lines of a field, where a lone full stop is an empty line.
fn unfolded(body: &str) -> String {
    let line = |line: &str| {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        if line == "." { String::new() } else { line.to_owned() }
    };
    body.lines().map(line).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READABLE: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
        Files: *\nCopyright: A\nLicense: GPL-2+ or Odd\n\nFiles: b\nCopyright: B\nLicense: Expat\n Permission\n\n\
        Files: c\nCopyright: C\nLicense:\n Anybody may do anything\n .\n and nobody minds.\n\n\
        License: Odd\n Odd words.\n";

    #[test]
    fn a_file_for_machines_becomes_an_expression_and_its_words_are_kept() {
        let mut extracted = Extracted::default();
        let Declared { expression, comment } = declared("p", READABLE, &mut extracted);
        let kept = extracted.into_sorted();
        let shown: Vec<_> = kept.iter().map(|one| (one.name.as_str(), one.extracted_text.as_str())).collect();
        assert_eq!(
            shown,
            [("Odd", "Odd words."), ("a licence of p", "Anybody may do anything\n\nand nobody minds.")]
        );
        let (odd, any) = (&kept[0].license_id, &kept[1].license_id);
        assert_eq!(expression, format!("(GPL-2.0-or-later OR {odd}) AND {any} AND MIT"));
        assert!(spdx::Expression::parse(&expression).is_ok());
        assert_eq!(comment, None);
    }

    #[test]
    fn a_file_for_people_is_kept_whole_with_what_it_refers_to() {
        let mut extracted = Extracted::default();
        let text =
            "This is p.\n\nSee /usr/share/common-licenses/GPL-2. And `/usr/share/common-licenses/LGPL'\n";
        let Declared { expression, comment } = declared("p", text, &mut extracted);
        let kept = extracted.into_sorted();
        assert_eq!(expression, kept[0].license_id);
        assert_eq!(kept[0].extracted_text, text.trim());
        assert_eq!(comment.as_deref(), Some("its copyright file refers to GPL-2, LGPL"));
    }
}
