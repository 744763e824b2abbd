//! `casque sbom`: an image's bill of materials, as it is in there.

use std::path::{Path, PathBuf};

use casque_format::paths;
use casque_image::read::{Archive, ReadError};
use clap::Args;

use super::inspect::unreadable;
use crate::context::Context;
use crate::error::Failure;

/// More than any bill of materials has.
const LARGEST: u64 = 256 << 20;

/// Print the bill of materials of an image, SPDX 2.3 as JSON
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An image archive, or a directory in OCI layout
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let image = &arguments.image;
    let bill = read(image).map_err(|error| unreadable(image, &error))?;
    let Some(bill) = bill else { return Err(none(image)) };
    context.ui.line(&String::from_utf8_lossy(&bill));
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    let archive = Archive::open(path)?;
    let tree = archive.tree_of_present()?;
    tree.read(Path::new(paths::BILL.trim_start_matches('/')), LARGEST)
}

fn none(image: &Path) -> Failure {
    let what = format!("cannot print the bill of materials of `{}`", image.display());
    let hint = "only images that `casque build` made have one";
    Failure::usage(what, format!("it has no `{}`", paths::BILL), Some(hint.to_owned()))
}
