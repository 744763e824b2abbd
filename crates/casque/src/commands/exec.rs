//! `casque exec`: one more command inside a container.

use std::process::ExitCode;

use clap::Args;

use crate::commands::run::{exit_code, exit_code_of, failure};
use crate::context::Context;
use crate::error::Failure;
use crate::run::error::RunError;
use crate::run::exec;
use crate::run::name::Name;
use crate::run::state::Home;

/// Run a command inside a container, and end with its code
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The container
    #[arg(value_name = "NAME")]
    name: Name,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<ExitCode, Failure> {
    let name = &arguments.name;
    let what = || format!("cannot run a command in `{name}`");
    let place = Home::new(&context.environment.state)
        .and_then(|home| home.known(name))
        .map_err(|error| failure(what(), &error))?;
    match exec::exec(&place, arguments.command.clone(), &context.sandbox) {
        Ok(exit) => Ok(exit_code_of(exit)),
        // Scripts know these codes from shells and engines: 127 not found, 126 not to be executed.
        Err(error @ RunError::Sandbox(casque_sandbox::Error::Command { .. })) => {
            context.ui.error(&failure(what(), &error));
            Ok(exit_code(if error.is_not_found() { 127 } else { 126 }))
        }
        Err(error) => Err(failure(what(), &error)),
    }
}
