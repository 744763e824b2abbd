//! The vendor's command line.

mod cli;
mod commands;
mod context;
mod doctor;
mod env;
mod error;
mod licences;
mod passphrase;
mod release;
mod rights;
mod run;
mod seal;
mod secrets;
mod ui;

use std::process::ExitCode;
use std::time::SystemTime;

use casque_sandbox::{Helper, Sandbox};
use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::env::Environment;
use crate::error::Failure;
use crate::ui::Ui;

fn main() -> ExitCode {
    if let Some(code) = casque_sandbox::helper_main() {
        return code;
    }
    let cli = Cli::parse();
    // Before there is a second thread: threads started earlier would stay behind.
    let taken = rights::take(cli.command.rights());
    let context = Context {
        environment: Environment::read(),
        ui: Ui::new(cli.events_as_json()),
        sandbox: Sandbox::new(Helper::this_program()),
        now: SystemTime::now(),
        clock: SystemTime::now,
        program: std::env::current_exe().unwrap_or_default(),
        cache: cli.cache,
    };
    let result = match taken {
        Ok(()) => carry_out(&cli.command, &context),
        Err(error) => commands::doctor::refused(&cli.command, &error, &context),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            context.ui.error(&failure);
            ExitCode::from(failure.code as u8)
        }
    }
}

fn carry_out(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    if command.keeps_trees() && casque_sandbox::is_root() {
        rights::claim(context.cache_directory())?;
    }
    match command {
        Command::Init(arguments) => commands::init::run(arguments, context).map(done),
        Command::Check(arguments) => commands::check::run(arguments, context).map(done),
        Command::Lock(arguments) => commands::lock::run(arguments, context).map(done),
        Command::Fetch(arguments) => commands::fetch::run(arguments, context).map(done),
        Command::Build(arguments) => commands::build::run(arguments, context).map(done),
        Command::Cache(arguments) => commands::cache::run(arguments, context).map(done),
        Command::Inspect(arguments) => commands::inspect::run(arguments, context).map(done),
        Command::Sbom(arguments) => commands::sbom::run(arguments, context).map(done),
        Command::Docs(arguments) => commands::docs::run(arguments, context).map(done),
        Command::Diff(arguments) => commands::diff::run(arguments, context),
        Command::Run(arguments) => commands::run::run(arguments, context),
        Command::Stop(arguments) => commands::stop::run(arguments, context),
        Command::Exec(arguments) => commands::exec::run(arguments, context),
        Command::Logs(arguments) => commands::logs::run(arguments, context).map(done),
        Command::Keygen(arguments) => commands::keygen::run(arguments, context).map(done),
        Command::Sign(arguments) => commands::sign::run(arguments, context).map(done),
        Command::Verify(arguments) => commands::verify::run(arguments, context).map(done),
        Command::Release(arguments) => commands::release::run(arguments, context),
        Command::Doctor(arguments) => commands::doctor::run(arguments, context),
    }
}
