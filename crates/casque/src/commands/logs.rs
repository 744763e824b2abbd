//! `casque logs`: what a container wrote.

use clap::Args;

use crate::commands::run::failure;
use crate::context::Context;
use crate::error::Failure;
use crate::run::log;
use crate::run::name::Name;
use crate::run::state::Home;

/// Show what a container wrote, also after it has ended
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Go on until the container ends
    #[arg(long, short)]
    follow: bool,

    /// The container
    #[arg(value_name = "NAME")]
    name: Name,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let name = &arguments.name;
    let mut show = |line: &str| context.ui.line(line);
    Home::new(&context.environment.state)
        .and_then(|home| home.known(name))
        .and_then(|place| match arguments.follow {
            true => log::follow(&place, &mut show),
            false => log::show(&place, &mut show),
        })
        .map_err(|error| failure(format!("cannot show the log of `{name}`"), &error))
}
