//! `casque lock`: pin every package, distribution and download of a step that a build needs.

use casque_build::BuildError;
use casque_build::lock;
use casque_build::manifest::Manifest;
use clap::Args;

use crate::context::{Context, Locking};
use crate::error::Failure;

/// Resolve packages and pin them by hash, run steps and pin what they download
///
/// A step with `network = true` runs here, in its sandbox, and every file it downloads is recorded. A build gives it
/// these files and no others. A step that has not changed since is not run again.
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
    let failed = |error: BuildError| Failure::new(&what, &error);
    let programs = match manifest.recorded_layers().next() {
        None => None,
        Some(_) => {
            // Before there is a second thread: mounts of steps vanish with this process, however it ends.
            casque_sandbox::private_mounts().map_err(|error| failed(error.into()))?;
            Some(context.programs()?)
        }
    };
    let path = context.lockfile(&arguments.project, &manifest);
    let update = if arguments.update { lock::Update::Always } else { lock::Update::WhenChanged };
    let access = context.access(false, None)?;
    let by = Locking { update, allow_older: arguments.allow_older, programs: programs.as_ref() };
    let locked = context.lock(&manifest, &path, &by, &access, &what)?;
    let downloads: usize = locked.steps().iter().map(|step| step.fetches.len()).sum();
    let downloads = if downloads == 0 { String::new() } else { format!(", {downloads} downloads of steps") };
    context.ui.note(&format!("{}: {} packages{downloads}", path.display(), locked.packages.len()));
    Ok(())
}
