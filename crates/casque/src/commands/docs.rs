//! `casque docs`: the customer's handbook of an image, without an engine.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use casque_format::image::ImagePlan;
use casque_format::paths;
use casque_image::read::{Archive, ReadError};
use clap::{Args, ValueEnum};

use super::inspect::unreadable;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// More than any plan has.
const LARGEST: u64 = 256 << 20;

/// Print the customer's handbook of an image, the same text as `docker run --rm IMAGE docs`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An image archive, or a directory in OCI layout
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// As Markdown, or as one HTML page
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,

    /// Write it to this file [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print its blocks of commands as one JSON list instead, for a test that runs them
    #[arg(long, conflicts_with = "format")]
    blocks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a repository or a terminal
    Markdown,
    /// For a browser; it needs no other file
    Html,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let plan = plan(&arguments.image)?;
    let text = match arguments.format {
        _ if arguments.blocks => {
            let blocks = casque_handbook::blocks(&plan);
            serde_json::to_string_pretty(&blocks).expect("blocks are plain data") + "\n"
        }
        Format::Markdown => casque_handbook::markdown(&plan),
        Format::Html => casque_handbook::html(&plan),
    };
    let Some(output) = &arguments.output else {
        context.ui.line(text.trim_end_matches('\n'));
        return Ok(());
    };
    let what = || format!("cannot write `{}`", output.display());
    write(output, &text).map_err(|error| Failure::new(what(), &error).judged(ExitCode::Disk, None))
}

/// Returns the plan in an image.
fn plan(image: &Path) -> Result<ImagePlan, Failure> {
    let text = read(image).map_err(|error| unreadable(image, &error))?;
    let what = || format!("cannot write the handbook of `{}`", image.display());
    let Some(text) = text else {
        let hint = "only images that `casque build` made have one, and a thin archive may leave it out";
        return Err(Failure::usage(
            what(),
            format!("it has no `{}`", paths::IMAGE_PLAN),
            Some(hint.to_owned()),
        ));
    };
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(what(), &error).judged(ExitCode::Manifest, None))
}

fn read(image: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    let archive = Archive::open(image)?;
    let tree = archive.tree_of_present()?;
    tree.read(Path::new(paths::IMAGE_PLAN.trim_start_matches('/')), LARGEST)
}

/// Writes the file whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
