//! Reading an ini file as supervisor reads it: Python's `RawConfigParser` with inline comments.

use super::SourceFile;
use crate::UnitError;

/// One `[section]` and its options in the order they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// Text between the brackets.
    pub(super) name: String,
    /// The file it is in.
    pub(super) file: String,
    options: Vec<(String, String)>,
}

impl Section {
    /// Returns the value of an option; the last one written counts.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Returns the names of all options.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|(key, _)| key.as_str())
    }
}

/// Returns the sections of `source`.
pub(super) fn parse(source: &SourceFile) -> Result<Vec<Section>, UnitError> {
    let mut sections: Vec<Section> = Vec::new();
    // An indented line continues the value above it, as long as that is an option of this section.
    let mut continues = false;
    for (index, raw) in source.text.lines().enumerate() {
        let syntax = |problem| UnitError::Syntax { file: source.path.clone(), line: index + 1, problem };
        let line = without_comment(raw);
        let text = line.trim();
        if text.is_empty() {
            continues &= !raw.trim().is_empty();
            continue;
        }
        if continues && line.starts_with(char::is_whitespace) {
            if let Some((_, value)) = sections.last_mut().and_then(|section| section.options.last_mut()) {
                value.push('\n');
                value.push_str(text);
            }
            continue;
        }
        if let Some(rest) = text.strip_prefix('[') {
            let Some(end) = rest.find(']') else { return Err(syntax("a section's `]` is missing")) };
            sections.push(Section {
                name: rest[..end].to_owned(),
                file: source.path.clone(),
                options: Vec::new(),
            });
            continues = false;
            continue;
        }
        let Some(section) = sections.last_mut() else {
            return Err(syntax("an option stands before any section"));
        };
        let Some(at) = text.find(['=', ':']) else {
            return Err(syntax("a line is neither a section nor `key=value`"));
        };
        section.options.push((text[..at].trim().to_lowercase(), text[at + 1..].trim().to_owned()));
        continues = true;
    }
    Ok(sections)
}

/// Cuts a `;` or `#` that begins the line or follows white space, and what is behind it.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        if matches!(character, ';' | '#') && before.is_whitespace() {
            return &line[..at];
        }
        before = character;
    }
    line
}
