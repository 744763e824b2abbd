//! `casque build`: from a manifest to an archive.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casque_build::lock::{self, Lockfile};
use casque_build::manifest::Manifest;
use casque_build::{BuildError, BuildRequest, Built, Output, Target};
use casque_image::archive::Compression;
use clap::{Args, ValueEnum};

use crate::context::{Context, Locking};
use crate::error::{ExitCode, Failure};
use crate::ui::megabytes;

/// Build the image
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    project: crate::cli::Project,

    /// Write the image here, a tar or a directory in OCI layout; may be given several times [default:
    /// NAME-TAG.tar in the current directory]
    #[arg(long, short, value_name = "FILE|oci:DIR", value_parser = target)]
    output: Vec<Target>,

    /// Compress the layers; the image's id stays the same
    #[arg(long, value_name = "HOW", value_enum)]
    compress: Option<Compress>,

    /// Leave out the layers that this image and an older one begin with, a tar or a directory, which whoever loads the
    /// output has loaded before
    #[arg(long, value_name = "OLDER")]
    thin_against: Option<PathBuf>,

    /// Build this version in place of the manifest's
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Say in the image that it is of the release with this number, which grows with each [default: $CASQUE_COUNTER]
    #[arg(long, value_name = "NUMBER")]
    counter: Option<u64>,

    /// Fail when the lock is missing or does not fit the manifest
    #[arg(long)]
    locked: bool,

    /// Download nothing; what the cache and the store lack is an error
    #[arg(long)]
    offline: bool,

    /// Take what is in this directory from there, and only read it [default: $CASQUE_STORE]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Write no bill of materials beside each output; the one in the image stays
    #[arg(long)]
    no_sbom: bool,

    /// Hand the archive to the Docker or Podman engine of this host
    #[arg(long)]
    load: bool,

    /// Say of each layer why it is made again or not
    #[arg(long)]
    explain: bool,

    #[command(flatten)]
    secrets: crate::secrets::Given,

    /// Make what programs made a second time, as on another machine, and name the files that differ: 8 is then the exit
    /// code
    #[arg(long)]
    check_reproducible: bool,

    /// Print one JSON object per event, and the result as the last one
    #[arg(long)]
    pub(crate) json: bool,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Compress {
    /// Every engine reads it
    Gzip,
    /// Smaller and faster; Docker reads it from version 23 on
    Zstd,
}

/// Takes what `--output` says: `oci:DIR`, or a file.
fn target(text: &str) -> Result<Target, String> {
    match text.strip_prefix("oci:") {
        Some("") => Err("`oci:` needs a directory".to_owned()),
        Some(directory) => Ok(Target::Directory(directory.into())),
        None => Ok(Target::Archive(text.into())),
    }
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
    manifest.counter = match arguments.counter {
        Some(counter) => Some(counter),
        None => context.counter()?,
    };
    let what = format!(
        "cannot build `{}` {}",
        manifest.content.image.name.get_ref(),
        manifest.content.image.version
    );
    let failed = |error: BuildError| Failure::new(&what, &error);
    let secrets = arguments.secrets.read(&manifest, context, &what)?;
    secrets.suffice(&manifest.content.layer).map_err(|error| failed(error.into()))?;

    let targets = match arguments.output.is_empty() {
        true => vec![Target::Archive(default_output(&manifest))],
        false => arguments.output.clone(),
    };
    let archive = targets.iter().find(|target| matches!(target, Target::Archive(_))).map(Target::path);
    if arguments.load && archive.is_none() {
        let cause = "engines load a tar, and every `--output` is a directory";
        return Err(Failure::usage(&what, cause, Some("give `--output FILE` as well".to_owned())));
    }
    let compression = match arguments.compress {
        None => Compression::None,
        Some(Compress::Gzip) => Compression::Gzip,
        Some(Compress::Zstd) => Compression::Zstd,
    };
    let thin_against = arguments.thin_against.as_deref();
    let path = context.lockfile(&arguments.project, &manifest);
    let access = context.access(arguments.offline, arguments.store.as_deref())?;
    let programs = context.programs()?;
    let by = Locking {
        update: lock::Update::WhenStale,
        allow_older: false,
        programs: Some(&programs),
        secrets: &secrets,
    };
    let locked = match arguments.locked {
        true => Lockfile::of(&manifest, &path).map_err(failed)?,
        false => context.lock(&manifest, &path, &by, &access, &what)?,
    };
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
        output: Output { targets: &targets, compression, thin_against },
        explain: arguments.explain,
        repeat: arguments.check_reproducible.then(|| context.now.into()),
        secrets: &secrets,
        observer: &context.ui,
        progress: &context.ui,
    };
    let built = casque_build::build(&request).map_err(failed)?;
    if !arguments.no_sbom {
        for output in &built.outputs {
            write_bill(&built.bill, &output.path)
                .map_err(|error| Failure::new(&what, &error).judged(ExitCode::Disk, None))?;
        }
    }
    if let Some(archive) = archive.filter(|_| arguments.load) {
        load(archive)?;
    }
    report(&built, arguments, context);
    Ok(())
}

/// Writes the bill of materials beside an output: `NAME.spdx.json` for `NAME.tar`, or the directory `NAME`.
fn write_bill(bill: &[u8], archive: &Path) -> io::Result<()> {
    let place = bill_place(archive);
    let directory = place.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bill)?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.persist(place).map(drop).map_err(|error| error.error)
}

fn bill_place(archive: &Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    archive.with_file_name(format!("{}.spdx.json", name.strip_suffix(".tar").unwrap_or(&name)))
}

fn default_output(manifest: &Manifest) -> PathBuf {
    let name = manifest.content.image.name.get_ref();
    let last = name.rsplit('/').next().unwrap_or(name);
    PathBuf::from(format!("{last}-{}.tar", manifest.tag()))
}

fn report(built: &Built, arguments: &Arguments, context: &Context) {
    if arguments.json {
        context.ui.line(&serde_json::to_string(built).expect("a result is plain data"));
        return;
    }
    for output in &built.outputs {
        let (path, size) = (output.path.display(), megabytes(output.size));
        let unchanged = if output.unchanged { ", unchanged" } else { "" };
        context.ui.note(&format!("{path}: {}, {size}{unchanged}", built.reference));
    }
    let thin = built.outputs.first().filter(|output| output.left_out > 0);
    if let (Some(output), Some(older)) = (thin, &arguments.thin_against) {
        let (count, saved) = (output.left_out, megabytes(output.saved));
        let plural = if count == 1 { "" } else { "s" };
        context.ui.note(&format!(
            "  thin: {count} layer{plural}, {saved}, left out; it loads where `{}` was loaded and still is",
            older.display()
        ));
    }
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
    let status = Command::new(engine).arg("load").arg("--input").arg(archive).stdout(io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::usage(what, format!("`{engine} load` ended with {status}"), None)),
        Err(error) => Err(Failure::new(what, &error).judged(ExitCode::Unexpected, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_of_materials_lies_beside_the_archive_under_its_name() {
        let directory = tempfile::tempdir().unwrap();
        write_bill(b"{}", &directory.path().join("backend-v43.4.4.tar")).unwrap();
        let place = directory.path().join("backend-v43.4.4.spdx.json");
        assert_eq!(fs_err::read(place).unwrap(), b"{}");
        assert_eq!(bill_place(Path::new("image")), Path::new("image.spdx.json"));
    }
}
