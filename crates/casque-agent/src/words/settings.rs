//! `settings`: what the product can be told, what it was told, and by whom.

use std::os::unix::fs::MetadataExt;

use casque_format::image::ImagePlan;
use casque_format::settings::environment_name;
use rustix::process::geteuid;
use serde::Serialize;

use crate::env::Environment;
use crate::error::Error;
use crate::root::Root;
use crate::settings::{Resolved, Settings, Value, closest, resolve};
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
    description: &'a str,
}

/// Returns a table; secrets are masked.
pub fn table(root: &Root, environment: &Environment, plan: &ImagePlan) -> Result<String, Error> {
    let settings = all(root, environment, plan)?;
    let heading = ["SETTING", "VALUE", "FROM", "DESCRIPTION"].map(str::to_owned);
    let rows = settings.iter().map(|(name, resolved)| {
        let description = resolved.setting.description.clone();
        [name.clone(), shown(resolved), resolved.origin.to_string(), description]
    });
    Ok(ui::table(&[heading].into_iter().chain(rows).collect::<Vec<_>>()))
}

/// Returns the same as a JSON list; secrets are left out.
pub fn json(root: &Root, environment: &Environment, plan: &ImagePlan) -> Result<String, Error> {
    let settings = all(root, environment, plan)?;
    let entries: Vec<Entry> = settings
        .iter()
        .map(|(name, resolved)| Entry {
            name,
            value: resolved.text().filter(|_| !resolved.is_secret()),
            secret: resolved.is_secret(),
            origin: resolved.origin.to_string(),
            variable: environment_name(&plan.env_prefix, name),
            description: &resolved.setting.description,
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries).expect("entries are plain text and truth values") + "\n")
}

/// Returns one plain value, to root and the user of PID 1 only.
pub fn get(root: &Root, environment: &Environment, plan: &ImagePlan, name: &str) -> Result<String, Error> {
    // Without `/proc` nobody can be told from PID 1's user: then root alone.
    let owner = fs_err::metadata(root.join("/proc/1")).map_or(0, |metadata| metadata.uid());
    let own = geteuid();
    if !own.is_root() && own.as_raw() != owner {
        return Err(Error::Forbidden(owner));
    }
    if !plan.settings.contains_key(name) {
        let closest = closest(name, plan.settings.keys().map(String::as_str)).map(str::to_owned);
        return Err(Error::UnknownSetting { name: name.to_owned(), closest });
    }
    let settings = all(root, environment, plan)?;
    let reason = match settings.get(name).map(|resolved| &resolved.value) {
        Some(Value::Known(text)) => return Ok(format!("{}\n", text.as_str())),
        Some(Value::NotGenerated) => "it is generated at the first start",
        Some(Value::Hidden) => "its file belongs to another user",
        Some(Value::Unset) | None => "none was given",
    };
    Err(Error::NoValue { name: name.to_owned(), reason })
}

fn all(root: &Root, environment: &Environment, plan: &ImagePlan) -> Result<Settings, Error> {
    resolve(&plan.settings, &plan.env_prefix, environment, root).map_err(Error::Settings)
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
