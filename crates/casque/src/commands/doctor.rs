//! `casque doctor`: whether this host can build, and what to do where it cannot.

use std::process::ExitCode;

use casque_format::doctor::{Examination, Verdict};
use casque_sandbox::{Error, Refusal};
use clap::Args;

use crate::cli::Command;
use crate::context::Context;
use crate::doctor::{examine, explain};
use crate::error::Failure;

/// Say whether this host can build, as this user, and what to do where it cannot
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print one JSON document
    #[arg(long)]
    json: bool,

    /// Try what a build does, and print what came of it
    #[arg(long = "try", hide = true)]
    pub(crate) trial: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<ExitCode, Failure> {
    if arguments.trial {
        return Ok(say(context, &attempt(context)));
    }
    let examination = examine(&context.program, context.cache_directory());
    match arguments.json {
        true => context.ui.line(&serde_json::to_string(&examination).expect("findings are plain data")),
        false => context.ui.line(text(&examination).trim_end()),
    }
    Ok(if examination.ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::error::ExitCode::Unexpected as u8)
    })
}

/// Says why a command that needs root's rights does not get them.
pub(crate) fn refused(command: &Command, error: &Error, context: &Context) -> Result<ExitCode, Failure> {
    let refusal = Refusal::from(error);
    if let Command::Doctor(_) = command {
        return Ok(say(context, &Err(refusal)));
    }
    let examination = explain(&context.program, context.cache_directory(), Some(Err(refusal)));
    Err(Failure::unready(error, &examination))
}

/// Prints what came of a trial, for [`examine`].
pub(crate) fn say(context: &Context, result: &Result<(), Refusal>) -> ExitCode {
    context.ui.line(&serde_json::to_string(result).expect("a result is plain data"));
    ExitCode::SUCCESS
}

fn attempt(context: &Context) -> Result<(), Refusal> {
    let refuse =
        |error: std::io::Error| Refusal { place: casque_sandbox::Place::Directory, text: format!("{error}") };
    let cache = context.cache_directory();
    fs_err::create_dir_all(cache).map_err(refuse)?;
    let directory = tempfile::Builder::new().prefix("doctor-").tempdir_in(cache).map_err(refuse)?;
    // Without it only the last step cannot be told: the programs are judged apart.
    let shim = context.program.with_file_name("casque-shim");
    context.sandbox.try_in(directory.path(), &shim)
}

fn text(examination: &Examination) -> String {
    let mut text = String::new();
    for finding in &examination.findings {
        let verdict = match finding.verdict {
            Verdict::Met => "ok",
            Verdict::Warning => "warning",
            Verdict::Missing => "missing",
        };
        text += &format!("{verdict:<8} {}\n", finding.fact);
        for line in finding.remedy.iter().flat_map(|remedy| remedy.lines()) {
            text += &format!("         > {line}\n");
        }
    }
    text + if examination.ready { "this host can build" } else { "this host cannot build yet" }
}
