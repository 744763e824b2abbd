//! `settings set` and `settings unset`: the settings file is changed only when the product would start with it, and when
//! one that runs does not refuse it.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::settings::{Kind, Setting};
use casque_settings::{check, expected};
use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use toml_edit::{Array, DocumentMut, Item, Key};

use super::{known, live};
use crate::error::Error;
use crate::prepare::render;
use crate::settings::{Origin, Problem, Settings, Sources, file, shown};
use crate::ui;
use crate::write::{self, Access};

/// No value is longer; whoever sends more sends the wrong file.
const LONGEST: u64 = 1 << 20;

/// Writes the value of a setting; left out, it is read from stdin.
pub fn set(sources: &Sources, plan: &ImagePlan, name: &str, value: Option<String>) -> Result<String, Error> {
    known(sources, name)?;
    let setting = &sources.settings[name];
    let value = match value {
        // Everybody on the host may read an argument vector.
        Some(_) if setting.is_secret() => return Err(Error::SecretArgument { name: name.to_owned() }),
        Some(value) => value,
        None => read_value(name, setting).map_err(Error::Input)?,
    };
    decided_here(sources, name)?;
    if check(setting, &value).is_none() {
        let given = shown(setting, &value);
        let (expected, origin) = (expected(setting), Origin::Command);
        return Err(Error::Settings(vec![Problem::Wrong {
            setting: name.to_owned(),
            given,
            expected,
            origin,
        }]));
    }
    let effect = change(sources, plan, |document| put(document, name, setting, &value))?;
    let effect = effect.unwrap_or_else(|| "it takes effect at the next start of the container".to_owned());
    Ok(format!("`{name}` is in `{}`; {effect}\n", paths::SETTINGS_FILE))
}

/// Takes the value of a setting out of the file.
pub fn unset(sources: &Sources, plan: &ImagePlan, name: &str) -> Result<String, Error> {
    known(sources, name)?;
    let mut there = false;
    let effect = change(sources, plan, |document| {
        let names =
            std::iter::once(name).chain(sources.settings[name].renamed_from.iter().map(String::as_str));
        for name in names {
            there |= document.remove(name).is_some();
        }
    })?;
    let place = paths::SETTINGS_FILE;
    Ok(match there {
        true => {
            let effect =
                effect.unwrap_or_else(|| "that takes effect at the next start of the container".to_owned());
            format!("`{name}` is no longer in `{place}`; {effect}\n")
        }
        false => format!("`{name}` was not in `{place}`\n"),
    })
}

/// Fails when a variable of the container goes over whatever the file says.
fn decided_here(sources: &Sources, name: &str) -> Result<(), Error> {
    let origins = sources.origins().map_err(|problem| Error::Settings(vec![problem]))?;
    match origins.get(name).and_then(|origins| origins.first()) {
        Some(origin @ (Origin::Environment(_) | Origin::ValueFile(_))) => {
            Err(Error::DecidedElsewhere { name: name.to_owned(), origin: origin.clone() })
        }
        _ => Ok(()),
    }
}

/// Changes the file, unless that would make wrong what was right, and says what of the product took it over; nothing if none
/// runs. Two at the same time follow each other.
fn change(
    sources: &Sources,
    plan: &ImagePlan,
    edit: impl FnOnce(&mut DocumentMut),
) -> Result<Option<String>, Error> {
    let path = sources.root.join(paths::SETTINGS_FILE);
    let failed = |source| Error::SettingsFile { source };
    let directory = path.parent().expect("the settings file is in a directory");
    write::make_directory(directory, 0o755).map_err(failed)?;
    let locked = fs::File::open(directory).map_err(failed)?;
    flock(&locked, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;

    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let wrong = |problem| Error::Settings(vec![problem]);
    let earlier = sources.resolve_with(file::parse(&before).map_err(wrong)?);
    let mut document: DocumentMut = before.parse().expect("the same text was parsed before");
    edit(&mut document);
    let after = document.to_string();
    let settings = sources.resolve_with(file::parse(&after).map_err(wrong)?);
    let settings = new_problems(earlier, settings)?;
    if let Some(settings) = &settings {
        render(sources.root, &plan.templates, settings)?;
    }
    let access = match fs::metadata(&path) {
        Ok(there) => Access::handed_to(there.uid(), there.gid(), there.permissions().mode() & 0o7777),
        Err(_) => Access::PRIVATE,
    };
    if after != before {
        write::replace(&path, after.as_bytes(), access).map_err(failed)?;
    }
    if settings.is_none() {
        // What else is wrong would be refused, and was before.
        return Ok(None);
    }
    let taken = live::take_over(sources.root);
    if taken.is_err() && after != before {
        write::replace(&path, before.as_bytes(), access).map_err(failed)?;
        if let Err(Error::DoesNotRun { .. }) = taken {
            live::take_over(sources.root)?;
        }
    }
    Ok(taken?.map(|changes| live::told(&changes)))
}

/// Returns what is wrong now and was not before: one of several mistakes may be corrected at a time.
fn new_problems(
    before: Result<Settings, Vec<Problem>>,
    after: Result<Settings, Vec<Problem>>,
) -> Result<Option<Settings>, Error> {
    let after = match after {
        Ok(settings) => return Ok(Some(settings)),
        Err(problems) => problems,
    };
    let known: BTreeSet<String> =
        before.err().into_iter().flatten().map(|problem| problem.to_string()).collect();
    let new: Vec<Problem> =
        after.into_iter().filter(|problem| !known.contains(&problem.to_string())).collect();
    if new.is_empty() { Ok(None) } else { Err(Error::Settings(new)) }
}

/// Writes a value in its place or at the end; comments stay where they are.
fn put(document: &mut DocumentMut, name: &str, setting: &Setting, text: &str) {
    let mut value = toml_value(setting, text);
    for old in &setting.renamed_from {
        if let Some((key, item)) = document.as_table_mut().remove_entry(old) {
            let key = Key::new(name).with_leaf_decor(key.leaf_decor().clone());
            document.as_table_mut().insert_formatted(&key, item);
        }
    }
    if let Some(old) = document.get(name).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    document[name] = Item::Value(value);
}

/// Returns a checked value as people would write it.
fn toml_value(setting: &Setting, text: &str) -> toml_edit::Value {
    match setting.kind {
        Kind::Integer | Kind::Port => text.parse::<i64>().map_or_else(|_| text.into(), Into::into),
        Kind::Bool => (text == "true").into(),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.collect::<Array>().into()
        }
        _ => text.into(),
    }
}

/// Reads a value from stdin; one line break at its end is not part of it. A terminal does not show a secret.
fn read_value(name: &str, setting: &Setting) -> io::Result<String> {
    let stdin = io::stdin();
    let mut text = String::new();
    if stdin.is_terminal() {
        ui::ask(&format!("value of `{name}`: "));
        let modes = tcgetattr(&stdin)?;
        let mut quiet = modes.clone();
        if setting.is_secret() {
            quiet.local_modes.remove(LocalModes::ECHO);
        }
        tcsetattr(&stdin, OptionalActions::Flush, &quiet)?;
        let read = stdin.read_line(&mut text);
        tcsetattr(&stdin, OptionalActions::Flush, &modes)?;
        read?;
    } else {
        stdin.lock().take(LONGEST).read_to_string(&mut text)?;
    }
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
