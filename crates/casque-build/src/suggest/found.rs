//! What a step left: the packages it asked apt for, and its virtual environments.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use casque_debian::stanzas;
use casque_format::digest::Digest;
use casque_python::Requirements;
use walkdir::WalkDir;

use super::{Environment, Suggestion};
use crate::error::BuildError;
use crate::lock::{Lockfile, StepRecord};

const STATUS: &str = "var/lib/dpkg/status";
/// apt's record of what was installed only because something else needs it.
const AUTOMATIC: &str = "var/lib/apt/extended_states";
/// Every environment has them; a Python layer brings its own.
const TOOLS: [&str; 3] = ["pip", "setuptools", "wheel"];

/// Finds what the step asked apt for.
pub(super) fn packages(
    own: &Path,
    below: &[PathBuf],
    lock: &Lockfile,
    record: &StepRecord,
) -> Result<Suggestion, BuildError> {
    let Some(after) = read(&own.join(STATUS))? else { return Ok(Suggestion::default()) };
    let mut before = None;
    for tree in below {
        before = read(&tree.join(STATUS))?;
        if before.is_some() {
            break;
        }
    }
    let before = installed(&before.unwrap_or_default());
    let new: BTreeSet<String> = installed(&after).difference(&before).cloned().collect();
    let automatic = automatic(&read(&own.join(AUTOMATIC))?.unwrap_or_default());
    let debs = debs(record);
    let mut suggestion = Suggestion { package_count: new.len(), ..Suggestion::default() };
    for name in &new {
        let pinned = lock.packages.iter().find(|pin| pin.name == *name);
        let fetched = debs.get(name.as_str());
        suggestion.package_bytes +=
            fetched.map(|(size, _)| *size).or(pinned.map(|pin| pin.size)).unwrap_or_default();
        if automatic.contains(name) {
            continue;
        }
        let of_archive =
            |url: &str| lock.archives.iter().any(|archive| url.starts_with(&format!("{}/", archive.url)));
        let known = pinned.is_some() || fetched.is_some_and(|(_, url)| of_archive(url));
        let list = if known { &mut suggestion.packages } else { &mut suggestion.foreign };
        list.push(name.clone());
    }
    Ok(suggestion)
}

fn installed(status: &str) -> BTreeSet<String> {
    let is_there = |status: &str| status.split_whitespace().nth(2) == Some("installed");
    let name = |stanza: casque_debian::Stanza<'_>| {
        stanza.get("Status").is_some_and(is_there).then(|| stanza.get("Package").map(str::to_owned)).flatten()
    };
    stanzas(status).filter_map(name).collect()
}

fn automatic(states: &str) -> BTreeSet<String> {
    let name = |stanza: casque_debian::Stanza<'_>| {
        (stanza.get("Auto-Installed") == Some("1"))
            .then(|| stanza.get("Package").map(str::to_owned))
            .flatten()
    };
    stanzas(states).filter_map(name).collect()
}

/// Returns size and address of each package file that the step downloaded, by the package's name.
fn debs(record: &StepRecord) -> BTreeMap<&str, (u64, &str)> {
    let files = record.fetches.iter().filter(|fetch| fetch.url.ends_with(".deb"));
    let named = files.filter_map(|fetch| {
        let name = fetch.url.rsplit('/').next()?.split('_').next()?;
        Some((name, (fetch.size, fetch.url.as_str())))
    });
    named.collect()
}

/// Finds the virtual environments that the step made.
pub(super) fn environments(
    own: &Path,
    directory: &Path,
    project: &[(String, String)],
    record: &StepRecord,
) -> Result<Vec<Environment>, BuildError> {
    let wheels = wheels(record);
    let mut found = Vec::new();
    for entry in WalkDir::new(own).sort_by_file_name() {
        let entry = entry.map_err(|error| BuildError::Root(error.into()))?;
        if entry.file_name() != "pyvenv.cfg" {
            continue;
        }
        let Some(place) = entry.path().parent() else { continue };
        let installed = distributions(place)?;
        if installed.is_empty() {
            continue;
        }
        let inside = place.strip_prefix(own).unwrap_or(place);
        let venv = format!("/{}", inside.display());
        let file = |(name, version): (&String, &String)| wheels.get(&(name.clone(), version.clone()));
        let bytes = installed.iter().filter_map(file).map(|(size, _)| size).sum();
        let requirements =
            project.iter().map(|(path, _)| path).find(|path| says(directory, path, &installed)).cloned();
        let (mut lines, mut built) = (Vec::new(), Vec::new());
        for (name, version) in installed.iter().filter(|_| requirements.is_none()) {
            match file((name, version)) {
                Some((_, digest)) => lines.push(format!("{name}=={version} --hash=sha256:{digest}")),
                None => built.push(format!("{name} {version}")),
            }
        }
        if !built.is_empty() {
            lines.clear();
        }
        found.push(Environment { venv, requirements, lines, built, count: installed.len(), bytes });
    }
    Ok(found)
}

/// Returns name and version of what is in an environment.
fn distributions(venv: &Path) -> Result<BTreeMap<String, String>, BuildError> {
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(venv.join("lib")).min_depth(3).max_depth(3).sort_by_file_name() {
        // An environment without libraries has no such directory.
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy();
        let Some((name, version)) = name.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-'))
        else {
            continue;
        };
        let name = normalised(name);
        if !TOOLS.contains(&name.as_str()) {
            found.insert(name, version.to_owned());
        }
    }
    Ok(found)
}

/// Whether a requirements file with hashes comes to exactly what is installed.
fn says(directory: &Path, path: &str, installed: &BTreeMap<String, String>) -> bool {
    let Ok(requirements) = Requirements::read(directory, Path::new(path)) else { return false };
    let pinned = &requirements.pinned;
    let named: BTreeMap<String, &String> =
        pinned.iter().map(|requirement| (normalised(&requirement.name), &requirement.version)).collect();
    // One with a marker may be for another Python.
    let all = pinned.iter().all(|one| one.marker.is_some() || installed.contains_key(&normalised(&one.name)));
    all && requirements.local.is_empty()
        && installed.iter().all(|(name, version)| named.get(name) == Some(&version))
}

/// Returns size and digest of each wheel that the step downloaded.
fn wheels(record: &StepRecord) -> BTreeMap<(String, String), (u64, Digest)> {
    let files = record.fetches.iter().filter_map(|fetch| {
        let file = fetch.url.rsplit('/').next()?.split(['#', '?']).next()?;
        let mut parts = file.strip_suffix(".whl")?.split('-');
        Some(((normalised(parts.next()?), parts.next()?.to_owned()), (fetch.size, fetch.sha256?)))
    });
    files.collect()
}

fn normalised(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

fn read(path: &Path) -> Result<Option<String>, BuildError> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BuildError::Root(error)),
    }
}
