//! Finds the value of every setting: environment, `NAME_FILE`, settings file, generated secret, default.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;

use casque_format::paths;
use casque_format::settings::{Kind, Setting, environment_name};

use super::file::{self, FileValue};
use super::secrets::{self, Stored};
use super::value::check;
use super::{Problem, Text, closest};
use crate::env::Environment;
use crate::root::Root;

/// Every setting of the product by name.
pub type Settings = BTreeMap<String, Resolved>;

/// A setting with its value.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the manifest says of it.
    pub setting: Setting,
    /// What it is.
    pub value: Value,
    /// Where that comes from.
    pub origin: Origin,
}

/// What a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nobody gave one and none is needed.
    Unset,
    /// A checked value.
    Known(Text),
    /// Made at the first start, which has not been yet.
    NotGenerated,
    /// Made at the first start; this user may not read it.
    Hidden,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This environment variable.
    Environment(String),
    /// The file named by this environment variable.
    ValueFile(String),
    /// The settings file in the volume.
    SettingsFile,
    /// Made at random once for this instance.
    Generated,
    /// The product.
    Default,
    /// Nowhere.
    Unset,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(variable) => write!(formatter, "environment variable `{variable}`"),
            Self::ValueFile(variable) => write!(formatter, "file named by `{variable}`"),
            Self::SettingsFile => write!(formatter, "`{}`", paths::SETTINGS_FILE),
            Self::Generated => formatter.write_str("generated"),
            Self::Default => formatter.write_str("default"),
            Self::Unset => formatter.write_str("not given"),
        }
    }
}

impl Resolved {
    /// Returns the value, if there is one to return.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Known(text) => Some(text.as_str()),
            Value::Unset | Value::NotGenerated | Value::Hidden => None,
        }
    }

    /// Says whether what depends on this setting runs: it has a value, and as a truth value is `true`.
    pub fn is_on(&self) -> bool {
        match &self.value {
            Value::Unset => false,
            Value::Known(text) if self.setting.kind == Kind::Bool => text.as_str() == "true",
            Value::Known(text) => !text.as_str().is_empty(),
            Value::NotGenerated | Value::Hidden => true,
        }
    }

    /// Says whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        is_secret(&self.setting)
    }
}

/// Finds and checks every setting, or returns everything that is wrong, by name.
pub fn resolve(
    settings: &BTreeMap<String, Setting>,
    prefix: &str,
    environment: &Environment,
    root: &Root,
) -> Result<Settings, Vec<Problem>> {
    let mut file = file::read(root).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let mut resolved = Settings::new();
    for (name, setting) in settings {
        let sources = Sources { name, setting, variable: environment_name(prefix, name), environment, root };
        match sources.resolve(file.remove(name)) {
            Ok((value, origin)) => {
                resolved.insert(name.clone(), Resolved { setting: setting.clone(), value, origin });
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(file.into_keys().map(|key| Problem::Unknown {
        closest: closest(&key, settings.keys().map(String::as_str)).map(str::to_owned),
        key,
        origin: Origin::SettingsFile,
    }));
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// One setting and where to look for it.
struct Sources<'a> {
    name: &'a str,
    setting: &'a Setting,
    variable: String,
    environment: &'a Environment,
    root: &'a Root,
}

impl Sources<'_> {
    fn resolve(&self, in_file: Option<FileValue>) -> Result<(Value, Origin), Problem> {
        let file_variable = format!("{}_FILE", self.variable);
        match (self.environment.get(&self.variable), self.environment.get(&file_variable)) {
            (Some(_), Some(_)) => {
                return Err(Problem::Twice {
                    setting: self.name.to_owned(),
                    variable: self.variable.clone(),
                });
            }
            (Some(given), None) => {
                let origin = Origin::Environment(self.variable.clone());
                return self.known(self.text(given.as_encoded_bytes(), &origin)?, origin);
            }
            (None, Some(path)) => {
                let content = self.value_file(path)?;
                let origin = Origin::ValueFile(file_variable);
                let text = self.text(&content, &origin)?;
                return self.known(text.strip_suffix('\n').unwrap_or(text), origin);
            }
            (None, None) => {}
        }
        match in_file {
            Some(FileValue::Scalar(text)) => return self.known(text.as_str(), Origin::SettingsFile),
            Some(FileValue::Other(kind)) => return Err(self.wrong(kind.to_owned(), Origin::SettingsFile)),
            None => {}
        }
        if self.setting.generate {
            let stored = secrets::read(self.root, self.name)
                .map_err(|source| Problem::Stored { setting: self.name.to_owned(), source })?;
            return match stored {
                Stored::Secret(text) => self.known(text.as_str(), Origin::Generated),
                Stored::Missing => Ok((Value::NotGenerated, Origin::Generated)),
                Stored::Hidden => Ok((Value::Hidden, Origin::Generated)),
            };
        }
        if let Some(default) = &self.setting.default {
            return self.known(default, Origin::Default);
        }
        if self.setting.required {
            return Err(Problem::Missing {
                setting: self.name.to_owned(),
                expected: self.setting.kind.expected(),
                variable: self.variable.clone(),
            });
        }
        Ok((Value::Unset, Origin::Unset))
    }

    fn value_file(&self, path: &OsStr) -> Result<Vec<u8>, Problem> {
        fs_err::read(self.root.join(&path.to_string_lossy())).map_err(|source| Problem::ValueFile {
            setting: self.name.to_owned(),
            variable: self.variable.clone(),
            source,
        })
    }

    fn text<'a>(&self, bytes: &'a [u8], origin: &Origin) -> Result<&'a str, Problem> {
        std::str::from_utf8(bytes).map_err(|_| Problem::NotText {
            setting: self.name.to_owned(),
            expected: self.setting.kind.expected(),
            origin: origin.clone(),
        })
    }

    fn known(&self, text: &str, origin: Origin) -> Result<(Value, Origin), Problem> {
        match check(self.setting.kind, text) {
            Some(value) => Ok((Value::Known(Text::new(value)), origin)),
            None => Err(self.wrong(shown(self.setting, text), origin)),
        }
    }

    fn wrong(&self, given: String, origin: Origin) -> Problem {
        let expected = self.setting.kind.expected();
        Problem::Wrong { setting: self.name.to_owned(), given, expected, origin }
    }
}

fn is_secret(setting: &Setting) -> bool {
    setting.secret || setting.generate || setting.kind == Kind::Password
}

/// Returns a value for a message: one line, not too long, never a secret.
fn shown(setting: &Setting, text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    if is_secret(setting) {
        return "a secret that is not shown".to_owned();
    }
    let mut start: String = text.chars().take(80).collect();
    if start.len() < text.len() {
        start.push_str("...");
    }
    format!("`{}`", start.escape_debug())
}

#[cfg(test)]
mod tests;
