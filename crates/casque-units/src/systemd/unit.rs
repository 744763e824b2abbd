//! The text of a unit and its drop-ins, read into sections.

use super::specifiers::Specifiers;
use crate::UnitError;
use crate::supervisor::SourceFile;

/// A unit with its drop-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its full name, such as `nginx.service` or `getty@tty1.service`.
    pub name: String,
    assignments: Vec<Assignment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Assignment {
    section: String,
    key: String,
    value: String,
}

/// An `EnvironmentFile=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// Its absolute path.
    pub path: String,
    /// Whether it may be missing (`-` before the path).
    pub optional: bool,
}

/// What `systemctl enable` reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Install {
    /// `WantedBy=`.
    pub wanted_by: Vec<String>,
    /// `RequiredBy=`.
    pub required_by: Vec<String>,
    /// `Alias=`.
    pub alias: Vec<String>,
    /// `Also=`.
    pub also: Vec<String>,
}

impl Install {
    /// Says whether enabling the unit does anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Unit {
    /// Reads a unit and, after it, its drop-ins in the order they apply.
    pub fn parse(name: &str, files: &[SourceFile]) -> Result<Self, UnitError> {
        let mut assignments = Vec::new();
        for file in files {
            parse_file(file, &mut assignments)?;
        }
        Ok(Self { name: name.to_owned(), assignments })
    }

    /// Returns every value of a key; an empty assignment forgets the ones before it.
    pub fn values(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for assignment in &self.assignments {
            if assignment.section == section && assignment.key == key {
                if assignment.value.is_empty() {
                    values.clear();
                } else {
                    values.push(assignment.value.as_str());
                }
            }
        }
        values
    }

    /// Returns the last value of a key.
    pub fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.values(section, key).pop()
    }

    /// Returns section and key of every assignment.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.assignments.iter().map(|assignment| (assignment.section.as_str(), assignment.key.as_str()))
    }

    /// Returns what is to be read before [`Unit::translate`] is called, in the order it applies.
    pub fn environment_files(&self) -> Result<Vec<EnvironmentFile>, UnitError> {
        let specifiers = Specifiers::of(&self.name);
        self.values("Service", "EnvironmentFile")
            .into_iter()
            .map(|value| {
                let (optional, path) = match value.strip_prefix('-') {
                    Some(path) => (true, path),
                    None => (false, value),
                };
                Ok(EnvironmentFile { path: specifiers.expand("EnvironmentFile", path)?, optional })
            })
            .collect()
    }

    /// Returns the `[Install]` section, its specifiers expanded.
    pub fn install(&self) -> Result<Install, UnitError> {
        let specifiers = Specifiers::of(&self.name);
        let list = |key: &str| -> Result<Vec<String>, UnitError> {
            let mut names = Vec::new();
            for value in self.values("Install", key) {
                for name in value.split_whitespace() {
                    names.push(specifiers.expand(key, name)?);
                }
            }
            Ok(names)
        };
        Ok(Install {
            wanted_by: list("WantedBy")?,
            required_by: list("RequiredBy")?,
            alias: list("Alias")?,
            also: list("Also")?,
        })
    }
}

fn parse_file(file: &SourceFile, assignments: &mut Vec<Assignment>) -> Result<(), UnitError> {
    let mut section: Option<String> = None;
    let mut lines = file.text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let syntax = |problem| UnitError::Syntax { file: file.path.clone(), line: index + 1, problem };
        let first = first.trim();
        if first.is_empty() || first.starts_with(['#', ';']) {
            continue;
        }
        let mut line = first.to_owned();
        while let Some(kept) = line.strip_suffix('\\') {
            line = kept.to_owned();
            let more = lines.by_ref().map(|(_, text)| text.trim()).find(|text| !text.starts_with(['#', ';']));
            let Some(more) = more else { break };
            line.push(' ');
            line.push_str(more);
        }
        if let Some(name) = line.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else { return Err(syntax("a section's `]` is missing")) };
            section = Some(name.to_owned());
            continue;
        }
        let Some(section) = &section else { return Err(syntax("an assignment stands before any section")) };
        let Some((key, value)) = line.split_once('=') else {
            return Err(syntax("a line is neither a section nor `Key=value`"));
        };
        assignments.push(Assignment {
            section: section.clone(),
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
        });
    }
    Ok(())
}
