//! Marks in the vendor's files: `@casque{name}` or `@casque{name|filter|...}`, found but not replaced.
//!
//! Only this form is a mark, so that a file may hold the syntax of any other template language.

use std::ops::Range;

use thiserror::Error;

/// How every mark begins.
pub const OPENING: &str = "@casque{";

/// A mark in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Where it is, in bytes, from `@` to `}`.
    pub range: Range<usize>,
    /// Its line, counted from 1.
    pub line: usize,
    /// The setting it names.
    pub name: String,
    /// What is done to the value, in this order.
    pub filters: Vec<Filter>,
}

/// How a value is written, so that the reader of the file gets exactly that value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// A JSON string with its double quotes.
    Json,
    /// A YAML double-quoted scalar with its quotes.
    Yaml,
    /// The value as it is; a line break is refused.
    Ini,
    /// A POSIX shell word in single quotes.
    Shell,
    /// An nginx parameter in double quotes; `$` is refused, since nginx cannot escape it.
    Nginx,
    /// Every byte but letters, digits, `-`, `.`, `_` and `~` as `%XX`.
    Url,
}

impl Filter {
    /// Every filter, in the order in which messages list them.
    pub const ALL: [Self; 6] = [Self::Json, Self::Yaml, Self::Ini, Self::Shell, Self::Nginx, Self::Url];

    /// Returns the name used in a mark.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Ini => "ini",
            Self::Shell => "shell",
            Self::Nginx => "nginx",
            Self::Url => "url",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.name() == name)
    }
}

/// A mark that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: mark `{mark}` {problem}")]
pub struct MarkError {
    /// Its line, counted from 1.
    pub line: usize,
    /// The mark as far as it could be read.
    pub mark: String,
    /// What is wrong with it.
    pub problem: MarkProblem,
}

/// What is wrong with a mark.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MarkProblem {
    /// No `}` before the end of the line.
    #[error("is not closed on its line")]
    NotClosed,
    /// Not `[a-z][a-z0-9-]*`.
    #[error("has no setting name: one starts with a-z and continues with a-z, 0-9 or `-`")]
    Name,
    /// None of [`Filter::ALL`].
    #[error("has the unknown filter `{0}`; filters are json, yaml, ini, shell, nginx and url")]
    Filter(String),
}

/// Returns every mark of `text`, first to last.
pub fn scan(text: &str) -> Result<Vec<Mark>, MarkError> {
    let mut marks = Vec::new();
    let mut line = 1;
    let mut position = 0;
    while let Some(offset) = text[position..].find(OPENING) {
        let start = position + offset;
        line += text[position..start].matches('\n').count();
        let inside = start + OPENING.len();
        let end_of_line = text[inside..].find('\n').map_or(text.len(), |length| inside + length);
        let Some(length) = text[inside..end_of_line].find('}') else {
            let mark = text[start..end_of_line].trim_end().chars().take(60).collect();
            return Err(MarkError { line, mark, problem: MarkProblem::NotClosed });
        };
        let end = inside + length + 1;
        let (name, filters) = parse(&text[inside..end - 1]).map_err(|problem| MarkError {
            line,
            mark: text[start..end].to_owned(),
            problem,
        })?;
        marks.push(Mark { range: start..end, line, name, filters });
        position = end;
    }
    Ok(marks)
}

/// Says whether `name` may be a setting's name: `[a-z][a-z0-9-]*`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn parse(inside: &str) -> Result<(String, Vec<Filter>), MarkProblem> {
    let mut parts = inside.split('|');
    let name = parts.next().filter(|name| is_name(name)).ok_or(MarkProblem::Name)?;
    let filters =
        parts.map(|filter| Filter::named(filter).ok_or_else(|| MarkProblem::Filter(filter.to_owned())));
    Ok((name.to_owned(), filters.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_with_line_name_and_filters() {
        let text = "a = @casque{one}\n\nb = {{ two }} @casque{two-2|url|json}!\n";
        let marks = scan(text).unwrap();
        assert_eq!(marks.len(), 2);
        assert_eq!((marks[0].line, marks[0].name.as_str(), &marks[0].filters[..]), (1, "one", &[][..]));
        assert_eq!((marks[1].line, marks[1].name.as_str()), (3, "two-2"));
        assert_eq!(marks[1].filters, [Filter::Url, Filter::Json]);
        assert_eq!(&text[marks[1].range.clone()], "@casque{two-2|url|json}");
    }

    #[test]
    fn a_mark_that_cannot_be_understood_is_named_with_its_line() {
        let message = |text: &str| scan(text).unwrap_err().to_string();
        assert_eq!(message("x\n@casque{a\n}"), "line 2: mark `@casque{a` is not closed on its line");
        assert_eq!(
            message("@casque{a|jsn}"),
            "line 1: mark `@casque{a|jsn}` has the unknown filter `jsn`; filters are json, yaml, ini, shell, nginx and url"
        );
        let no_name = "has no setting name: one starts with a-z and continues with a-z, 0-9 or `-`";
        for mark in
            ["@casque{}", "@casque{ a }", "@casque{A}", "@casque{1a}", "@casque{a.b}", "@casque{|json}"]
        {
            assert_eq!(message(mark), format!("line 1: mark `{mark}` {no_name}"));
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_is_text() {
        assert_eq!(scan("@casque {a} casque{b} ${c} @@casque").unwrap(), []);
    }
}
