//! The verbs that only show something.

use std::process::ExitCode;

use super::options::Options;
use super::{NO_SUCH_UNIT, NOT_RUNNING, States, active, always_active, state_of, unit_file_state, words};
use crate::enabling;
use crate::env::Environment;
use crate::error::ShimError;
use crate::programs::matches;
use crate::protocol::State;
use crate::unit_files::{self, Found, full_name};
use crate::{root::Root, ui};

/// Prints properties as `Key=value` lines.
pub(super) fn show(
    units: &[String],
    options: &Options,
    environment: &Environment,
) -> Result<ExitCode, ShimError> {
    let states = States::ask(environment)?;
    let manager = [("Version", "252 (casque)"), ("SystemState", "running")];
    if units.is_empty() {
        for (key, value) in manager {
            print(key, value, options);
        }
    }
    for (index, unit) in units.iter().enumerate() {
        if index > 0 {
            ui::out("");
        }
        let known = properties(unit, &states, environment);
        if options.properties.is_empty() {
            known.iter().for_each(|(key, value)| print(key, value, options));
        }
        for wanted in &options.properties {
            // A property that no unit has is left out, as by the real tool.
            if let Some((key, value)) = known.iter().find(|(key, _)| key == wanted) {
                print(key, value, options);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(key: &str, value: &str, options: &Options) {
    if !options.properties.is_empty() && !options.properties.iter().any(|wanted| wanted == key) {
        return;
    }
    ui::out(&if options.value { value.to_owned() } else { format!("{key}={value}") });
}

fn properties(unit: &str, states: &States, environment: &Environment) -> Vec<(&'static str, String)> {
    let root = &environment.root;
    let found = unit_files::find(root, unit);
    let (name, state, info) = state_of(unit, states, environment);
    let (active_state, sub_state) = words(state);
    let (load_state, file) = match &found {
        None if always_active(&name) => ("loaded", String::new()),
        None => ("not-found", String::new()),
        Some(Found::Masked { file }) => ("masked", file.clone()),
        Some(Found::Unit { file, .. } | Found::Script { file }) => ("loaded", file.clone()),
    };
    let pid = info.as_ref().and_then(|info| info.pid).unwrap_or(0);
    let loaded = unit_files::load(root, &name);
    let service = loaded.as_ref().ok().map(|loaded| &loaded.translated);
    let command = service.map(|service| service.service.command.join(" ")).unwrap_or_default();
    let program = service.and_then(|service| service.service.command.first().cloned()).unwrap_or_default();
    let reloads = service.is_some_and(|service| !service.reload.is_empty());
    let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let names = if name == unit { name.clone() } else { format!("{name} {unit}") };
    let script = matches!(found, Some(Found::Script { .. }));
    let mut properties = vec![
        (
            "Type",
            value_of(root, &name, &file, "Service", "Type")
                .unwrap_or_else(|| if script { "forking" } else { "simple" }.to_owned()),
        ),
        ("Restart", value_of(root, &name, &file, "Service", "Restart").unwrap_or_else(|| "no".to_owned())),
        ("PIDFile", value_of(root, &name, &file, "Service", "PIDFile").unwrap_or_default()),
        ("MainPID", pid.to_string()),
        ("ControlPID", "0".to_owned()),
        ("Result", if state == State::Failed { "exit-code" } else { "success" }.to_owned()),
        ("ExecMainPID", pid.to_string()),
        ("User", service.and_then(|service| service.user.clone()).unwrap_or_default()),
        ("Group", service.and_then(|service| service.group.clone()).unwrap_or_default()),
        (
            "WorkingDirectory",
            service.and_then(|service| service.service.working_directory.clone()).unwrap_or_default(),
        ),
        ("Id", name.clone()),
        ("Names", names),
        ("Description", value_of(root, &name, &file, "Unit", "Description").unwrap_or_else(|| name.clone())),
        ("LoadState", load_state.to_owned()),
        ("ActiveState", active_state.to_owned()),
        ("SubState", sub_state.to_owned()),
        ("FragmentPath", if script { String::new() } else { file.clone() }),
        ("SourcePath", if script { file } else { String::new() }),
        ("UnitFileState", unit_file_state(&name, environment).to_owned()),
        ("UnitFilePreset", if found.is_some() { "enabled" } else { "" }.to_owned()),
        ("CanStart", yes(found.is_some())),
        ("CanStop", yes(found.is_some())),
        ("CanReload", yes(reloads)),
        ("NeedDaemonReload", "no".to_owned()),
        ("Triggers", String::new()),
        ("TriggeredBy", String::new()),
    ];
    if !program.is_empty() {
        properties.push(("ExecStart", format!("{{ path={program} ; argv[]={command} ; ignore_errors=no }}")));
    }
    if let (Err(error), Some(Found::Unit { .. }), true) = (&loaded, &found, name.ends_with(".service")) {
        properties.push(("LoadError", error.line()));
    }
    properties
}

fn value_of(root: &Root, name: &str, file: &str, section: &str, key: &str) -> Option<String> {
    if file.is_empty() || file.starts_with("/etc/init.d/") {
        return None;
    }
    unit_files::read(root, name, file).ok()?.value(section, key).map(str::to_owned)
}

/// Prints what a person wants to know.
pub(super) fn status(
    units: &[String],
    options: &Options,
    environment: &Environment,
) -> Result<ExitCode, ShimError> {
    let states = States::ask(environment)?;
    if units.is_empty() {
        ui::out("● build");
        ui::out("    State: running");
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = 0;
    for unit in units {
        let (name, state, info) = state_of(unit, &states, environment);
        let Some(found) = unit_files::find(&environment.root, unit) else {
            ui::err(&format!("Unit {unit} could not be found."));
            code = NO_SUCH_UNIT;
            continue;
        };
        if !active(state) {
            code = code.max(NOT_RUNNING);
        }
        if options.quiet {
            continue;
        }
        let (Found::Unit { file, .. } | Found::Masked { file } | Found::Script { file }) = found;
        let description =
            value_of(&environment.root, &name, &file, "Unit", "Description").unwrap_or_else(|| name.clone());
        let (active_state, sub_state) = words(state);
        let dot = if active(state) { '●' } else { '○' };
        ui::out(&format!("{dot} {name} - {description}"));
        ui::out(&format!("     Loaded: loaded ({file}; {})", unit_file_state(&name, environment)));
        ui::out(&format!("     Active: {active_state} ({sub_state})"));
        if let Some(info) = info {
            if let Some(pid) = info.pid {
                ui::out(&format!("   Main PID: {pid}"));
            }
            if let Some(message) = info.message {
                ui::out(&format!("     Status: {message}"));
            }
            if !info.log.is_empty() {
                ui::out("");
                info.log.iter().for_each(|line| ui::out(line));
            }
        }
    }
    Ok(ExitCode::from(code))
}

/// Prints the files of units.
pub(super) fn cat(units: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let mut code = ExitCode::SUCCESS;
    for unit in units {
        match unit_files::find(&environment.root, unit) {
            Some(Found::Unit { file, .. }) => {
                ui::out(&format!("# {file}"));
                let text = fs_err::read_to_string(environment.root.path(&file)).map_err(ShimError::File)?;
                ui::out(text.trim_end());
            }
            Some(Found::Masked { file } | Found::Script { file }) => ui::out(&format!("# {file}")),
            None => {
                ui::err(&format!("No files found for {unit}."));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Prints units that are active, with `--all` every one that was touched.
pub(super) fn list_units(options: &Options, environment: &Environment) -> Result<ExitCode, ShimError> {
    let states = States::ask(environment)?;
    let mut count = 0;
    if !options.no_legend {
        ui::out("  UNIT LOAD ACTIVE SUB DESCRIPTION");
    }
    for service in &states.services {
        // A program of supervisor is no unit.
        let Some(Found::Unit { file, .. } | Found::Script { file }) =
            unit_files::find(&environment.root, &service.unit)
        else {
            continue;
        };
        let (active_state, sub_state) = words(service.state);
        let shown = (options.all || service.state != State::Inactive)
            && wanted(&service.unit, options)
            && (options.states.is_empty()
                || options.states.iter().any(|state| [active_state, sub_state].contains(&state.as_str())));
        if shown {
            let description =
                value_of(&environment.root, &service.unit, &file, "Unit", "Description").unwrap_or_default();
            ui::out(&format!("  {} loaded {active_state} {sub_state} {description}", service.unit));
            count += 1;
        }
    }
    if !options.no_legend {
        ui::out(&format!("\n{count} loaded units listed."));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints unit files and whether they are enabled.
pub(super) fn list_unit_files(options: &Options, environment: &Environment) -> Result<ExitCode, ShimError> {
    let mut count = 0;
    if !options.no_legend {
        ui::out(&format!("{:<40} {:<15} {}", "UNIT FILE", "STATE", "PRESET"));
    }
    for unit in unit_files::all(&environment.root) {
        let Some(state) = enabling::state(&environment.root, &unit)? else { continue };
        let shown = options.states.is_empty() || options.states.iter().any(|wanted| wanted == state.word());
        if shown && wanted(&unit, options) {
            ui::out(&format!("{unit:<40} {:<15} enabled", state.word()));
            count += 1;
        }
    }
    if !options.no_legend {
        ui::out(&format!("\n{count} unit files listed."));
    }
    let found = count > 0 || options.names.is_empty();
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wanted(unit: &str, options: &Options) -> bool {
    let kind = unit.rsplit('.').next().unwrap_or_default();
    (options.types.is_empty() || options.types.iter().any(|wanted| wanted == kind))
        && (options.names.is_empty() || options.names.iter().any(|name| matches(&full_name(name), unit)))
}
