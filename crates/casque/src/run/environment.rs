//! Environment variables from the command line, from files and from a process.

use std::path::Path;
use std::str::FromStr;

use fs_err as fs;
use thiserror::Error;

use super::error::RunError;

/// One variable, `NAME=VALUE` as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
}

/// A text that sets no variable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected NAME=VALUE")]
pub(crate) struct NotAVariable;

impl FromStr for Variable {
    type Err = NotAVariable;

    fn from_str(text: &str) -> Result<Self, NotAVariable> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(NotAVariable),
        }
    }
}

/// Reads `NAME=VALUE` lines; empty lines and those that begin with `#` say nothing.
pub(crate) fn read_file(path: &Path) -> Result<Vec<Variable>, RunError> {
    let text = fs::read_to_string(path).map_err(RunError::File)?;
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let error = |NotAVariable| RunError::EnvironmentLine { path: path.to_owned(), line: index + 1 };
        variables.push(line.parse().map_err(error)?);
    }
    Ok(variables)
}

/// Returns the variables with which a process was started.
pub(crate) fn of_process(pid: i32) -> Result<Vec<(String, String)>, RunError> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).map_err(RunError::File)?;
    Ok(String::from_utf8_lossy(&bytes)
        .split('\0')
        .filter_map(|text| text.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Puts the variables of several origins together; a later one replaces an earlier one.
pub(crate) fn merge(origins: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let merged: std::collections::BTreeMap<_, _> = origins.into_iter().collect();
    merged.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_one_variable_per_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# mail\nURL=smtp://a=b\n\nEMPTY=\n").unwrap();
        let variables = read_file(file.path()).unwrap();
        let pairs: Vec<_> =
            variables.iter().map(|variable| (variable.name.as_str(), variable.value.as_str())).collect();
        assert_eq!(pairs, [("URL", "smtp://a=b"), ("EMPTY", "")]);
    }

    #[test]
    fn a_line_that_sets_nothing_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=1\nB\n").unwrap();
        let error = read_file(file.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` line 2: expected NAME=VALUE", file.path().display()));
    }
}
