//! Splitting and expanding values as systemd does.

use std::collections::BTreeMap;

/// Returns the words of `text`: quotes group, a backslash escapes as in C. None when a quote is open.
pub(super) fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => escaped(&mut characters, word.get_or_insert_default()),
            (end, Some(open)) if end == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (space, None) if space.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Reads what follows a backslash; an escape C does not know stays as it is.
fn escaped(characters: &mut std::str::Chars<'_>, word: &mut String) {
    let Some(character) = characters.next() else {
        word.push('\\');
        return;
    };
    let (base, length) = match character {
        'n' => return word.push('\n'),
        't' => return word.push('\t'),
        'r' => return word.push('\r'),
        's' => return word.push(' '),
        'a' => return word.push('\u{7}'),
        'b' => return word.push('\u{8}'),
        'f' => return word.push('\u{c}'),
        'v' => return word.push('\u{b}'),
        '\\' | '"' | '\'' => return word.push(character),
        'x' => (16, 2),
        '0'..='7' => (8, 3),
        other => return word.extend(['\\', other]),
    };
    let text = characters.as_str();
    let digits = if base == 8 {
        format!("{character}{}", &text.get(..2).unwrap_or_default())
    } else {
        text.get(..length).unwrap_or_default().to_owned()
    };
    match u8::from_str_radix(&digits, base) {
        Ok(value) if digits.len() == length => {
            word.push(char::from(value));
            let read = if base == 8 { length - 1 } else { length };
            characters.nth(read - 1);
        }
        _ => word.extend(['\\', character]),
    }
}

/// Replaces variables in the words behind the program: a word that is `$NAME` becomes the words of its
/// value, `${NAME}` inside a word its value, `$$` a dollar sign. A name in `keep` stays as written.
/// Returns the names without a value, which become nothing.
pub(super) fn substitute(
    words: &mut Vec<String>,
    environment: &BTreeMap<String, String>,
    keep: &[&str],
) -> Vec<String> {
    let mut missing = Vec::new();
    let mut result = Vec::new();
    for (index, word) in words.drain(..).enumerate() {
        if index == 0 {
            result.push(word);
            continue;
        }
        match word.strip_prefix('$') {
            Some(name) if keep.contains(&name) => result.push(word),
            Some(name) if !name.starts_with(['{', '$']) => match environment.get(name) {
                Some(value) => result.extend(split(value).unwrap_or_else(|| vec![value.clone()])),
                None => missing.push(name.to_owned()),
            },
            _ => result.push(inside(&word, environment, keep, &mut missing)),
        }
    }
    *words = result;
    missing
}

fn inside(
    word: &str,
    environment: &BTreeMap<String, String>,
    keep: &[&str],
    missing: &mut Vec<String>,
) -> String {
    let mut result = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let Some((name, after)) = rest.strip_prefix('{').and_then(|text| text.split_once('}')) else {
            result.push('$');
            continue;
        };
        match environment.get(name) {
            _ if keep.contains(&name) => result.push_str(&format!("${{{name}}}")),
            Some(value) => result.push_str(value),
            None => missing.push(name.to_owned()),
        }
        rest = after;
    }
    result.push_str(rest);
    result
}
