//! The text itself: a template, in which every value is escaped for the place where it stands.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use pulldown_cmark::{Options, Parser};

use crate::view::View;

const TEMPLATE: &str = include_str!("handbook.md");

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    let lines_of_their_own =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    engine.set_syntax(lines_of_their_own.expect("its marks are the usual ones"));
    // What a value needs depends on its place in the text; the formatter below knows it.
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_formatter(|out, _, value| {
        let text = value.to_string();
        let written = if value.is_safe() { text } else { escaped(&text) };
        out.write_str(&written).map_err(Into::into)
    });
    engine.add_filter("code", |text: String| Value::from_safe_string(code(&text)));
    engine.add_filter("sh", |text: String| Value::from_safe_string(word(&text)));
    engine.add_template("handbook.md", TEMPLATE).expect("a test renders it");
    engine
});

/// Returns the handbook.
pub(crate) fn render(view: &View) -> String {
    let template = ENGINE.get_template("handbook.md").expect("it was added");
    template.render(Serde(view)).expect("every value it names is in the view")
}

/// Returns a reader of what [`render`] wrote.
pub(crate) fn parser(markdown: &str) -> Parser<'_> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES)
}

/// Returns a vendor's sentence as text: what is in backticks is code, and nothing else means anything.
fn escaped(text: &str) -> String {
    let text = in_one_line(text);
    let (mut out, mut rest) = (String::new(), text.as_str());
    while let Some((before, after)) = rest.split_once('`') {
        out += &plain(before);
        rest = match after.split_once('`') {
            Some((inner, after)) if !inner.is_empty() => {
                out += &code(inner);
                after
            }
            // A backtick without its other half.
            _ => {
                out += "\\`";
                after
            }
        };
    }
    out + &plain(rest)
}

fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if "\\*_[]<>|&~#!".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Returns text as a span of code, also within a table.
fn code(text: &str) -> String {
    let text = in_one_line(text).replace('|', "\\|");
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

/// Returns text as one word of a shell.
pub(crate) fn word(text: &str) -> String {
    let text = in_one_line(text);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/:@%+=,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn in_one_line(text: &str) -> String {
    text.split(|letter: char| letter.is_control())
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_backticks_is_code_and_the_rest_is_text() {
        assert_eq!(
            escaped("First of `admin`; *now* <b>a|b</b>"),
            "First of `admin`; \\*now\\* \\<b\\>a\\|b\\</b\\>"
        );
        assert_eq!(escaped("one ` alone"), "one \\` alone");
        assert_eq!(escaped("`` x"), "\\`\\` x");
        assert_eq!(escaped(" two\nlines\t"), "two lines");
    }

    #[test]
    fn code_holds_backticks_and_the_borders_of_a_table() {
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("`a``b"), "``` `a``b ```");
    }

    #[test]
    fn a_word_is_quoted_when_a_shell_would_read_it_otherwise() {
        assert_eq!(word("vendor/backend:v43.4.4"), "vendor/backend:v43.4.4");
        assert_eq!(word("a; rm 'b'\n"), "'a; rm '\\''b'\\'''");
        assert_eq!(word(""), "''");
    }
}
