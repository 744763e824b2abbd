//! The links of an index page in HTML, the form that every package index has.

/// A link: its attributes, references decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) href: String,
    pub(crate) requires_python: Option<String>,
    pub(crate) yanked: Option<String>,
}

/// Returns the links of a page, in its order.
pub(crate) fn anchors(page: &str) -> Vec<Anchor> {
    let mut anchors = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_link = rest.get(..2).is_some_and(|name| {
            let mut symbols = name.chars();
            symbols.next().is_some_and(|first| first.eq_ignore_ascii_case(&'a'))
                && symbols.next().is_some_and(char::is_whitespace)
        });
        if !is_link {
            continue;
        }
        let (attributes, after) = attributes(&rest[1..]);
        rest = after;
        let value = |wanted: &str| {
            let found = attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| decoded(value))
        };
        if let Some(href) = value("href") {
            anchors.push(Anchor {
                href,
                requires_python: value("data-requires-python"),
                yanked: value("data-yanked"),
            });
        }
    }
    anchors
}

/// Reads attributes up to the end of the tag, and returns what follows it.
fn attributes(text: &str) -> (Vec<(&str, &str)>, &str) {
    let mut attributes = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|symbol: char| symbol.is_whitespace() || symbol == '/');
        if rest.is_empty() || rest.starts_with('>') {
            return (attributes, rest.strip_prefix('>').unwrap_or(rest));
        }
        let end =
            rest.find(|symbol: char| symbol.is_whitespace() || "=>".contains(symbol)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else {
            attributes.push((name, ""));
            rest = after;
            continue;
        };
        let quote = value.chars().next().filter(|first| "\"'".contains(*first));
        let (value, after) = match quote {
            Some(quote) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            None => {
                let is_end = |symbol: char| symbol.is_whitespace() || symbol == '>';
                value.split_at(value.find(is_end).unwrap_or(value.len()))
            }
        };
        attributes.push((name, value));
        rest = after;
    }
}

/// Decodes the references that occur in addresses and comparisons; others stay as they are.
fn decoded(value: &str) -> String {
    let mut text = value.to_owned();
    for (reference, meaning) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        text = text.replace(reference, meaning);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_with_their_attributes() {
        let page = "<!DOCTYPE html><html><head><title>a</title></head><body>\n<abbr>\
            <a href=\"../a-1.whl#sha256=11\" data-requires-python=\"&gt;=3.9,&lt;4\">a-1.whl</a><br/>\
            <!-- <a href='hidden'>x</a> --><A\n HREF='b?x&amp;y'>b</A><a name=top>top</a><a href=c>c</a>";
        let anchor = |href: &str, requires: Option<&str>| Anchor {
            href: href.to_owned(),
            requires_python: requires.map(str::to_owned),
            yanked: None,
        };
        assert_eq!(
            anchors(page),
            [anchor("../a-1.whl#sha256=11", Some(">=3.9,<4")), anchor("b?x&y", None), anchor("c", None)]
        );
    }

    #[test]
    fn broken_pages_end_without_harm() {
        for page in
            ["", "<", "<a", "<a ", "<a href", "<a href=", "<a href=\"x", "<!-- ", "<é", "<a é=<a href=x"]
        {
            assert!(anchors(page).len() <= 1, "{page}");
        }
    }
}
