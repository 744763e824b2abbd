//! Requirements files as `pip-compile --generate-hashes` writes them: every line pins one version and its hashes.

use std::fmt;
use std::path::Path;

use casque_format::digest::Digest;

use crate::{Marker, PythonError, RequirementProblem};

/// A distribution pinned by version and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Its normalised name: lower case, `-` for every run of `-`, `_` and `.`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What its file may be.
    pub hashes: Vec<Digest>,
    /// When it is wanted; none means always.
    pub marker: Option<Marker>,
    /// The line it begins at, counted from 1.
    pub line: usize,
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=={}", self.name, self.version)
    }
}

/// Reads a requirements file; `path` is for messages alone.
pub fn requirements(path: &Path, text: &str) -> Result<Vec<Requirement>, PythonError> {
    let mut found = Vec::new();
    for (line, content) in logical_lines(text) {
        let parsed = if content.starts_with('-') {
            check_option(&content).map(|()| None)
        } else {
            requirement(&content, line).map(Some)
        };
        let parsed =
            parsed.map_err(|problem| PythonError::Requirement { path: path.to_owned(), line, problem })?;
        found.extend(parsed);
    }
    Ok(found)
}

/// Returns the normalised form of a distribution's name.
pub(crate) fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for symbol in name.chars() {
        match symbol {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.push(other.to_ascii_lowercase()),
        }
    }
    normal
}

/// Joins lines that end in `\` and drops comments, as pip does: a comment of its own ends what it interrupts.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (begin, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        let content = without_comment(line);
        let continued = content.len() == line.len() && line.ends_with('\\');
        joined.push_str(if continued { line.trim_end_matches('\\') } else { content });
        if continued {
            open = Some((begin, joined));
        } else {
            lines.push((begin, joined));
        }
    }
    lines.extend(open);
    let trimmed = lines.into_iter().map(|(line, content)| (line, content.trim().to_owned()));
    trimmed.filter(|(_, content)| !content.is_empty()).collect()
}

fn without_comment(line: &str) -> &str {
    let comment =
        line.match_indices('#').find(|(at, _)| line[..*at].chars().last().is_none_or(char::is_whitespace));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Lets pass what does not change which files are installed; wheels pinned by hash are all that ever is.
fn check_option(content: &str) -> Result<(), RequirementProblem> {
    let words: Vec<&str> = content.split([' ', '\t', '=']).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["--require-hashes" | "--prefer-binary"] | ["--only-binary", _] => Ok(()),
        [option, ..] => Err(RequirementProblem::Option { option: (*option).to_owned() }),
        [] => Ok(()),
    }
}

fn requirement(content: &str, line: usize) -> Result<Requirement, RequirementProblem> {
    let syntax = || RequirementProblem::Syntax { text: shortened(content) };
    let options_at = content.find(" --").unwrap_or(content.len());
    let (specification, options) = content.split_at(options_at);
    let (pinned, marker) = match specification.split_once(';') {
        Some((pinned, marker)) => (pinned.trim(), Some(marker.trim())),
        None => (specification.trim(), None),
    };
    let name_end = pinned.find(|symbol: char| !is_name(symbol)).unwrap_or(pinned.len());
    let (name, rest) = pinned.split_at(name_end);
    if pinned.contains("://")
        || pinned.contains('@')
        || pinned.starts_with(['.', '/'])
        || rest.starts_with('/')
    {
        return Err(RequirementProblem::NotFromIndex { text: shortened(pinned) });
    }
    let is_edge = |symbol: Option<char>| symbol.is_some_and(|symbol| symbol.is_ascii_alphanumeric());
    if !is_edge(name.chars().next()) || !is_edge(name.chars().last()) {
        return Err(syntax());
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        // What an extra needs is pinned in lines of its own.
        Some(extras) => extras.split_once(']').ok_or_else(syntax)?.1.trim_start(),
        None => rest,
    };
    let name = normalised(name);
    let Some(version) = rest.strip_prefix("===").or_else(|| rest.strip_prefix("==")) else {
        return Err(RequirementProblem::NotPinned { name });
    };
    let version = version.trim();
    if version.is_empty() || version.contains([',', '*']) {
        return Err(RequirementProblem::NotPinned { name });
    }
    if !version.chars().all(|symbol| is_name(symbol) || matches!(symbol, '+' | '!')) {
        return Err(syntax());
    }
    let marker = marker.map(Marker::parse).transpose().map_err(RequirementProblem::Marker)?;
    let hashes = hashes(options)?;
    if hashes.is_empty() {
        return Err(RequirementProblem::NoHash { name });
    }
    Ok(Requirement { name, version: version.to_owned(), hashes, marker, line })
}

fn hashes(options: &str) -> Result<Vec<Digest>, RequirementProblem> {
    let mut hashes = Vec::new();
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some(("--hash", value)) => value,
            None if word == "--hash" => words.next().unwrap_or_default(),
            _ => return Err(RequirementProblem::Option { option: word.to_owned() }),
        };
        let refuse = || RequirementProblem::Hash { text: value.to_owned() };
        match value.split_once(':') {
            Some(("sha256", hexadecimal)) => {
                hashes.push(hexadecimal.to_ascii_lowercase().parse().map_err(|_| refuse())?);
            }
            // Other algorithms name the same files; one kind is enough to know them by.
            Some(("sha384" | "sha512", _)) => {}
            _ => return Err(refuse()),
        }
    }
    Ok(hashes)
}

fn is_name(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_' | '.')
}

/// Keeps a message readable whatever stands in the file.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
