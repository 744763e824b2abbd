//! `Environment=` and the files of `EnvironmentFile=`.

use std::collections::BTreeMap;

/// Returns the variables of a file in the format of `EnvironmentFile=`: one `NAME=value` per line, `#`
/// and `;` begin a comment line, a value may be quoted, a backslash at a line's end continues it.
pub fn parse_environment_file(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(first) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', ';']) {
            continue;
        }
        let mut line = first.to_owned();
        while !is_complete(&line) {
            let Some(more) = lines.next() else { break };
            if let Some(kept) = line.strip_suffix('\\') {
                line = kept.to_owned();
            } else {
                line.push('\n');
            }
            line.push_str(more);
        }
        if let Some((name, value)) = line.split_once('=') {
            variables.insert(name.trim().to_owned(), unquote(value.trim()));
        }
    }
    variables
}

/// Says whether no quote is open at the end and no backslash joins the next line.
fn is_complete(line: &str) -> bool {
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) if characters.next().is_none() => return false,
            ('\\', None | Some('"')) => {}
            (end, Some(open)) if end == open => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            _ => {}
        }
    }
    quote.is_none()
}

fn unquote(value: &str) -> String {
    let mut result = String::new();
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None) => result.extend(characters.next()),
            ('\\', Some('"')) => match characters.next() {
                Some(escaped @ ('"' | '\\' | '`' | '$')) => result.push(escaped),
                Some(other) => result.extend(['\\', other]),
                None => result.push('\\'),
            },
            (end, Some(open)) if end == open => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            _ => result.push(character),
        }
    }
    result
}
