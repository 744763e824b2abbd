//! What the agent knows of this instance: settings, services, files and certificates.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use casque_format::control::{Reply, Request};
use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_format::run::RunPlan;
use casque_format::settings::Kind;
use casque_format::status::Certificate;
use fs_err as fs;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::certificates;
use crate::control::ask;
use crate::env::Environment;
use crate::error::Error;
use crate::root::Root;
use crate::settings::Sources;
use crate::words::settings;

/// Lines of PID 1's memory.
const LINES: u32 = 1000;
/// Names that are listed.
const MOST_FILES: usize = 5000;
/// How far below a directory of the volume.
const DEPTH: usize = 3;

/// Returns every place that has a value for a setting, or what is wrong with them.
pub fn settings(root: &Root, plan: &ImagePlan, environment: &Environment) -> Vec<u8> {
    let sources = Sources::of(plan, environment, root);
    match settings::origins(&sources) {
        Ok(table) => table.into_bytes(),
        Err(error) => format!("{error}\n").into_bytes(),
    }
}

/// Returns the newest lines that PID 1 has in memory.
pub fn lines(root: &Root) -> Result<Vec<u8>, String> {
    match ask(root, &Request::Logs { service: None, lines: LINES }).map_err(|error| error.to_string())? {
        Reply::Logs { lines } => {
            Ok(lines.into_iter().map(|line| line + "\n").collect::<String>().into_bytes())
        }
        _ => Err(Error::Protocol.to_string()),
    }
}

/// Returns the plan that PID 1 carries out, of variables the names alone.
pub fn plan(root: &Root) -> Result<Vec<u8>, String> {
    let content = fs::read(root.join(paths::RUN_PLAN)).map_err(|error| error.to_string())?;
    let mut plan: RunPlan = serde_json::from_slice(&content).map_err(|error| error.to_string())?;
    plan.mask.clear();
    for service in plan.services.values_mut() {
        service.environment.values_mut().for_each(|value| "(not shown)".clone_into(value));
    }
    serde_json::to_vec_pretty(&plan).map_err(|error| error.to_string())
}

/// Returns the stamp of the volume as it is.
pub fn stamp(root: &Root) -> Result<Vec<u8>, String> {
    fs::read(root.join(paths::STAMP)).map_err(|error| error.to_string())
}

/// Returns whose each certificate is and when it ends.
pub fn certificates(root: &Root, plan: &ImagePlan, environment: &Environment) -> Result<Vec<u8>, String> {
    let mut found: Vec<Certificate> = Vec::new();
    if let Ok(settings) = Sources::of(plan, environment, root).resolve() {
        let given = settings.iter().filter(|(_, one)| one.setting.kind == Kind::Certificate);
        found.extend(given.filter_map(|(name, one)| certificates::certificate(name, one.text()?)));
    }
    let mut files: Vec<String> =
        [paths::TLS_CERTIFICATE, paths::TLS_KEPT, paths::TLS_OWN].map(str::to_owned).to_vec();
    let authorities = fs::read_dir(root.join(paths::AUTHORITIES)).into_iter().flatten();
    files.extend(authorities.filter_map(|entry| {
        Some(format!("{}/{}", paths::AUTHORITIES, entry.ok()?.file_name().to_string_lossy()))
    }));
    files.sort();
    for name in files {
        if let Ok(text) = fs::read_to_string(root.join(&name)) {
            found.extend(certificates::certificate(&name, &text));
        }
    }
    serde_json::to_vec_pretty(&found).map_err(|error| error.to_string())
}

/// Lists the rendered files and what is at the top of the volume: mode, owner, size, time of change, name.
pub fn files(root: &Root) -> Vec<u8> {
    let mut lines = Vec::new();
    list(root, paths::RUN, usize::MAX, &mut lines);
    list(root, paths::DATA, DEPTH, &mut lines);
    if lines.len() >= MOST_FILES {
        lines.push(format!("(no more than {MOST_FILES} are listed)"));
    }
    (lines.join("\n") + "\n").into_bytes()
}

fn list(root: &Root, directory: &str, depth: usize, lines: &mut Vec<String>) {
    let entries = match fs::read_dir(root.join(directory)) {
        Ok(entries) => entries,
        Err(error) => return lines.push(format!("{directory}: {}", error.kind())),
    };
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    for name in names {
        if lines.len() >= MOST_FILES {
            return;
        }
        let path = format!("{directory}/{name}");
        let place = root.join(&path);
        // It may be gone meanwhile.
        let Ok(facts) = place.symlink_metadata() else { continue };
        lines.push(line(&path, &place, &facts));
        if facts.is_dir() && depth > 1 {
            list(root, &path, depth - 1, lines);
        }
    }
}

fn line(path: &str, place: &Path, facts: &std::fs::Metadata) -> String {
    let time = OffsetDateTime::from_unix_timestamp(facts.mtime()).ok();
    let time = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    let target = fs::read_link(place).map_or_else(|_| String::new(), |to| format!(" -> {}", to.display()));
    let (mode, uid, gid, size) = (facts.mode(), facts.uid(), facts.gid(), facts.size());
    format!("{mode:06o} {uid}:{gid} {size} {time} {path}{target}")
}
