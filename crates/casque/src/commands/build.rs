//! `casque build`: from a manifest to an archive.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casque_build::lock::{self, Lockfile};
use casque_build::manifest::Manifest;
use casque_build::{BuildError, BuildRequest, Built};
use clap::Args;

use crate::context::{Context, Locking};
use crate::error::{ExitCode, Failure};
use crate::ui::megabytes;

/// Build the image
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    project: crate::cli::Project,

    /// Write the archive here [default: NAME-TAG.tar in the current directory]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Build this version in place of the manifest's
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Fail when the lock is missing or does not fit the manifest
    #[arg(long)]
    locked: bool,

    /// Download nothing; what the cache and the store lack is an error
    #[arg(long)]
    offline: bool,

    /// Take what is in this directory from there, and only read it [default: $CASQUE_STORE]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Hand the archive to the Docker or Podman engine of this host
    #[arg(long)]
    load: bool,

    /// Say of each layer why it is made again or not
    #[arg(long)]
    explain: bool,

    /// Print one JSON object per event, and the result as the last one
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    // Before there is a second thread: mounts made from here on vanish with this process, however it ends.
    let what = format!("cannot build `{}`", arguments.project.directory.display());
    let failed = |error: BuildError| Failure::new(&what, &error);
    casque_sandbox::private_mounts().map_err(|error| failed(error.into()))?;
    let mut manifest = Manifest::read(&arguments.project.directory).map_err(|error| failed(error.into()))?;
    if let Some(version) = &arguments.version {
        manifest.set_version(version).map_err(|error| failed(error.into()))?;
    }
    let what = format!(
        "cannot build `{}` {}",
        manifest.content.image.name.get_ref(),
        manifest.content.image.version
    );
    let failed = |error: BuildError| Failure::new(&what, &error);

    let path = context.lockfile(&arguments.project, &manifest);
    let access = context.access(arguments.offline, arguments.store.as_deref())?;
    let programs = context.programs()?;
    let by = Locking { update: lock::Update::WhenStale, allow_older: false, programs: Some(&programs) };
    let locked = match arguments.locked {
        true => Lockfile::of(&manifest, &path).map_err(failed)?,
        false => context.lock(&manifest, &path, &by, &access, &what)?,
    };
    let output = arguments.output.clone().unwrap_or_else(|| default_output(&manifest));
    let request = BuildRequest {
        manifest: &manifest,
        lock: &locked,
        cache: &context.cache().map_err(failed)?,
        network: &access.network,
        mirrors: &access.mirrors,
        sandbox: &context.sandbox,
        programs: &programs,
        reach: &context.reach(),
        source_date_epoch: context.epoch()?,
        output: &output,
        explain: arguments.explain,
        observer: &context.ui,
        progress: &context.ui,
    };
    let built = casque_build::build(&request).map_err(failed)?;
    if arguments.load {
        load(&output)?;
    }
    report(&built, &output, arguments.json, context);
    Ok(())
}

fn default_output(manifest: &Manifest) -> PathBuf {
    let name = manifest.content.image.name.get_ref();
    let last = name.rsplit('/').next().unwrap_or(name);
    PathBuf::from(format!("{last}-{}.tar", manifest.tag()))
}

fn report(built: &Built, output: &Path, json: bool, context: &Context) {
    if json {
        context.ui.line(&serde_json::to_string(built).expect("a result is plain data"));
        return;
    }
    context.ui.note(&format!("{}: {}, {}", output.display(), built.reference, megabytes(built.size)));
    context.ui.line(&built.image_id);
}

/// Gives the archive to the first engine that answers.
fn load(archive: &Path) -> Result<(), Failure> {
    let what = format!("cannot load `{}`", archive.display());
    let answers = |engine: &&str| {
        let version =
            Command::new(engine).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    // Podman keeps an ordinary user's images in a namespace of its own, which cannot be entered from this one.
    let engines: &[&str] =
        if casque_sandbox::in_user_namespace() { &["docker"] } else { &["docker", "podman"] };
    if engines.len() == 1 && !answers(&"docker") {
        let hint = format!("load it yourself: podman load --input {}", archive.display());
        return Err(Failure::usage(what, "`docker version` does not answer", Some(hint)));
    }
    let Some(engine) = engines.iter().copied().find(|engine| answers(engine)) else {
        let hint = "start Docker or Podman, or try the image with `casque run`";
        return Err(Failure::usage(
            what,
            "neither `docker version` nor `podman version` answers",
            Some(hint.to_owned()),
        ));
    };
    // Its own report of what it loaded is chatter beside our digest.
    let status =
        Command::new(engine).arg("load").arg("--input").arg(archive).stdout(std::io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::usage(what, format!("`{engine} load` ended with {status}"), None)),
        Err(error) => Err(Failure::new(what, &error).judged(ExitCode::Unexpected, None)),
    }
}
