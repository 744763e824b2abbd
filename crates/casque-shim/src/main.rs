//! Stands in for the service managers while a vendor's step runs in the build; never shipped.
//!
//! Called by its own name it is the first process of the step, which owns the services. Called as
//! `systemctl`, `service`, `supervisorctl`, ... it asks that process and answers as the real tool does.

mod accounts;
mod client;
mod command;
mod enabling;
mod env;
mod error;
mod generators;
mod host;
mod machine;
mod manager;
mod presets;
mod procfs;
mod programs;
mod protocol;
mod root;
mod service;
mod service_command;
mod spawn;
mod step;
mod sudo;
mod supervisor;
mod supervisorctl;
mod sys;
mod systemctl;
mod take_over;
mod ui;
mod unit_files;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run(std::env::args_os().collect(), &env::Environment::read())
}
