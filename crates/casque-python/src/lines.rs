//! The lines of a requirements file: what they say once comments and continuations are gone.

use casque_format::digest::Digest;

use crate::RequirementProblem;

/// An option that pip takes in a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileOption {
    /// `-r`: another file of requirements, as it is written.
    Include(String),
    /// `-c`: a file of versions that must fit.
    Constraint(String),
    /// `--index-url`.
    Index(String),
    /// `--extra-index-url`.
    ExtraIndex(String),
    /// `--no-binary`: normalised names, or `:all:`; `:none:` forgets those before.
    NoBinary(Vec<String>),
    /// `--only-binary`, likewise.
    OnlyBinary(Vec<String>),
    /// Nothing that would change what is installed.
    Idle,
}

/// Joins lines that end in `\` and drops comments, as pip does: a comment of its own ends what it interrupts.
pub(crate) fn logical_lines(text: &str) -> Vec<(usize, String)> {
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

/// Reads an option that stands in a line of its own.
pub(crate) fn option(content: &str) -> Result<FileOption, RequirementProblem> {
    let (name, value) = named(content);
    let value = value.trim().trim_matches(['"', '\'']);
    let refuse = || RequirementProblem::Option { option: name.to_owned() };
    let one = || match value {
        "" => Err(refuse()),
        value => Ok(value.to_owned()),
    };
    let names = || value.split(',').map(|name| crate::requirements::normalised(name.trim())).collect();
    match name {
        "-r" | "--requirement" => Ok(FileOption::Include(one()?)),
        "-c" | "--constraint" => Ok(FileOption::Constraint(one()?)),
        "-i" | "--index-url" | "--pypi-url" => Ok(FileOption::Index(one()?)),
        "--extra-index-url" => Ok(FileOption::ExtraIndex(one()?)),
        "--no-binary" if !value.is_empty() => Ok(FileOption::NoBinary(names())),
        "--only-binary" if !value.is_empty() => Ok(FileOption::OnlyBinary(names())),
        "--require-hashes" | "--prefer-binary" | "--pre" | "--use-pep517" => Ok(FileOption::Idle),
        "-e" | "--editable" => Err(RequirementProblem::Editable { text: value.to_owned() }),
        _ => Err(refuse()),
    }
}

/// Splits `--name=value`, `--name value`, `-nvalue` and `-n value`.
fn named(content: &str) -> (&str, &str) {
    let short = content.len() > 2 && content.is_char_boundary(2) && !content.starts_with("--");
    if short && !content[2..].starts_with([' ', '\t', '=']) {
        return content.split_at(2);
    }
    content.split_once([' ', '\t', '=']).unwrap_or((content, ""))
}

/// Reads the hashes behind a requirement.
pub(crate) fn hashes(options: &str) -> Result<Vec<Digest>, RequirementProblem> {
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
