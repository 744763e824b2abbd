//! `systemctl`, as far as installers use it; a verb it does not know is refused by name.

mod options;
mod show;

use std::process::ExitCode;

use self::options::Options;
use crate::client;
use crate::enabling::{self, Enabled};
use crate::env::Environment;
use crate::error::ShimError;
use crate::presets;
use crate::programs::matches;
use crate::protocol::{Reply, Request, ServiceInfo, State, UnitVerb};
use crate::ui;
use crate::unit_files::{self, Found, full_name};

/// Exit codes of the real tool.
const NOT_RUNNING: u8 = 3;
const NO_SUCH_UNIT: u8 = 4;
const UNIT_NOT_LOADED: u8 = 5;

/// Answers as `deb-systemd-invoke` does.
pub(crate) fn invoke(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    // It exists for maintainer scripts alone, and those start nothing; called by a vendor's script, it does.
    let words: Vec<String> = words.iter().filter(|word| *word != "--system").cloned().collect();
    if words.first().is_some_and(|word| word == "--user") {
        return Ok(ExitCode::SUCCESS);
    }
    run(&words, environment)
}

/// Answers as `systemctl` does.
pub(crate) fn run(words: &[String], environment: &Environment) -> Result<ExitCode, ShimError> {
    let options = Options::read(words)?;
    if options.version {
        ui::out("systemd 252 (casque)");
        return Ok(ExitCode::SUCCESS);
    }
    let elsewhere;
    let environment = match &options.root {
        None => environment,
        Some(root) => {
            elsewhere = Environment { root: environment.root.below(root), ..environment.clone() };
            &elsewhere
        }
    };
    let verb = options.verb.as_str();
    match verb {
        "daemon-reload" | "daemon-reexec" | "reset-failed" => return Ok(ExitCode::SUCCESS),
        "is-system-running" => {
            if !options.quiet {
                ui::out("running");
            }
            return Ok(ExitCode::SUCCESS);
        }
        "get-default" => {
            ui::out("multi-user.target");
            return Ok(ExitCode::SUCCESS);
        }
        "list-jobs" => {
            ui::out("No jobs running.");
            return Ok(ExitCode::SUCCESS);
        }
        "list-timers" | "list-sockets" => {
            ui::out(&format!("0 {} listed.", &verb[5..]));
            return Ok(ExitCode::SUCCESS);
        }
        "list-units" => return show::list_units(&options, environment),
        "list-unit-files" => return show::list_unit_files(&options, environment),
        _ => {}
    }
    let units = options.units(environment);
    match verb {
        "start"
        | "stop"
        | "restart"
        | "reload"
        | "try-restart"
        | "reload-or-restart"
        | "try-reload-or-restart"
        | "reload-or-try-restart"
        | "force-reload"
        | "condrestart" => {
            need(&units)?;
            change_all(verb, &units, &options, environment)
        }
        "kill" => {
            need(&units)?;
            kill(&units, &options, environment)
        }
        "enable" | "disable" | "reenable" | "preset" | "mask" | "unmask" => {
            need(&units)?;
            install(verb, &units, &options, environment)
        }
        "is-enabled" => is_enabled(&units, &options, environment),
        "is-active" | "is-failed" => is_state(verb, &units, &options, environment),
        "status" => show::status(&units, &options, environment),
        "show" => show::show(&units, &options, environment),
        "cat" => show::cat(&units, environment),
        unknown => Err(ShimError::Usage(format!("`{unknown}` is not a verb that works during the build"))),
    }
}

fn need(units: &[String]) -> Result<(), ShimError> {
    if units.is_empty() { Err(ShimError::Usage("Too few arguments.".to_owned())) } else { Ok(()) }
}

/// What runs, as the step's first process knows it.
#[derive(Debug, Default)]
pub(crate) struct States {
    services: Vec<ServiceInfo>,
    supervisor: bool,
    marked: Vec<String>,
}

impl States {
    /// Asks; where nothing is started, nothing runs.
    pub(crate) fn ask(environment: &Environment) -> Result<Self, ShimError> {
        match client::ask(environment, &Request::Services) {
            Ok(Reply::Services { services, supervisor, marked }) => Ok(Self { services, supervisor, marked }),
            Ok(_) => Err(ShimError::Answer),
            Err(ShimError::NoManager { .. }) if environment.passive => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Says whether a unit, by its own name, counts as active.
    pub(crate) fn is_active(&self, unit: &str) -> bool {
        self.service(unit).is_some_and(|service| active(service.state))
    }

    fn service(&self, unit: &str) -> Option<&ServiceInfo> {
        self.services.iter().find(|service| service.unit == unit)
    }
}

fn active(state: State) -> bool {
    matches!(state, State::Running | State::Exited | State::Reloading)
}

/// Returns what the real tool calls a state: `ActiveState` and `SubState`.
fn words(state: State) -> (&'static str, &'static str) {
    match state {
        State::Inactive => ("inactive", "dead"),
        State::Starting => ("activating", "start"),
        State::Running => ("active", "running"),
        State::Exited => ("active", "exited"),
        State::Reloading => ("reloading", "reload"),
        State::Backoff => ("activating", "auto-restart"),
        State::Stopping => ("deactivating", "stop-sigterm"),
        State::Failed => ("failed", "failed"),
    }
}

/// Returns the own name of a unit and its state.
fn state_of(unit: &str, states: &States, environment: &Environment) -> (String, State, Option<ServiceInfo>) {
    let name = match unit_files::find(&environment.root, unit) {
        Some(Found::Unit { name, .. }) => name,
        _ => unit.to_owned(),
    };
    if let Some(service) = states.service(&name) {
        return (name, service.state, Some(service.clone()));
    }
    let supervisor = states.supervisor
        && unit_files::load(&environment.root, &name).is_ok_and(|loaded| unit_files::is_supervisor(&loaded));
    let marked = states.marked.contains(&name);
    let state = match supervisor || marked || always_active(&name) {
        true => State::Running,
        false => State::Inactive,
    };
    (name, state, None)
}

/// Targets that have been reached on any running system.
fn always_active(unit: &str) -> bool {
    let reached = [
        "basic.target",
        "local-fs.target",
        "multi-user.target",
        "network.target",
        "network-online.target",
        "remote-fs.target",
        "sysinit.target",
        "default.target",
    ];
    reached.contains(&unit)
}

fn change_all(
    verb: &str,
    units: &[String],
    options: &Options,
    environment: &Environment,
) -> Result<ExitCode, ShimError> {
    if environment.passive {
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for unit in units {
        match change(verb, unit, options, environment)? {
            0 => {}
            failed => code = ExitCode::from(failed),
        }
    }
    Ok(code)
}

fn change(verb: &str, unit: &str, options: &Options, environment: &Environment) -> Result<u8, ShimError> {
    let root = &environment.root;
    let stops = verb == "stop";
    match unit_files::find(root, unit) {
        None if always_active(unit) => return Ok(0),
        None => {
            let word = if stops { "stop" } else { verb };
            ui::err(&format!(
                "Failed to {word} {unit}: Unit {unit} not {}.",
                if stops { "loaded" } else { "found" }
            ));
            return Ok(UNIT_NOT_LOADED);
        }
        Some(Found::Masked { .. }) if !stops => {
            ui::err(&format!("Failed to {verb} {unit}: Unit {unit} is masked."));
            return Ok(1);
        }
        _ => {}
    }
    if !unit.ends_with(".service") {
        // Timers, sockets and targets do nothing that a build could wait for.
        client::ask(environment, &Request::Mark { unit: unit.to_owned(), active: !stops })?;
        return Ok(0);
    }
    let states = States::ask(environment)?;
    let (name, state, _) = state_of(unit, &states, environment);
    let running = active(state) || matches!(state, State::Starting | State::Backoff);
    let reloads =
        || -> bool { unit_files::load(root, &name).is_ok_and(|loaded| !loaded.translated.reload.is_empty()) };
    let verb = match verb {
        "start" => UnitVerb::Start,
        "stop" => UnitVerb::Stop,
        "restart" => UnitVerb::Restart,
        "try-restart" | "condrestart" | "try-reload-or-restart" | "reload-or-try-restart" if !running => {
            return Ok(0);
        }
        "try-restart" | "condrestart" => UnitVerb::Restart,
        "reload" if !running => {
            ui::err(&format!("{name} is not active, cannot reload."));
            return Ok(1);
        }
        "reload" if !reloads() => {
            ui::err(&format!("Failed to reload {name}: Job type reload is not applicable for unit {name}."));
            return Ok(1);
        }
        "reload" => UnitVerb::Reload,
        _ if running && reloads() => UnitVerb::Reload,
        _ => UnitVerb::Restart,
    };
    let request = Request::Unit { verb, unit: name.clone() };
    if options.no_block {
        client::tell(environment, &request)?;
        return Ok(0);
    }
    match client::ask(environment, &request)? {
        Reply::Done => Ok(0),
        Reply::Denied => {
            ui::err(&format!("Failed to change {name}: Access denied"));
            Ok(NO_SUCH_UNIT)
        }
        Reply::Failed { message, log } => {
            ui::err(&format!("Job for {name} failed: {message}"));
            for line in log {
                ui::err(&format!("  {line}"));
            }
            Ok(1)
        }
        _ => Err(ShimError::Answer),
    }
}

fn kill(units: &[String], options: &Options, environment: &Environment) -> Result<ExitCode, ShimError> {
    let given = options.signal.as_deref().unwrap_or("TERM");
    let signal = casque_units::signal_name(given)
        .ok_or_else(|| ShimError::Usage(format!("Failed to parse signal string {given}.")))?;
    let mut code = ExitCode::SUCCESS;
    for unit in units {
        let request = Request::Kill { unit: unit.clone(), signal: signal.to_owned() };
        if let Reply::Failed { message, .. } = client::ask(environment, &request)? {
            ui::err(&format!("Failed to kill unit {unit}: {message}"));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn install(
    verb: &str,
    units: &[String],
    options: &Options,
    environment: &Environment,
) -> Result<ExitCode, ShimError> {
    let root = &environment.root;
    let mut code = ExitCode::SUCCESS;
    for unit in units {
        let result = match verb {
            "enable" => enabling::enable(root, unit),
            "preset" => match (presets::is_enabled(root, unit), options.preset_mode.as_deref()) {
                (true, Some("disable-only")) | (false, Some("enable-only")) => Ok(Vec::new()),
                (true, _) => enabling::enable(root, unit),
                (false, _) => enabling::disable(root, unit),
            },
            "disable" => enabling::disable(root, unit),
            "reenable" => enabling::disable(root, unit).and_then(|mut lines| {
                lines.extend(enabling::enable(root, unit)?);
                Ok(lines)
            }),
            "mask" => enabling::mask(root, unit),
            _ => enabling::unmask(root, unit),
        };
        match result {
            Ok(lines) if options.quiet => drop(lines),
            Ok(lines) => lines.iter().for_each(|line| ui::err(line)),
            Err(error @ (ShimError::NoUnit(_) | ShimError::Masked(_))) => {
                let reason =
                    if matches!(error, ShimError::NoUnit(_)) { "does not exist" } else { "is masked" };
                ui::err(&format!("Failed to {verb} unit: Unit file {unit} {reason}."));
                code = ExitCode::FAILURE;
            }
            Err(error) => return Err(error),
        }
    }
    let now = match verb {
        "enable" | "reenable" => "start",
        _ => "stop",
    };
    if options.now && code == ExitCode::SUCCESS {
        return change_all(now, units, options, environment);
    }
    Ok(code)
}

fn is_enabled(units: &[String], options: &Options, environment: &Environment) -> Result<ExitCode, ShimError> {
    need(units)?;
    let mut success = false;
    for unit in units {
        match enabling::state(&environment.root, unit)? {
            Some(state) => {
                success |= state.is_success();
                if !options.quiet {
                    ui::out(state.word());
                }
            }
            None => ui::err(&format!("Failed to get unit file state for {unit}: No such file or directory")),
        }
    }
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_state(
    verb: &str,
    units: &[String],
    options: &Options,
    environment: &Environment,
) -> Result<ExitCode, ShimError> {
    let states = States::ask(environment)?;
    let mut success = false;
    for unit in units {
        let (_, state, _) = state_of(unit, &states, environment);
        success |= if verb == "is-active" { active(state) } else { state == State::Failed };
        if !options.quiet {
            ui::out(words(state).0);
        }
    }
    Ok(if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(if verb == "is-active" { NOT_RUNNING } else { 1 })
    })
}

/// Returns `UnitFileState` as `show` prints it.
fn unit_file_state(unit: &str, environment: &Environment) -> &'static str {
    match enabling::state(&environment.root, unit) {
        Ok(Some(Enabled::Script { .. })) => "generated",
        Ok(Some(state)) => state.word(),
        Ok(None) | Err(_) => "",
    }
}

impl Options {
    /// Returns the full names of the units named, patterns replaced by what they match.
    fn units(&self, environment: &Environment) -> Vec<String> {
        let mut units = Vec::new();
        for name in &self.names {
            if name.contains(['*', '?', '[']) {
                let all = unit_files::all(&environment.root);
                units.extend(all.into_iter().filter(|unit| matches(&full_name(name), unit)));
            } else {
                units.push(full_name(name));
            }
        }
        units
    }
}
