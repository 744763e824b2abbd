//! `casque diff`: what differs between two images, the basis of release notes.

use std::path::PathBuf;
use std::process;

use clap::Args;

use crate::context::Context;
use crate::error::{ExitCode, Failure};

pub(crate) mod text;

/// Show what differs between two images: settings, services, packages, files, size
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An image archive, or a directory in OCI layout
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// What it is compared with
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// Name every file that differs
    #[arg(long)]
    files: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    /// End with 8 when the images differ
    #[arg(long)]
    exit_code: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<process::ExitCode, Failure> {
    let difference =
        casque_build::difference::difference(&arguments.old, &arguments.new).map_err(|error| {
            let (old, new) = (arguments.old.display(), arguments.new.display());
            let code = if error.is_damage() { ExitCode::Trust } else { ExitCode::Manifest };
            Failure::new(format!("cannot compare `{old}` with `{new}`"), &error).judged(code, None)
        })?;
    if arguments.json {
        context.ui.line(&serde_json::to_string_pretty(&difference).expect("a difference is plain data"));
    } else {
        text::lines(&difference, arguments.files).iter().for_each(|line| context.ui.line(line));
    }
    Ok(match arguments.exit_code && !difference.is_none() {
        true => process::ExitCode::from(ExitCode::Differs as u8),
        false => process::ExitCode::SUCCESS,
    })
}
