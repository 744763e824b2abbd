//! `%(name)s` expressions and the `environment=` list.

use std::collections::BTreeMap;

/// Replaces `%(name)s`, `%(name)d`, `%(name)02d` and `%%`; on a name without a value or an unknown
/// form returns the expression.
pub(super) fn expand(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        let (expansion, length) = expression(rest, values).ok_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            format!("%{}", &rest[..end])
        })?;
        result.push_str(&expansion);
        rest = &rest[length..];
    }
    result.push_str(rest);
    Ok(result)
}

/// Reads `(name)s` or `(name)02d` at the start of `text`; returns its value and how long it is.
fn expression(text: &str, values: &BTreeMap<String, String>) -> Option<(String, usize)> {
    let close = text.strip_prefix('(')?.find(')')? + 1;
    let value = values.get(&text[1..close])?;
    let form = &text[close + 1..];
    let digits = form.len() - form.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (width, conversion) = (&form[..digits], form[digits..].chars().next()?);
    let length = close + 1 + digits + 1;
    let padded = match (conversion, width) {
        ('s' | 'd', "") => value.clone(),
        ('d', width) => {
            let zero = width.starts_with('0');
            let width: usize = width.parse().ok()?;
            if zero { format!("{value:0>width$}") } else { format!("{value:>width$}") }
        }
        ('s', width) => format!("{value:>width$}", width = width.parse::<usize>().ok()?),
        _ => return None,
    };
    Some((padded, length))
}

/// Reads `KEY="value",OTHER=value` with the tokens of Python's `shlex`, as supervisor does: a bare
/// value holds letters, digits and `_/.+-():`, anything else needs quotes.
pub(super) fn environment(text: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let tokens = tokens(text)?;
    let mut variables = BTreeMap::new();
    let mut rest = tokens.as_slice();
    while let [key, equals, value, after @ ..] = rest {
        if equals != "=" {
            return Err("a list of KEY=\"value\" with commas between");
        }
        variables.insert(key.clone(), value.trim_matches(['\'', '"']).to_owned());
        rest = match after {
            [comma, more @ ..] if comma == "," => more,
            [] => &[],
            _ => return Err("a list of KEY=\"value\" with commas between"),
        };
    }
    if rest.is_empty() { Ok(variables) } else { Err("a list of KEY=\"value\" with commas between") }
}

fn tokens(text: &str) -> Result<Vec<String>, &'static str> {
    let is_word = |c: char| c.is_alphanumeric() || "_/.+-():".contains(c);
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            space if space.is_whitespace() => {}
            '#' => while characters.next_if(|c| *c != '\n').is_some() {},
            quote @ ('"' | '\'') => {
                let mut token = quote.to_string();
                loop {
                    let Some(next) = characters.next() else { return Err("a value whose quote is closed") };
                    token.push(next);
                    if next == quote {
                        break;
                    }
                }
                tokens.push(token);
            }
            word if is_word(word) => {
                let mut token = word.to_string();
                while let Some(next) = characters.next_if(|c| is_word(*c) || matches!(c, '"' | '\'')) {
                    token.push(next);
                }
                tokens.push(token);
            }
            other => tokens.push(other.to_string()),
        }
    }
    Ok(tokens)
}
