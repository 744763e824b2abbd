//! `casque check`: what is wrong with a manifest, without building anything.

use casque_build::manifest::Manifest;
use casque_build::{BuildError, check};
use clap::Args;
use serde_json::json;

use crate::context::Context;
use crate::error::Failure;

/// Check a manifest and the marks in the project's files
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    project: crate::cli::Project,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot accept `{}`", arguments.project.directory.display());
    let manifest = Manifest::read(&arguments.project.directory)
        .map_err(|error| Failure::new(&what, &BuildError::from(error)))?;
    check::check(&manifest).map_err(|error| Failure::new(&what, &error))?;
    let image = &manifest.content.image;
    let (name, tag) = (image.name.get_ref(), manifest.tag());
    let services: Vec<&String> = manifest.content.service.keys().collect();
    context.ui.line(&match arguments.json {
        true => json!({
            "image": format!("{name}:{tag}"),
            "services": services,
            "settings": manifest.settings().keys().collect::<Vec<_>>(),
        })
        .to_string(),
        false => format!("{name}:{tag}: {} services, {} settings", services.len(), manifest.settings().len()),
    });
    Ok(())
}
