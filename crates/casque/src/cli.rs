//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// Turn a backend made of several services into one container image
#[derive(Debug, Parser)]
#[command(name = "casque", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Keep downloads and layers in this directory [default: $CASQUE_CACHE, or casque in the user's cache]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::Arguments),
    Check(commands::check::Arguments),
    Lock(commands::lock::Arguments),
    Fetch(commands::fetch::Arguments),
    Build(commands::build::Arguments),
    Cache(commands::cache::Arguments),
    Inspect(commands::inspect::Arguments),
    Sbom(commands::sbom::Arguments),
    Docs(commands::docs::Arguments),
    Diff(commands::diff::Arguments),
    Run(commands::run::Arguments),
    Stop(commands::stop::Arguments),
    Exec(commands::exec::Arguments),
    Logs(commands::logs::Arguments),
    Keygen(commands::keygen::Arguments),
    Sign(commands::sign::Arguments),
    Verify(commands::verify::Arguments),
    Release(commands::release::Arguments),
    Doctor(commands::doctor::Arguments),
}

impl Cli {
    /// Whether events are for a program to read.
    pub(crate) fn events_as_json(&self) -> bool {
        match &self.command {
            Command::Build(arguments) => arguments.json,
            Command::Release(arguments) => arguments.json(),
            _ => false,
        }
    }
}

/// Which project, and which lock.
#[derive(Debug, Args)]
pub(crate) struct Project {
    /// Directory with a casque.toml, or such a file
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Use this lock [default: the manifest's name with .lock, beside it]
    #[arg(long, value_name = "FILE")]
    pub(crate) lockfile: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
