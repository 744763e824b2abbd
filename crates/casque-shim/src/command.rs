//! Which of its many names the shim was called by.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::env::Environment;
use crate::error::ShimError;
use crate::step::Step;
use crate::{host, service_command, sudo, supervisorctl, systemctl, ui};

const USAGE: &str = "usage: casque-shim step --state DIR [--take-over] -- COMMAND...";

/// Runs as what `arguments[0]` names.
pub(crate) fn run(arguments: Vec<OsString>, environment: &Environment) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let called = arguments.next().unwrap_or_default();
    let name = PathBuf::from(&called)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let words: Vec<String> = rest.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let result = match name.as_str() {
        "systemctl" => systemctl::run(&words, environment),
        // The maintainer scripts' form of it has the same words and asks the policy first.
        "deb-systemd-invoke" => systemctl::invoke(&words, environment),
        "service" => service_command::run(&words, environment),
        "supervisorctl" => supervisorctl::run(&words, environment),
        "supervisord" => supervisorctl::daemon(&words, environment),
        "sudo" => sudo::run(&words, environment),
        "hostnamectl" => host::hostnamectl(&words, environment),
        "timedatectl" => host::timedatectl(&words, environment),
        "journalctl" => host::journalctl(&words, environment),
        "loginctl" => host::loginctl(&words, environment),
        "sysctl" => host::sysctl(&words, environment),
        "ufw" => host::ufw(&words, environment),
        "policy-rc.d" => return ExitCode::from(if environment.passive { 101 } else { 0 }),
        "initctl" | "telinit" | "runlevel" => {
            Err(ShimError::Usage(format!("`{name}` has no meaning during the build")))
        }
        _ => step(rest, environment),
    };
    result.unwrap_or_else(|error| {
        ui::err(&format!("{name}: {}", error.line()));
        ExitCode::FAILURE
    })
}

fn step(arguments: Vec<OsString>, environment: &Environment) -> Result<ExitCode, ShimError> {
    let usage = || ShimError::Usage(USAGE.to_owned());
    let mut arguments = arguments.into_iter();
    if arguments.next().is_none_or(|verb| verb != "step") {
        return Err(usage());
    }
    let mut state = None;
    let mut take_over = false;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--state") => state = arguments.next().map(PathBuf::from),
            Some("--take-over") => take_over = true,
            Some("--") => break,
            _ => return Err(usage()),
        }
    }
    let step = Step {
        root: environment.root.clone(),
        state: state.ok_or_else(usage)?,
        take_over,
        command: arguments.collect(),
    };
    step.run()
}
