//! Other files under services that run: put in their places, checked there, and taken back when a check says no.
//!
//! A check such as `nginx -t` reads the files where the service reads them, includes and all, so they have to be in
//! their places by then. A service that starts in that moment sees them too; the old ones are back before the next try.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use casque_format::paths;
use casque_format::run::{RunPlan, Service};
use fs_err as fs;

use crate::command::{self, ended, masked};
use crate::error::Error;
use crate::prepare::bare;
use crate::root::Root;
use crate::write::{self, Access};

/// What one check may take. All of them have to end within the time that PID 1 gives the whole preparation.
const LIMIT: Duration = Duration::from_secs(20);
/// So many of the last lines of a check are repeated.
const MOST_LINES: usize = 8;

/// A rendered file.
pub struct File<'a> {
    /// Its path in the image.
    pub name: &'a str,
    /// Where it is written.
    pub path: PathBuf,
    /// What is in it.
    pub content: &'a str,
    /// Who may do what with it.
    pub access: Access,
}

impl File<'_> {
    /// Writes it, whatever was there before.
    pub fn write(&self) -> Result<(), Error> {
        write::replace(&self.path, self.content.as_bytes(), self.access).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Run { path: self.path.clone(), source: bare(source) }
    }
}

/// Writes `files`, unless a service of `plan` that reads one which changes says that it could not take it over.
///
/// # Errors
/// What the checks say, or a file that cannot be written; all files are as they were before then.
pub fn exchange(root: &Root, files: &[File], plan: &RunPlan) -> Result<(), Error> {
    let mut before = Vec::new();
    for file in files {
        match fs::read(&file.path) {
            Ok(content) if content == file.content.as_bytes() => {}
            Ok(content) => before.push((file, Some(content))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => before.push((file, None)),
            Err(error) => return Err(file.failed(error)),
        }
    }
    let tried = before.iter().try_for_each(|(file, _)| file.write()).and_then(|()| {
        let changed: BTreeSet<&str> = before.iter().map(|(file, _)| file.name).collect();
        check(plan, &to_check(root, plan, &changed))
    });
    tried.inspect_err(|_| {
        for (file, content) in &before {
            let back = match content {
                Some(content) => write::replace(&file.path, content, file.access),
                None => fs::remove_file(&file.path),
            };
            // The first error is the one to tell. The next preparation renders everything anew.
            let _ = back;
        }
    })
}

/// Returns the checks of services that read one of the files that change, or whose own plan changes.
fn to_check<'a>(
    root: &Root,
    plan: &'a RunPlan,
    changed: &BTreeSet<&str>,
) -> BTreeMap<&'a str, &'a Vec<String>> {
    let current = fs::read(root.join(paths::RUN_PLAN)).ok();
    let current: Option<RunPlan> = current.and_then(|content| serde_json::from_slice(&content).ok());
    let same = |name: &str, service: &Service| {
        current.as_ref().is_some_and(|plan| plan.services.get(name) == Some(service))
    };
    // Links may lead from the name that the vendor gave to the place of the file.
    let places: BTreeSet<PathBuf> =
        changed.iter().map(|name| root.join(&format!("{}{name}", paths::RENDERED))).collect();
    let reads = |service: &Service| match &service.files {
        None => !changed.is_empty(),
        Some(files) => files.iter().any(|file| {
            changed.contains(file.as_str())
                || fs::canonicalize(root.join(file))
                    .is_ok_and(|place| places.iter().any(|changed| changed.starts_with(&place)))
        }),
    };
    let asked = plan.services.iter().filter(|(name, service)| reads(service) || !same(name, service));
    asked.filter_map(|(name, service)| Some((name.as_str(), service.check.as_ref()?))).collect()
}

fn check(plan: &RunPlan, checks: &BTreeMap<&str, &Vec<String>>) -> Result<(), Error> {
    let mut problems = Vec::new();
    for (name, words) in checks {
        let problem = match command::run(plan, name, words, LIMIT) {
            Ok(output) if output.status.success() => continue,
            Ok(output) => format!("{}{}", ended(output.status), said(&output)),
            Err(error) => error.to_string(),
        };
        let text = format!("service `{name}` cannot take over the change: `{}` {problem}", words.join(" "));
        problems.extend(masked(text, &plan.mask).lines().map(str::to_owned));
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Checks(problems)) }
}

/// Returns the last lines of what a program wrote, each on a line of its own.
fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(MOST_LINES)..].iter().map(|line| format!("\n  {line}")).collect()
}
