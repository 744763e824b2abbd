//! `casque fetch`: download what the lock pins, so that a build needs it no more.

use casque_build::BuildError;
use casque_build::lock::{self, Lockfile};
use casque_build::manifest::Manifest;
use clap::Args;

use crate::context::Context;
use crate::error::Failure;

/// Download what the lock pins
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    project: crate::cli::Project,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot fetch what `{}` needs", arguments.project.directory.display());
    let failed = |error: BuildError| Failure::new(&what, &error);
    let manifest = Manifest::read(&arguments.project.directory).map_err(|error| failed(error.into()))?;
    let path = context.lockfile(&arguments.project, &manifest);
    let locked = Lockfile::of(&manifest, &path).map_err(failed)?;
    let network = context.network().map_err(failed)?;
    let cache = context.cache().map_err(failed)?;
    lock::fetch(&locked, &network, &cache, &context.ui).map_err(failed)
}
