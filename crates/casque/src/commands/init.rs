//! `casque init`: a manifest for a project that has none, proposed from what the project says about itself.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use casque_build::manifest::Manifest;
use casque_build::{BuildError, Proposal, check, propose};
use clap::Args;

use crate::context::Context;
use crate::error::Failure;

/// Propose a casque.toml for a project
///
/// Reads what the project says about itself: supervisor's programs, systemd's units, a Procfile, nginx, Ansible, the
/// Makefile, requirements, VERSION, the tags of git. Nothing of it is run.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The project's directory
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// Replace a casque.toml that is there
    #[arg(long)]
    force: bool,

    /// Print the manifest, and write nothing
    #[arg(long, conflicts_with_all = ["force", "json"])]
    stdout: bool,

    /// Print the manifest and what it was made from as one JSON document, and write nothing
    #[arg(long, conflicts_with = "force")]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let shown = arguments.directory.display();
    let what = format!("cannot propose a manifest for `{shown}`");
    let failed = |error: std::io::Error| Failure::new(&what, &error);
    let path = arguments.directory.join("casque.toml");
    let writes = !arguments.stdout && !arguments.json;
    if writes && !arguments.force && path.symlink_metadata().is_ok() {
        let hint = "`--stdout` prints the proposal, `--force` replaces the file".to_owned();
        return Err(Failure::usage(&what, format!("`{}` is there already", path.display()), Some(hint)));
    }
    if !arguments.directory.is_dir() {
        return Err(Failure::usage(&what, format!("`{shown}` is no directory"), None));
    }
    let directory = fs_err::canonicalize(&arguments.directory).map_err(failed)?;
    let mut proposal = propose(&directory).map_err(failed)?;
    judge(&mut proposal, &path);
    if arguments.json {
        context.ui.line(&serde_json::to_string_pretty(&proposal).expect("a proposal is plain data"));
        return Ok(());
    }
    say(&proposal, context);
    if arguments.stdout {
        context.ui.line(proposal.manifest.trim_end());
        return Ok(());
    }
    write(&path, &proposal.manifest, arguments.force).map_err(failed)?;
    context.ui.line(&path.display().to_string());
    Ok(())
}

/// Says what `casque check` would: a mark in the project may be wrong, which no manifest cures.
fn judge(proposal: &mut Proposal, path: &Path) {
    let checked = Manifest::of_text(path, &proposal.manifest).map_err(Into::into);
    let Err(error) = checked.and_then(|manifest| check::check(&manifest)) else { return };
    let error: BuildError = error;
    let mut words = vec![error.to_string()];
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words.push(cause.to_string());
        source = cause.source();
    }
    proposal.undecided.push(format!("`casque check` will refuse this: {}", words.join(": ")));
}

fn say(proposal: &Proposal, context: &Context) {
    let parts = [("found", &proposal.found), ("to decide", &proposal.undecided), ("next", &proposal.next)];
    for (title, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        context.ui.note(&format!("{title}:"));
        lines.iter().for_each(|line| context.ui.note(&format!("  {line}")));
    }
}

/// Writes the file, whole or not at all; somebody else's stays unless it is to be replaced.
fn write(path: &Path, text: &str, replace: bool) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut file = builder.permissions(mode).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    let written = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    written.map(drop).map_err(|error| error.error)
}
