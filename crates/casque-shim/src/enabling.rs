//! Which units start with the system: the links in `/etc/systemd/system`, as the real tool keeps them.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use casque_units::systemd::Install;
use fs_err as fs;

use crate::error::ShimError;
use crate::root::Root;
use crate::unit_files::{self, Found};

const ETC: &str = "/etc/systemd/system";

/// Answers of `systemctl is-enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enabled {
    /// Linked from a target.
    Linked,
    /// Not linked.
    NotLinked,
    /// Has nothing to link.
    Static,
    /// A link to `/dev/null`.
    Masked,
    /// Only an init script, which a run level starts.
    Script {
        /// Whether one does.
        enabled: bool,
    },
}

impl Enabled {
    /// Returns the word the real tool prints.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Linked | Self::Script { enabled: true } => "enabled",
            Self::NotLinked | Self::Script { enabled: false } => "disabled",
            Self::Static => "static",
            Self::Masked => "masked",
        }
    }

    /// Says whether `is-enabled` succeeds.
    pub(crate) fn is_success(self) -> bool {
        matches!(self, Self::Linked | Self::Static | Self::Script { enabled: true })
    }
}

/// Returns whether `unit` is enabled, none when it does not exist.
pub(crate) fn state(root: &Root, unit: &str) -> Result<Option<Enabled>, ShimError> {
    let Some(found) = unit_files::find(root, unit) else { return Ok(None) };
    Ok(Some(match found {
        Found::Masked { .. } => Enabled::Masked,
        Found::Script { file } => Enabled::Script { enabled: script_is_enabled(root, &file) },
        Found::Unit { name, file } => {
            if !links_to(root, &name).is_empty() {
                Enabled::Linked
            } else if install(root, &name, &file)?.is_empty() {
                Enabled::Static
            } else {
                Enabled::NotLinked
            }
        }
    }))
}

fn install(root: &Root, name: &str, file: &str) -> Result<Install, ShimError> {
    unit_files::read(root, name, file)?.install().map_err(ShimError::Unit)
}

/// Returns every link that makes `unit` start with the system, sorted.
fn links_to(root: &Root, unit: &str) -> Vec<PathBuf> {
    all_links(root).into_iter().filter(|(_, linked)| linked == unit).map(|(link, _)| link).collect()
}

/// Returns every link of a target to a unit, with the unit's name, sorted.
fn all_links(root: &Root) -> BTreeMap<PathBuf, String> {
    let mut links = BTreeMap::new();
    let Ok(entries) = fs::read_dir(root.path(ETC)) else { return links };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.ends_with(".wants") && !name.ends_with(".requires") {
            continue;
        }
        let Ok(inner) = fs::read_dir(entry.path()) else { continue };
        for link in inner.flatten() {
            if let Ok(unit) = link.file_name().into_string() {
                links.insert(link.path(), unit);
            }
        }
    }
    links
}

/// Returns the enabled units and the file of each.
pub(crate) fn enabled(root: &Root) -> BTreeMap<String, String> {
    let mut units = BTreeMap::new();
    for unit in all_links(root).into_values() {
        if let Some(Found::Unit { file, .. }) = unit_files::find(root, &unit) {
            units.insert(unit, file);
        }
    }
    units
}

/// Makes `unit` start with the system; returns what was changed, one line each.
pub(crate) fn enable(root: &Root, unit: &str) -> Result<Vec<String>, ShimError> {
    let (name, file) = match unit_files::find(root, unit).ok_or_else(|| ShimError::NoUnit(unit.to_owned()))? {
        Found::Masked { .. } => return Err(ShimError::Masked(unit.to_owned())),
        Found::Script { file } => return update_rc(&file, &["defaults", "enable"]),
        Found::Unit { name, file } => (name, file),
    };
    let mut lines = Vec::new();
    let mut pending = vec![(name, file)];
    let mut done: Vec<String> = Vec::new();
    while let Some((name, file)) = pending.pop() {
        if done.contains(&name) {
            continue;
        }
        let install = install(root, &name, &file)?;
        for (targets, kind) in [(&install.wanted_by, "wants"), (&install.required_by, "requires")] {
            for target in targets {
                lines.extend(link(root, &format!("{ETC}/{target}.{kind}/{name}"), &file)?);
            }
        }
        for alias in &install.alias {
            lines.extend(link(root, &format!("{ETC}/{alias}"), &file)?);
        }
        for also in &install.also {
            if let Some(Found::Unit { name, file }) = unit_files::find(root, also) {
                pending.push((name, file));
            }
        }
        done.push(name);
    }
    Ok(lines)
}

fn link(root: &Root, link: &str, target: &str) -> Result<Option<String>, ShimError> {
    let path = root.path(link);
    // A link of that name, wherever it leads, was made by somebody who meant it.
    if path.symlink_metadata().is_ok() || link == target {
        return Ok(None);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(ShimError::File)?;
    }
    symlink(target, &path).map_err(ShimError::File)?;
    Ok(Some(format!("Created symlink {link} → {target}.")))
}

/// Undoes [`enable`].
pub(crate) fn disable(root: &Root, unit: &str) -> Result<Vec<String>, ShimError> {
    let name = match unit_files::find(root, unit).ok_or_else(|| ShimError::NoUnit(unit.to_owned()))? {
        Found::Script { file } => return update_rc(&file, &["disable"]),
        Found::Masked { .. } => unit.to_owned(),
        Found::Unit { name, .. } => name,
    };
    let mut lines = Vec::new();
    for link in links_to(root, &name).into_iter().chain(aliases(root, &name)) {
        fs::remove_file(&link).map_err(ShimError::File)?;
        lines.push(format!("Removed \"{}\".", root.inside(&link)));
    }
    Ok(lines)
}

/// Returns links in `/etc/systemd/system` of another name that lead to `unit`.
fn aliases(root: &Root, unit: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.path(ETC)) else { return Vec::new() };
    let mut links: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let target = fs::read_link(path).unwrap_or_default();
            target.file_name().is_some_and(|name| name == unit) && path.file_name() != target.file_name()
        })
        .collect();
    links.sort();
    links
}

/// Makes `unit` impossible to start.
pub(crate) fn mask(root: &Root, unit: &str) -> Result<Vec<String>, ShimError> {
    let link = format!("{ETC}/{unit}");
    let path = root.path(&link);
    match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => {
            if fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null")) {
                return Ok(Vec::new());
            }
            fs::remove_file(&path).map_err(ShimError::File)?;
        }
        Ok(_) => return Err(ShimError::Usage(format!("Failed to mask unit: File {link} already exists."))),
        Err(_) => {}
    }
    fs::create_dir_all(root.path(ETC)).map_err(ShimError::File)?;
    symlink("/dev/null", &path).map_err(ShimError::File)?;
    Ok(vec![format!("Created symlink {link} → /dev/null.")])
}

/// Undoes [`mask`].
pub(crate) fn unmask(root: &Root, unit: &str) -> Result<Vec<String>, ShimError> {
    let link = format!("{ETC}/{unit}");
    let path = root.path(&link);
    if fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null")) {
        fs::remove_file(&path).map_err(ShimError::File)?;
        return Ok(vec![format!("Removed \"{link}\".")]);
    }
    Ok(Vec::new())
}

/// Says whether a run level from 2 to 5 starts the script.
pub(crate) fn script_is_enabled(root: &Root, file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    (2..=5).any(|level| {
        let Ok(entries) = fs::read_dir(root.path(&format!("/etc/rc{level}.d"))) else { return false };
        entries.flatten().any(|entry| {
            let file_name = entry.file_name();
            let link = file_name.to_str().unwrap_or_default();
            link.starts_with('S') && link.get(3..) == Some(name)
        })
    })
}

fn update_rc(file: &str, verbs: &[&str]) -> Result<Vec<String>, ShimError> {
    let name = file.rsplit('/').next().unwrap_or(file);
    for verb in verbs {
        let status = Command::new("update-rc.d").args([name, verb]).status();
        let status = status.map_err(|source| ShimError::System { action: "run `update-rc.d`", source })?;
        if !status.success() {
            let program = format!("update-rc.d {name} {verb}");
            return Err(ShimError::Program { program, outcome: format!("ended with {status}") });
        }
    }
    Ok(Vec::new())
}
