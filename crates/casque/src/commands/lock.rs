//! `casque lock`: pin every package and distribution a build needs.

use casque_build::BuildError;
use casque_build::lock;
use casque_build::manifest::Manifest;
use clap::Args;

use crate::context::Context;
use crate::error::Failure;

/// Resolve packages and pin them by hash
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    project: crate::cli::Project,

    /// Take the newest versions even where the lock still fits the manifest
    #[arg(long)]
    update: bool,

    /// Take an archive also when it is older than what the lock was made from
    #[arg(long)]
    allow_older: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot lock `{}`", arguments.project.directory.display());
    let manifest = Manifest::read(&arguments.project.directory)
        .map_err(|error| Failure::new(&what, &BuildError::from(error)))?;
    let path = context.lockfile(&arguments.project, &manifest);
    let update = if arguments.update { lock::Update::Always } else { lock::Update::WhenStale };
    let access = context.access(false, None)?;
    let locked = context
        .lock(&manifest, &path, update, arguments.allow_older, &access)
        .map_err(|error| Failure::new(&what, &error))?;
    context.ui.note(&format!("{}: {} packages", path.display(), locked.packages.len()));
    Ok(())
}
