//! `settings`: what the product can be told, what it was told, and by whom.

pub mod change;
pub mod check;
pub(super) mod live;

use std::os::unix::fs::MetadataExt;

use casque_format::settings::environment_name;
use casque_settings::expected;
use rustix::process::geteuid;
use serde::Serialize;

use crate::error::Error;
use crate::settings::{Origin, Resolved, Settings, Sources, Value, closest};
use crate::ui;

const MASK: &str = "********";

/// One setting for programs.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    /// Absent when there is none, or it is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    secret: bool,
    origin: String,
    variable: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// What a value looks like, in words.
    expected: String,
    description: &'a str,
    /// What the operator should change.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

/// Returns a table; secrets are masked.
pub fn table(sources: &Sources) -> Result<String, Error> {
    let settings = all(sources)?;
    let heading = ["SETTING", "VALUE", "FROM", "DESCRIPTION"].map(str::to_owned);
    let rows = settings.iter().map(|(name, resolved)| {
        let description = resolved.setting.description.clone();
        [name.clone(), shown(resolved), resolved.origin.to_string(), description]
    });
    Ok(ui::table(&[heading].into_iter().chain(rows).collect::<Vec<_>>()))
}

/// Returns the same as a JSON list; secrets are left out.
pub fn json(sources: &Sources) -> Result<String, Error> {
    let settings = all(sources)?;
    let entries: Vec<Entry> = settings
        .iter()
        .map(|(name, resolved)| Entry {
            name,
            value: resolved.text().filter(|_| !resolved.is_secret()),
            secret: resolved.is_secret(),
            origin: resolved.origin.to_string(),
            variable: environment_name(sources.prefix, name),
            kind: resolved.setting.kind.name(),
            expected: expected(&resolved.setting),
            description: &resolved.setting.description,
            warnings: &resolved.warnings,
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries).expect("entries are plain text and truth values") + "\n")
}

/// Returns a table of every place that has a value for a setting; what counts comes first.
pub fn origins(sources: &Sources) -> Result<String, Error> {
    let settings = all(sources)?;
    let origins = sources.origins().map_err(|problem| Error::Settings(vec![problem]))?;
    let heading = ["SETTING", "VALUE", "FROM", "IN PLACE OF"].map(str::to_owned);
    let rows = settings.iter().map(|(name, resolved)| {
        let others = origins.get(name).into_iter().flatten().skip(1);
        let others: Vec<String> = others.map(Origin::to_string).collect();
        [name.clone(), shown(resolved), resolved.origin.to_string(), others.join(", ")]
    });
    Ok(ui::table(&[heading].into_iter().chain(rows).collect::<Vec<_>>()))
}

/// Returns one plain value, to root and the user of PID 1 only.
pub fn get(sources: &Sources, name: &str) -> Result<String, Error> {
    // Without `/proc` nobody can be told from PID 1's user: then root alone.
    let owner = fs_err::metadata(sources.root.join("/proc/1")).map_or(0, |metadata| metadata.uid());
    let own = geteuid();
    if !own.is_root() && own.as_raw() != owner {
        return Err(Error::Forbidden(owner));
    }
    known(sources, name)?;
    let settings = all(sources)?;
    let reason = match settings.get(name).map(|resolved| &resolved.value) {
        Some(Value::Known(text)) => return Ok(format!("{}\n", text.as_str())),
        Some(Value::NotGenerated) => "it is generated at the first start",
        Some(Value::Hidden) => "its file belongs to another user",
        Some(Value::Unset) | None => "none was given",
    };
    Err(Error::NoValue { name: name.to_owned(), reason })
}

/// Fails when the product has no such setting, naming the one that is meant.
fn known(sources: &Sources, name: &str) -> Result<(), Error> {
    let settings = sources.settings;
    if settings.contains_key(name) {
        return Ok(());
    }
    let renamed = settings.iter().find(|(_, setting)| setting.renamed_from.iter().any(|old| old == name));
    let closest = renamed
        .map(|(new, _)| new.as_str())
        .or_else(|| closest(name, settings.keys().map(String::as_str)))
        .map(str::to_owned);
    Err(Error::UnknownSetting { name: name.to_owned(), closest })
}

fn all(sources: &Sources) -> Result<Settings, Error> {
    sources.resolve().map_err(Error::Settings)
}

fn shown(resolved: &Resolved) -> String {
    match &resolved.value {
        Value::Unset => "-".to_owned(),
        Value::NotGenerated => "(at the first start)".to_owned(),
        Value::Hidden => MASK.to_owned(),
        Value::Known(_) if resolved.is_secret() => MASK.to_owned(),
        Value::Known(text) => text.as_str().escape_debug().to_string(),
    }
}
