//! What happens before any service starts: everything is resolved and checked first, then written.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use casque_format::digest::Digest;
use casque_format::image::{DataDirectory, ImagePlan, Template};
use casque_format::paths;
use casque_format::run::{AgentConfig, RunPlan};
use casque_format::settings::TIME_ZONE;
use casque_format::stamp::Stamp;
use fs_err as fs;
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use serde::Serialize;

use crate::backup;
use crate::directories::{self, Outcome};
use crate::env::Environment;
use crate::error::{Error, TemplateProblem};
use crate::exchange::{self, File};
use crate::hand_over;
use crate::logs::logs;
use crate::mounts;
use crate::plan::{self, Found};
use crate::preflight;
use crate::privileges;
use crate::render::Renderer;
use crate::root::Root;
use crate::seed;
use crate::settings::{self, Origin, Settings, Sources, Text, Value, secrets};
use crate::stamp::{self, StampError};
use crate::syslog;
use crate::tls::authorities::{self, Bundle};
use crate::tls::{self, Https, Moment};
use crate::write::{self, Access};

/// Where the image's time zones are, a file each.
const ZONES: &str = "/usr/share/zoneinfo";

/// Leaves the resolved plan in `/run/casque`; returns warnings for the operator. `running`: services read what is there, so
/// that what changes is checked first and stays what it was if a check says no.
pub fn prepare(
    root: &Root,
    environment: &Environment,
    now: i64,
    running: bool,
) -> Result<Vec<String>, Error> {
    // Whatever it was: the modes below are meant as they are written.
    umask(Mode::from_raw_mode(0o022));
    privileges::check()?;
    let plan = read_plan(root)?;
    let stamp = read_stamp(root, &plan)?;
    let mut settings = Sources::of(&plan, environment, root).resolve().map_err(Error::Settings)?;
    let candidates = candidates(root, &plan, &settings)?;
    set(&mut settings, &candidates);
    // Rendered once only to see that it can be: up to here nothing has been written.
    render(root, &plan.templates, &settings)?;
    let mut warnings = preflight::at_start(root, &plan, &settings, now)?;
    warnings.extend(mounts::warning(root));
    let https = tls::choose(Moment { root, now, running }, &plan, &settings, &mut warnings)?;
    let authorities = authorities::read(root, &mut warnings);

    check_writable(root, &plan)?;
    let user = stamp::User {
        product: &plan.product,
        migrations: plan::migrations(&plan, &settings),
        uid: geteuid().as_raw(),
    };
    stamp::write(root, user, stamp).map_err(Error::Stamp)?;
    // Read again: of two starts at the same time one made it.
    let stamp = stamp::read(root, &plan.product).map_err(Error::Stamp)?;
    let instance = stamp.map_or_else(String::new, |stamp| stamp.instance);
    warnings.extend(settings::warnings(&settings));
    warnings.extend(no_time_zone(root, &settings));
    for directory in &plan.data {
        warnings.extend(make(root, directory)?);
    }
    if syslog::room(&settings).is_some() {
        for directory in &syslog::directories(&plan) {
            warnings.extend(make(root, directory)?);
        }
    }
    for directory in &plan.persist {
        let seeded = seed::ensure(root, &directory.path);
        seeded.map_err(|source| Error::Seed { path: directory.path.clone(), source })?;
    }
    let kept = candidates.into_iter().map(|(name, candidate)| {
        let kept = secrets::keep(root, &name, &candidate);
        kept.map(|text| (name.clone(), text)).map_err(|source| Error::Secret { setting: name, source })
    });
    set(&mut settings, &kept.collect::<Result<Vec<_>, _>>()?);
    if plan.https_port.is_some() {
        // Where whoever runs this is told to put things.
        let directory = root.join(paths::AUTHORITIES);
        write::make_directory(&directory, 0o755)
            .map_err(|source| unusable(root, &plan, paths::AUTHORITIES, source))?;
    }
    if let Some(https) = &https {
        tls::keep(root, https).map_err(|source| unusable(root, &plan, paths::TLS_KEPT, source))?;
    }
    let (https, authorities) = (https.as_ref(), authorities.as_ref());
    let start = Start { environment, warnings: &warnings, instance: &instance, running, https, authorities };
    write_run(root, &plan, &settings, &start)?;
    Ok(warnings)
}

/// Reads the stamp of the volume, or refuses it: nothing has been written then.
pub fn read_stamp(root: &Root, plan: &ImagePlan) -> Result<Option<Stamp>, Error> {
    if backup::is_unfinished(root) {
        return Err(Error::Restoring);
    }
    let denied = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => unusable(root, plan, paths::STAMP, source),
        _ => Error::Stamp(StampError::Io(source)),
    };
    let stamp = match stamp::read(root, &plan.product) {
        Err(StampError::Io(source)) => return Err(denied(source)),
        read => read.map_err(Error::Stamp)?,
    };
    let uid = geteuid().as_raw();
    if let Some(stamp) = &stamp
        && let Some(refusal) = hand_over::judge(root, plan, stamp, uid).map_err(denied)?
    {
        return Err(Error::OtherUser { uid, refusal });
    }
    Ok(stamp)
}

/// Reads the plan that the build wrote.
pub fn read_plan(root: &Root) -> Result<ImagePlan, Error> {
    let path = root.join(paths::IMAGE_PLAN);
    let content = fs::read(&path).map_err(Error::Plan)?;
    serde_json::from_slice(&content).map_err(|source| Error::PlanSyntax { path, source })
}

/// Says that services cannot find the time zone they are told: without its file they take UTC for it, silently.
fn no_time_zone(root: &Root, settings: &Settings) -> Option<String> {
    let zone = settings.get(TIME_ZONE)?.text()?;
    let file = root.join(&format!("{ZONES}/{zone}"));
    (!file.exists()).then(|| format!("time zone `{zone}` is not in this image, so services take it for UTC"))
}

/// Makes a secret for every setting that wants one and has none yet.
fn candidates(root: &Root, plan: &ImagePlan, settings: &Settings) -> Result<Vec<(String, Text)>, Error> {
    let mut candidates = Vec::new();
    for (name, resolved) in settings {
        match resolved.value {
            Value::NotGenerated => {
                let candidate =
                    secrets::generate().map_err(|source| Error::Secret { setting: name.clone(), source })?;
                candidates.push((name.clone(), candidate));
            }
            Value::Hidden => {
                return Err(unusable(root, plan, paths::SECRETS, io::ErrorKind::PermissionDenied.into()));
            }
            // The secret stays what it was, under the setting's new name.
            Value::Known(ref text) if matches!(resolved.origin, Origin::GeneratedAs(_)) => {
                candidates.push((name.clone(), text.clone()));
            }
            Value::Unset | Value::Known(_) => {}
        }
    }
    Ok(candidates)
}

fn set(settings: &mut Settings, values: &[(String, Text)]) {
    for (name, text) in values {
        if let Some(resolved) = settings.get_mut(name) {
            resolved.value = Value::Known(text.clone());
        }
    }
}

/// Renders every marked file in memory, or returns everything that is wrong with them.
pub fn render<'a>(
    root: &Root,
    templates: &'a [Template],
    settings: &Settings,
) -> Result<Vec<(&'a Template, String)>, Error> {
    let renderer = Renderer::new(settings);
    let mut rendered = Vec::new();
    let mut problems = Vec::new();
    for template in templates {
        let path = || template.path.clone();
        match fs::read_to_string(root.join(&format!("{}{}", paths::TEMPLATES, template.path))) {
            Ok(text) => match renderer.render(&text) {
                Ok(text) => rendered.push((template, text)),
                Err(source) => problems.push(TemplateProblem::Render { path: path(), source }),
            },
            Err(source) => problems.push(TemplateProblem::Read { path: path(), source }),
        }
    }
    if problems.is_empty() { Ok(rendered) } else { Err(Error::Templates(problems)) }
}

/// Tries to write to the volume, so that a refusal is one line before anything starts.
fn check_writable(root: &Root, plan: &ImagePlan) -> Result<(), Error> {
    let own = root.join(paths::STAMP).parent().expect("the stamp is in a directory").to_owned();
    let tried = write::make_directory(&own, 0o755).and_then(|()| write::probe(&own));
    tried.map_err(|source| unusable(root, plan, paths::DATA, source))
}

/// Says who owns what this user may not use, and how it is handed over.
pub fn unusable(root: &Root, plan: &ImagePlan, path: &str, source: io::Error) -> Error {
    let uid = geteuid().as_raw();
    let owner = fs::metadata(root.join(path)).or_else(|_| fs::metadata(root.join(paths::DATA)));
    let data = paths::DATA;
    let remedy = match (source.kind(), owner) {
        (io::ErrorKind::ReadOnlyFilesystem, _) => format!("mount a writable volume with `-v NAME:{data}`"),
        (io::ErrorKind::PermissionDenied, Ok(owner)) => format!(
            "it belongs to uid {}, hand it over once with `{}`",
            owner.uid(),
            hand_over::line(plan, uid)
        ),
        _ => "the volume must be a directory that this user can write".to_owned(),
    };
    Error::Volume { path: path.to_owned(), uid, source: bare(source), remedy }
}

/// Returns an error without the path that was put around it, for messages that name the path themselves.
pub fn bare(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.source()).and_then(|source| source.downcast_ref());
    let code = inner.map_or_else(|| error.raw_os_error(), io::Error::raw_os_error);
    code.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

fn make(root: &Root, directory: &DataDirectory) -> Result<Option<String>, Error> {
    let outcome = directories::ensure(root, directory, geteuid().is_root()).map_err(Error::Directory)?;
    Ok(match outcome {
        Outcome::Good => None,
        Outcome::OtherOwner => Some(format!(
            "`{}` should belong to uid {} and could not be given to it",
            directory.path, directory.uid
        )),
        Outcome::Link => Some(format!("`{}` is behind a link and was left as it is", directory.path)),
    })
}

/// What only this start knows.
struct Start<'a> {
    environment: &'a Environment,
    warnings: &'a [String],
    instance: &'a str,
    running: bool,
    https: Option<&'a Https>,
    authorities: Option<&'a Bundle>,
}

/// Writes everything below `/run/casque` but the sockets; the plan comes last.
fn write_run(root: &Root, plan: &ImagePlan, settings: &Settings, start: &Start) -> Result<(), Error> {
    let rendered = render(root, &plan.templates, settings)?;
    let found = Found {
        environment: start.environment,
        logs: logs(plan, settings),
        https: start.https,
        authorities: start.authorities,
    };
    let run_plan = plan::run_plan(plan, settings, found);
    let configuration = configuration(&run_plan, &rendered);
    let run = root.join(paths::RUN);
    make_directories(&run)?;
    // Two at the same time would remove each other's temporary files.
    let _locked = write::lock(&run).map_err(|source| Error::Run { path: run, source })?;
    let below = root.join(paths::RENDERED);
    make_directories(&below)?;
    let place = |template: &Template| root.join(&format!("{}{}", paths::RENDERED, template.path));
    let files: BTreeSet<PathBuf> = rendered.iter().map(|(template, _)| place(template)).collect();
    remove_others(&below, &files).map_err(|source| Error::Run { path: below.clone(), source })?;
    let mut files = Vec::new();
    for (template, text) in &rendered {
        let path = place(template);
        make_directories(path.parent().unwrap_or(&below))?;
        let access = Access::handed_to(template.uid, template.gid, template.mode);
        files.push(File { name: &template.path, path, content: text, access });
    }
    let of_https = tls::files(plan, settings, start.https, start.authorities);
    for (name, content, access) in &of_https {
        let path = root.join(name);
        make_directories(path.parent().unwrap_or(&below))?;
        files.push(File { name, path, content, access: *access });
    }
    match start.running {
        true => exchange::exchange(root, &files, &run_plan)?,
        false => files.iter().try_for_each(File::write)?,
    }

    let agent = &plan.agent;
    let directory = paths::AGENT_CONFIG.rsplit_once('/').map_or(paths::RUN, |(directory, _)| directory);
    let directory = DataDirectory { path: directory.to_owned(), uid: agent.uid, gid: agent.gid, mode: 0o755 };
    make(root, &directory)?;
    let config = AgentConfig {
        warnings: start.warnings.to_vec(),
        instance: start.instance.to_owned(),
        configuration,
        syslog: syslog::receiver(settings, start.authorities.map(|bundle| bundle.path.as_str())),
        ..plan::agent_config(plan, settings, start.https)
    };
    write_json(&root.join(paths::AGENT_CONFIG), &config, Access::handed_to(agent.uid, agent.gid, 0o600))?;
    write_json(&root.join(paths::RUN_PLAN), &run_plan, Access::PRIVATE)
}

/// Returns a digest of everything that services are told. The random token of the status is in it, so nobody can guess
/// a password by it.
fn configuration(plan: &RunPlan, rendered: &[(&Template, String)]) -> String {
    let mut all = serde_json::to_vec(plan).unwrap_or_default();
    for (template, text) in rendered {
        all.extend(Digest::of(template.path.as_bytes()).to_string().bytes());
        all.extend(Digest::of(text.as_bytes()).to_string().bytes());
    }
    Digest::of(&all).to_string()
}

fn write_json(path: &Path, document: &impl Serialize, access: Access) -> Result<(), Error> {
    let written = serde_json::to_vec_pretty(document)
        .map_err(io::Error::from)
        .and_then(|content| write::replace(path, &content, access));
    written.map_err(|source| Error::Run { path: path.to_owned(), source: bare(source) })
}

fn make_directories(path: &Path) -> Result<(), Error> {
    let made = write::make_directory(path, 0o755);
    made.map_err(|source| Error::Run { path: path.to_owned(), source: bare(source) })
}

/// Removes what an earlier start rendered and this one does not. What stays is replaced file by
/// file, since services may be running when settings are applied anew.
fn remove_others(directory: &Path, files: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let is_directory = entry.file_type()?.is_dir();
        let holds_some = files.iter().any(|file| file != &path && file.starts_with(&path));
        match (is_directory, holds_some) {
            (true, true) => remove_others(&path, files)?,
            (true, false) => fs::remove_dir_all(&path)?,
            (false, _) if !files.contains(&path) => fs::remove_file(&path)?,
            (false, _) => {}
        }
    }
    Ok(())
}
