//! The customer's settings file: flat TOML, `key = value`.

use std::collections::BTreeMap;
use std::io;

use casque_format::paths;
use toml::Value;

use super::{Problem, Text};
use crate::root::Root;

/// A value of the file.
#[derive(Debug)]
pub enum FileValue {
    /// Text, or a whole number or truth value as text.
    Scalar(Text),
    /// Several of them.
    List(Vec<Text>),
    /// Something no setting can take, such as a table; its TOML type.
    Other(&'static str),
}

/// Reads the file; a missing one has no settings.
pub fn read(root: &Root) -> Result<BTreeMap<String, FileValue>, Problem> {
    let text = match fs_err::read_to_string(root.join(paths::SETTINGS_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Problem::Read(error)),
    };
    parse(&text)
}

/// Reads the text of such a file.
pub fn parse(text: &str) -> Result<BTreeMap<String, FileValue>, Problem> {
    // The parser's `Display` quotes the line, which may hold a secret: take its bare message.
    let table: toml::Table = toml::from_str(text).map_err(|error| Problem::Syntax {
        path: paths::SETTINGS_FILE.to_owned(),
        line: 1 + error.span().map_or(0, |span| {
            text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
        }),
        message: error.message().lines().collect::<Vec<_>>().join(", "),
    })?;
    Ok(table.into_iter().map(|(key, value)| (key, scalar(value))).collect())
}

fn scalar(value: Value) -> FileValue {
    match value {
        Value::String(text) => FileValue::Scalar(Text::new(text)),
        Value::Integer(number) => FileValue::Scalar(Text::new(number.to_string())),
        Value::Boolean(truth) => FileValue::Scalar(Text::new(truth.to_string())),
        Value::Float(_) => FileValue::Other("a number with a fraction"),
        Value::Datetime(_) => FileValue::Other("a date without quotes"),
        Value::Array(items) => {
            let items = items.into_iter().map(|item| match scalar(item) {
                FileValue::Scalar(text) => Some(text),
                FileValue::List(_) | FileValue::Other(_) => None,
            });
            items
                .collect::<Option<_>>()
                .map_or(FileValue::Other("a list of lists or tables"), FileValue::List)
        }
        Value::Table(_) => FileValue::Other("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_names_its_line_and_shows_no_value() {
        let problem = parse("a = 1\nb = \"hunter2\n").unwrap_err().to_string();
        assert!(
            problem.starts_with("cannot read settings file `/data/config/settings.toml`: line 2: "),
            "{problem}"
        );
        assert!(!problem.contains("hunter2") && !problem.contains('\n'), "{problem}");
    }

    #[test]
    fn scalars_become_text_and_the_rest_is_named() {
        let values = parse("a = 'x'\nb = 1_000\nc = true\nd = [1, 'y']\ne = 1.5\nf = [[1]]\n[g]\n").unwrap();
        let shown = |key: &str| match &values[key] {
            FileValue::Scalar(text) => text.as_str().to_owned(),
            FileValue::List(items) => items.iter().map(Text::as_str).collect::<Vec<_>>().join("+"),
            FileValue::Other(kind) => format!("<{kind}>"),
        };
        let all: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].map(shown).into();
        let expected = [
            "x",
            "1000",
            "true",
            "1+y",
            "<a number with a fraction>",
            "<a list of lists or tables>",
            "<a table>",
        ];
        assert_eq!(all, expected);
    }
}
