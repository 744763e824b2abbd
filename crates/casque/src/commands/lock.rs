//! `casque lock`: pin every package, distribution and download of a step that a build needs.

use casque_build::BuildError;
use casque_build::lock::{LockChanges, Lockfile, Update};
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

    /// Resolve, print what would change, and leave the lock as it is
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    secrets: crate::secrets::Given,

    /// Lock, and propose layers of packages and libraries that would make the next build faster
    #[arg(long, conflicts_with = "dry_run")]
    suggest: bool,

    /// Print what changed, or what is proposed, as one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot lock `{}`", arguments.project.directory.display());
    let manifest = Manifest::read(&arguments.project.directory)
        .map_err(|error| Failure::new(&what, &BuildError::from(error)))?;
    let failed = |error: BuildError| Failure::new(&what, &error);
    let secrets = arguments.secrets.read(&manifest, context, &what)?;
    let programs = match manifest.recorded_layers().next() {
        Some(_) if !arguments.dry_run => {
            // Before there is a second thread: mounts of steps vanish with this process, however it ends.
            casque_sandbox::private_mounts().map_err(|error| failed(error.into()))?;
            Some(context.programs()?)
        }
        _ => None,
    };
    let path = context.lockfile(&arguments.project, &manifest);
    let update = match (arguments.dry_run, arguments.update) {
        (true, _) => Update::DryRun,
        (false, true) => Update::Always,
        (false, false) => Update::WhenChanged,
    };
    // A lock that cannot be read is replaced or refused further on; there is nothing to compare with.
    let before = Lockfile::read(&path).ok();
    let access = context.access(false, None)?;
    let by = Locking {
        update,
        allow_older: arguments.allow_older,
        programs: programs.as_ref(),
        secrets: &secrets,
    };
    let locked = context.lock(&manifest, &path, &by, &access, &what)?;
    if arguments.suggest {
        let suggestions = context.suggest(&manifest, &path, &by, &access, &locked, &what)?;
        context.ui.line(&match arguments.json {
            true => serde_json::to_string_pretty(&suggestions).expect("suggestions are plain data"),
            false => suggestions.as_text(&manifest).trim_end().to_owned(),
        });
        return Ok(());
    }
    let changes = LockChanges::between(before.as_ref(), &locked);
    context.ui.line(&if arguments.json {
        serde_json::to_string_pretty(&changes).expect("changes are plain data")
    } else {
        changes.to_string()
    });
    let downloads: usize = locked.steps().iter().map(|step| step.fetches.len()).sum();
    let downloads = if downloads == 0 { String::new() } else { format!(", {downloads} downloads of steps") };
    context.ui.note(&format!("{}: {} packages{downloads}", path.display(), locked.packages.len()));
    Ok(())
}
