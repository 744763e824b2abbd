//! Finds the value of every setting: environment, `NAME_FILE`, settings file, generated secret, default.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::settings::{Condition, Kind, Setting, environment_name};
use casque_settings::{check, expected};

use super::file::{self, FileValue};
use super::secrets::{self, Stored};
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
    /// What the operator should change before a later version stops to understand it.
    pub warnings: Vec<String>,
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
    /// The same, by a version in which the setting had this name.
    GeneratedAs(String),
    /// The product.
    Default,
    /// The command that is being carried out.
    Command,
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
            Self::GeneratedAs(old) => write!(formatter, "generated as `{old}`"),
            Self::Default => formatter.write_str("default"),
            Self::Command => formatter.write_str("this command"),
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
        self.setting.is_secret()
    }
}

/// Returns what the operator should change, by name of the setting.
pub fn warnings(settings: &Settings) -> Vec<String> {
    settings.values().flat_map(|resolved| resolved.warnings.clone()).collect()
}

/// Where the values of a product's settings are looked for.
pub struct Sources<'a> {
    /// What the manifest says of them.
    pub settings: &'a BTreeMap<String, Setting>,
    /// Put before each environment name.
    pub prefix: &'a str,
    /// The container's variables.
    pub environment: &'a Environment,
    /// Where files are.
    pub root: &'a Root,
}

impl<'a> Sources<'a> {
    /// Returns the sources of the settings of `plan`.
    pub fn of(plan: &'a ImagePlan, environment: &'a Environment, root: &'a Root) -> Self {
        Self { settings: &plan.settings, prefix: &plan.env_prefix, environment, root }
    }

    /// Finds and checks every setting, or returns everything that is wrong, by name.
    pub fn resolve(&self) -> Result<Settings, Vec<Problem>> {
        self.resolve_with(file::read(self.root).map_err(|problem| vec![problem])?)
    }

    /// Does the same with `file` in the place of what the settings file holds.
    pub fn resolve_with(&self, mut file: BTreeMap<String, FileValue>) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut resolved = Settings::new();
        for (name, setting) in self.settings {
            match (One { name, setting, sources: self }).resolve(&mut file) {
                Ok(found) => drop(resolved.insert(name.clone(), found)),
                Err(problem) => problems.push(problem),
            }
        }
        let missing = resolved.iter().filter_map(|(name, one)| self.missing(name, one, &resolved));
        problems.extend(missing.collect::<Vec<_>>());
        problems.extend(file.into_keys().map(|key| Problem::Unknown {
            closest: closest(&key, self.settings.keys().map(String::as_str)).map(str::to_owned),
            key,
            origin: Origin::SettingsFile,
        }));
        if problems.is_empty() { Ok(resolved) } else { Err(problems) }
    }

    /// Returns every place that has something for each setting; the first of them counts.
    pub fn origins(&self) -> Result<BTreeMap<String, Vec<Origin>>, Problem> {
        let file = file::read(self.root)?;
        let all = self.settings.iter().map(|(name, setting)| {
            let one = One { name, setting, sources: self };
            let mut origins: Vec<Origin> =
                one.variables().filter_map(|(variable, _)| self.given(&variable)).collect();
            if one.names().any(|name| file.contains_key(name)) {
                origins.push(Origin::SettingsFile);
            }
            if setting.generate {
                origins.push(Origin::Generated);
            }
            if setting.default.is_some() {
                origins.push(Origin::Default);
            }
            (name.clone(), origins)
        });
        Ok(all.collect())
    }

    /// Returns how `variable` gives a value, if it does.
    fn given(&self, variable: &str) -> Option<Origin> {
        let file = format!("{variable}_FILE");
        match (self.environment.get(variable), self.environment.get(&file)) {
            (Some(_), _) => Some(Origin::Environment(variable.to_owned())),
            (None, Some(_)) => Some(Origin::ValueFile(file)),
            (None, None) => None,
        }
    }

    fn missing(&self, name: &str, one: &Resolved, all: &Settings) -> Option<Problem> {
        if one.value != Value::Unset {
            return None;
        }
        let since = match &one.setting.required_when {
            Some(condition) if holds(condition, all) => match &condition.is {
                Some(value) => format!(", since `{}` is `{value}`", condition.setting),
                None => format!(", since `{}` is given", condition.setting),
            },
            _ if one.setting.required => String::new(),
            _ => return None,
        };
        let variable = environment_name(self.prefix, name);
        Some(Problem::Missing { setting: name.to_owned(), expected: expected(&one.setting), since, variable })
    }
}

fn holds(condition: &Condition, all: &Settings) -> bool {
    let Some(other) = all.get(&condition.setting) else { return false };
    match &condition.is {
        None => other.is_on(),
        Some(value) => check(&other.setting, value).as_deref() == other.text() && other.text().is_some(),
    }
}

/// One setting, looked for everywhere.
pub(super) struct One<'a> {
    pub(super) name: &'a str,
    pub(super) setting: &'a Setting,
    pub(super) sources: &'a Sources<'a>,
}

impl One<'_> {
    /// Returns its name and those it had.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name).chain(self.setting.renamed_from.iter().map(String::as_str))
    }

    /// Returns the variables that give it, and whether each is one of an earlier version.
    fn variables(&self) -> impl Iterator<Item = (String, bool)> {
        let own = std::iter::once(environment_name(self.sources.prefix, self.name));
        let now = own.chain(self.setting.variables.iter().cloned()).map(|variable| (variable, false));
        let old = self.setting.renamed_from.iter();
        now.chain(old.map(|old| (environment_name(self.sources.prefix, old), true)))
    }

    /// Returns all that variables and the files that they name give, whether it counts or not.
    pub(super) fn given(&self) -> Result<Vec<Vec<u8>>, Problem> {
        let environment = self.sources.environment;
        let mut values = Vec::new();
        for (variable, _) in self.variables() {
            values.extend(environment.get(&variable).map(|value| value.as_encoded_bytes().to_vec()));
            let variable = format!("{variable}_FILE");
            if let Some(path) = environment.get(&variable) {
                values.push(self.value_file(path, &variable)?);
            }
        }
        Ok(values)
    }

    fn resolve(&self, file: &mut BTreeMap<String, FileValue>) -> Result<Resolved, Problem> {
        let mut warnings = Vec::new();
        let in_file = self.take(file, &mut warnings)?;
        let (value, origin) = match self.in_environment(&mut warnings)? {
            Some(found) => found,
            None => self.elsewhere(in_file)?,
        };
        let given = matches!(origin, Origin::Environment(_) | Origin::ValueFile(_) | Origin::SettingsFile);
        if let (true, Some(text)) = (given, &self.setting.deprecated) {
            warnings.push(format!("setting `{}` is deprecated: {text} (from {origin})", self.name));
        }
        Ok(Resolved { setting: self.setting.clone(), value, origin, warnings })
    }

    /// Takes its value out of the settings file, under whichever name it is there.
    fn take(
        &self,
        file: &mut BTreeMap<String, FileValue>,
        warnings: &mut Vec<String>,
    ) -> Result<Option<FileValue>, Problem> {
        let there: Vec<&str> = self.names().filter(|name| file.contains_key(*name)).collect();
        match there[..] {
            [] => Ok(None),
            [only] => {
                if only != self.name {
                    let place = Origin::SettingsFile;
                    warnings.push(format!(
                        "setting `{}` is called `{only}` in {place}, which is its old name",
                        self.name
                    ));
                }
                Ok(file.remove(only))
            }
            [first, second, ..] => {
                let (first, second) = (first.to_owned(), second.to_owned());
                there.iter().for_each(|name| drop(file.remove(*name)));
                Err(Problem::BothNames {
                    setting: self.name.to_owned(),
                    first,
                    second,
                    place: Origin::SettingsFile.to_string(),
                })
            }
        }
    }

    fn in_environment(&self, warnings: &mut Vec<String>) -> Result<Option<(Value, Origin)>, Problem> {
        let given = self
            .variables()
            .filter_map(|(variable, old)| Some((self.sources.given(&variable)?, variable, old)));
        let given: Vec<(Origin, String, bool)> = given.collect();
        let Some((origin, variable, old)) = given.first() else { return Ok(None) };
        if let Some((_, other, _)) = given.iter().skip(1).find(|(_, _, old)| *old) {
            return Err(Problem::BothNames {
                setting: self.name.to_owned(),
                first: variable.clone(),
                second: other.clone(),
                place: "the environment".to_owned(),
            });
        }
        if *old {
            let now = environment_name(self.sources.prefix, self.name);
            warnings
                .push(format!("setting `{}`: `{variable}` is its old name, it is `{now}` now", self.name));
        }
        let environment = self.sources.environment;
        let file_variable = format!("{variable}_FILE");
        let found = match (environment.get(variable), environment.get(&file_variable)) {
            (Some(_), Some(_)) => {
                return Err(Problem::Twice { setting: self.name.to_owned(), variable: variable.clone() });
            }
            (Some(given), _) => self.known(self.text(given.as_encoded_bytes(), origin)?, origin.clone())?,
            (None, Some(path)) => {
                let content = self.value_file(path, &file_variable)?;
                let text = self.text(&content, origin)?;
                self.known(text.strip_suffix('\n').unwrap_or(text), origin.clone())?
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(found))
    }

    fn elsewhere(&self, in_file: Option<FileValue>) -> Result<(Value, Origin), Problem> {
        match in_file {
            Some(FileValue::Scalar(text)) => return self.known(text.as_str(), Origin::SettingsFile),
            Some(FileValue::List(items)) if self.setting.kind == Kind::List => {
                if items.iter().any(|item| item.as_str().contains(',')) {
                    return Err(self.wrong("an item with a comma".to_owned(), Origin::SettingsFile));
                }
                let items: Vec<&str> = items.iter().map(Text::as_str).collect();
                return self.known(&items.join(","), Origin::SettingsFile);
            }
            Some(FileValue::List(_)) => return Err(self.wrong("a list".to_owned(), Origin::SettingsFile)),
            Some(FileValue::Other(kind)) => return Err(self.wrong(kind.to_owned(), Origin::SettingsFile)),
            None => {}
        }
        if self.setting.generate {
            return self.generated();
        }
        match &self.setting.default {
            Some(default) => self.known(default, Origin::Default),
            None => Ok((Value::Unset, Origin::Unset)),
        }
    }

    /// Looks for its secret under its own name and then under those it had.
    fn generated(&self) -> Result<(Value, Origin), Problem> {
        for name in self.names() {
            let stored = secrets::read(self.sources.root, name)
                .map_err(|source| Problem::Stored { setting: self.name.to_owned(), source })?;
            let origin = match name == self.name {
                true => Origin::Generated,
                false => Origin::GeneratedAs(name.to_owned()),
            };
            match stored {
                Stored::Secret(text) => return self.known(text.as_str(), origin),
                Stored::Hidden => return Ok((Value::Hidden, origin)),
                Stored::Missing => {}
            }
        }
        Ok((Value::NotGenerated, Origin::Generated))
    }

    fn value_file(&self, path: &OsStr, variable: &str) -> Result<Vec<u8>, Problem> {
        fs_err::read(self.sources.root.join(&path.to_string_lossy())).map_err(|source| Problem::ValueFile {
            setting: self.name.to_owned(),
            variable: variable.to_owned(),
            source,
        })
    }

    fn text<'b>(&self, bytes: &'b [u8], origin: &Origin) -> Result<&'b str, Problem> {
        std::str::from_utf8(bytes).map_err(|_| Problem::NotText {
            setting: self.name.to_owned(),
            expected: expected(self.setting),
            origin: origin.clone(),
        })
    }

    fn known(&self, text: &str, origin: Origin) -> Result<(Value, Origin), Problem> {
        match check(self.setting, text) {
            Some(value) => Ok((Value::Known(Text::new(value)), origin)),
            None => Err(self.wrong(shown(self.setting, text), origin)),
        }
    }

    fn wrong(&self, given: String, origin: Origin) -> Problem {
        Problem::Wrong { setting: self.name.to_owned(), given, expected: expected(self.setting), origin }
    }
}

/// Returns a value for a message: one line, not too long, never a secret.
pub fn shown(setting: &Setting, text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    if setting.is_secret() {
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
