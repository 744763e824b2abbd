//! Settings, templates and the status page beside PID 1, and the customer's command.

mod backup;
mod bundle;
mod certificates;
mod cli;
mod command;
mod control;
mod directories;
mod env;
mod error;
mod exchange;
mod external;
mod filters;
mod hand_over;
mod logs;
mod mounts;
mod names;
mod plan;
mod preflight;
mod prepare;
mod privileges;
mod render;
mod root;
mod run;
mod seed;
mod serve;
mod settings;
mod smtp;
mod stamp;
mod sys;
mod syslog;
mod tls;
mod ui;
mod update;
mod volume;
mod words;
mod write;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use env::Environment;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(run::run(&arguments, &Environment::of_process(), seconds))
}

/// Returns the time in seconds since 1970.
fn seconds() -> i64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    i64::try_from(time).unwrap_or(i64::MAX)
}
