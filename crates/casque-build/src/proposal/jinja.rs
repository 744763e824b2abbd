//! Jinja templates, read tolerantly: variables that are known are put in, everything else is left or cut out.
//!
//! An engine would refuse what it does not know, and here half an answer is better than none.

use std::collections::BTreeMap;

/// Variables refer to variables; deeper than this is a circle.
const DEEPEST: usize = 8;

/// What templates may refer to.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| self.fill(value))
    }

    /// Returns `text` with the variables put in; a place that stays unknown keeps its braces.
    pub(super) fn fill(&self, text: &str) -> String {
        self.filled(text, DEEPEST)
    }

    fn filled(&self, text: &str, depth: usize) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, kind, inside, after)) = next_tag(rest) {
            result.push_str(before);
            rest = after;
            if kind != '{' {
                // A line that held nothing but the tag is gone with it.
                let alone = result.is_empty() || result.ends_with('\n');
                rest = if alone { rest.strip_prefix('\n').unwrap_or(rest) } else { rest };
                continue;
            }
            match self.value(inside, depth) {
                Some(value) => result.push_str(&value),
                None => result.push_str(&format!("{{{{ {inside} }}}}")),
            }
        }
        result.push_str(rest);
        result
    }

    fn value(&self, expression: &str, depth: usize) -> Option<String> {
        let mut parts = expression.split('|').map(str::trim);
        let name = parts.next()?;
        let known = self.0.get(name).filter(|_| depth > 0).map(|value| self.filled(value, depth - 1));
        let literal = || {
            let text = parts.clone().find_map(|filter| filter.strip_prefix("default(")?.strip_suffix(')'))?;
            let text = text.split(',').next().unwrap_or(text).trim();
            let quoted = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
            quoted('\'').or_else(|| quoted('"')).map(str::to_owned)
        };
        known.filter(|value| !is_unknown(value)).or_else(literal)
    }
}

/// Whether something of a template is left in a text.
pub(super) fn is_unknown(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Returns what is before the next tag, its kind (`{`, `%` or `#`), what is in it and what is behind it.
fn next_tag(text: &str) -> Option<(&str, char, &str, &str)> {
    let (at, kind) = text.match_indices('{').find_map(|(at, _)| {
        let kind = text[at + 1..].chars().next().filter(|kind| matches!(kind, '{' | '%' | '#'))?;
        Some((at, kind))
    })?;
    let close = match kind {
        '{' => "}}",
        '%' => "%}",
        _ => "#}",
    };
    let inside = &text[at + 2..];
    let end = inside.find(close)?;
    Some((&text[..at], kind, inside[..end].trim_matches([' ', '-', '\n']), &inside[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_put_in_and_the_rest_does_not_disturb() {
        let mut variables = Variables::default();
        variables.set("home", "/opt/shop");
        variables.set("venv", "{{ home }}/venv");
        variables.set("circle", "{{ circle }}");
        let text = "{% if x %}\ncommand={{ venv }}/bin/web {{ port | default('80') }} {{ circle }} {{ y }}\n{%- endif %}\n";
        assert_eq!(variables.fill(text), "command=/opt/shop/venv/bin/web 80 {{ circle }} {{ y }}\n");
        assert_eq!(variables.fill("{# note #}a { b {{ open"), "a { b {{ open");
    }
}
