//! `service NAME VERB`.

use std::process::{Command, ExitCode};

use fs_err as fs;

use crate::env::Environment;
use crate::error::ShimError;
use crate::root::Root;
use crate::{systemctl, ui};

const USAGE: &str =
    "Usage: service < option > | --status-all | [ service_name [ command | --full-restart ] ]";
/// Verbs that mean the same for a unit.
const SHARED: [&str; 9] = [
    "start",
    "stop",
    "restart",
    "status",
    "reload",
    "force-reload",
    "try-restart",
    "reload-or-restart",
    "condrestart",
];

/// Answers as the real tool does.
pub(crate) fn run(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let [name, rest @ ..] = words else {
        ui::err(USAGE);
        return Ok(ExitCode::FAILURE);
    };
    match (name.as_str(), rest) {
        ("--version" | "-V", _) => {
            ui::out("service ver. 1.65.2 (casque)");
            Ok(ExitCode::SUCCESS)
        }
        ("--help" | "-h", _) | (_, []) if name != "--status-all" => {
            ui::err(USAGE);
            Ok(if name.starts_with('-') { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ("--status-all", _) => status_all(environment),
        (name, [verb, arguments @ ..]) => one(name, verb, arguments, environment),
        _ => Ok(ExitCode::FAILURE),
    }
}

fn one(
    name: &str,
    verb: &str,
    arguments: &[String],
    environment: &Environment,
) -> Result<ExitCode, ShimError> {
    let unit = format!("{}.service", name.strip_suffix(".sh").unwrap_or(name).trim_end_matches(".service"));
    if verb == "--full-restart" {
        // As the real tool: what cannot be stopped may still be started.
        systemctl::run(&["stop".to_owned(), unit.clone()], environment)?;
        return systemctl::run(&["start".to_owned(), unit], environment);
    }
    if SHARED.contains(&verb) {
        if crate::unit_files::find(&environment.root, &unit).is_none() {
            ui::err(&format!("{name}: unrecognized service"));
            return Ok(ExitCode::FAILURE);
        }
        let verb = match verb {
            "force-reload" => "reload-or-restart",
            "condrestart" => "try-restart",
            other => other,
        };
        return systemctl::run(&[verb.to_owned(), unit], environment);
    }
    // Anything else is the init script's own business.
    let script = format!("/etc/init.d/{name}");
    if !environment.root.path(&script).is_file() {
        ui::err(&format!("{name}: unrecognized service"));
        return Ok(ExitCode::FAILURE);
    }
    let status = Command::new(environment.root.path(&script)).arg(verb).args(arguments).status();
    let status = status.map_err(|source| ShimError::System { action: "run the init script", source })?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

fn status_all(environment: &Environment) -> Result<ExitCode, ShimError> {
    let known = systemctl::States::ask(environment)?;
    for name in scripts(&environment.root) {
        let active = known.is_active(&format!("{name}.service"));
        ui::out(&format!(" [ {} ]  {name}", if active { "+" } else { "-" }));
    }
    Ok(ExitCode::SUCCESS)
}

fn scripts(root: &Root) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.path("/etc/init.d")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.contains('.') && name != "README")
        .collect();
    names.sort();
    names
}
