//! Settings, templates and the status page beside PID 1, and the customer's command.

mod cli;
mod control;
mod directories;
mod env;
mod error;
mod filters;
mod logs;
mod mounts;
mod plan;
mod prepare;
mod render;
mod root;
mod run;
mod serve;
mod settings;
mod stamp;
mod sys;
mod ui;
mod words;
mod write;

use std::ffi::OsString;
use std::process::ExitCode;

use env::Environment;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(run::run(&arguments, &Environment::of_process()))
}
