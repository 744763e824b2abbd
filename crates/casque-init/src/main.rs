//! PID 1 of a casque image: starts, watches, restarts and stops its services.
//!
//! Without arguments it runs the image; with arguments it becomes the agent, which knows the words a
//! customer may say. Hidden: `--plan FILE --control SOCKET` runs a plan that is there already, with `--once DIRECTORY`,
//! `--rendered DIRECTORY` and `--lock FILE` in the place of those of an image.

mod arguments;
mod backoff;
mod chance;
mod control;
mod engine;
mod exit;
#[cfg(test)]
mod fuzz;
mod log;
mod net;
mod notify;
mod oom;
mod plan;
mod process_table;
mod ready;
mod run;
mod service;
mod signal;
mod spawn;
mod stop;
mod supervisor;
mod sys;
mod volume;
mod wall;

use std::process::ExitCode;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    run::close_inherited();
    let code = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Arguments::Run(options)) => run::run(&options),
        Ok(Arguments::Agent(words)) => run::become_agent(&words),
        Err(problem) => run::refuse(&problem),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
