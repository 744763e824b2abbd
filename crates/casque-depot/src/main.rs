//! The download host's program.

mod cli;
mod commands;
mod env;
mod ui;

use std::process::ExitCode;
use std::time::SystemTime;

use casque_depot::config::Config;
use clap::Parser as _;

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (variables, file) = env::read();
    let file = cli.config.clone().or(file);
    let result = match Config::read(file.as_deref(), &variables) {
        Ok(config) => commands::run(cli.command, config, SystemTime::now),
        Err(error) => Err(("cannot start".to_owned(), error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, error)) => {
            ui::note(&error.text(&what));
            ExitCode::from(error.code() as u8)
        }
    }
}
