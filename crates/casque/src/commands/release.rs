//! `casque release`: from a tag to the depot.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use casque_fetch::Network;
use casque_format::release::Channel;
use casque_sign::SecretKey;
use clap::{Args, Subcommand};

use super::keygen::open;
use crate::context::Context;
use crate::error::Failure;
use crate::passphrase::Asked;
use crate::release::config::{Config, Project};
use crate::release::error::ReleaseError;
use crate::release::guard::guard;
use crate::release::steps::Maker;
use crate::release::token::Token;
use crate::release::watch::Watcher;

/// Build, sign and upload what a project's tag names
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Run(RunArguments),
    Watch(WatchArguments),
    #[command(hide = true)]
    Guard(GuardArguments),
}

/// Release one tag; run again after an interruption it goes on
#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    given: Given,

    /// The project, when the configuration has several
    #[arg(long, value_name = "NAME")]
    project: Option<String>,

    /// The tag
    #[arg(long, value_name = "TAG")]
    tag: String,

    /// Put it into this channel [default: what the configuration says of the tag]
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<Channel>,

    /// Ask everybody and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Look for new tags, and release them
#[derive(Debug, Args)]
struct WatchArguments {
    #[command(flatten)]
    given: Given,

    /// Watch only this project; may be given several times
    #[arg(long, value_name = "NAME")]
    project: Vec<String>,

    /// Look once and end, for cron
    #[arg(long)]
    once: bool,
}

/// Run a program that ends with the release
#[derive(Debug, Args)]
struct GuardArguments {
    #[arg(long)]
    lock: PathBuf,

    #[arg(last = true)]
    words: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Given {
    /// Read this configuration
    #[arg(long, value_name = "FILE", default_value = "release.toml")]
    config: PathBuf,

    /// Print one JSON object for each event
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Whether events are for a program to read.
    pub(crate) fn json(&self) -> bool {
        match &self.action {
            Action::Run(arguments) => arguments.given.json,
            Action::Watch(arguments) => arguments.given.json,
            Action::Guard(_) => false,
        }
    }
}

/// What every release takes.
struct Prepared {
    config: Config,
    network: Network,
    key: SecretKey,
}

impl Prepared {
    fn of(given: &Given, context: &Context, what: &str) -> Result<Self, Failure> {
        let config = Config::read(&given.config).map_err(|error| error.failure(what))?;
        let address = &config.depot.address;
        let mut token = context.environment.release_token.clone();
        if let (None, Some(file)) = (&token, &config.depot.token_file) {
            let text =
                fs_err::read_to_string(file).map_err(|error| ReleaseError::Config(error).failure(what))?;
            token = Token::new(&text);
        }
        let token = token.ok_or_else(|| ReleaseError::NoToken { address: address.clone() }.failure(what))?;
        let mut credentials = context.credentials()?;
        let given = credentials.give_token(address, token.reveal());
        given.map_err(|error| ReleaseError::Depot(error).failure(what))?;
        let network = context.network(credentials, false)?;
        let asked = Asked {
            prompt: "passphrase of the key",
            file: config.sign.passphrase_file.as_deref().filter(|_| context.environment.passphrase.is_none()),
            option: "passphrase-file",
            variable: context.environment.passphrase.as_ref(),
            name: "CASQUE_PASSPHRASE",
        };
        let key = open(&config.sign.key, &asked, what)?;
        Ok(Self { config, network, key })
    }

    fn maker<'a>(&'a self, context: &'a Context, project: &'a Project) -> Maker<'a> {
        Maker { context, config: &self.config, project, network: &self.network, key: &self.key }
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<ExitCode, Failure> {
    match &arguments.action {
        Action::Run(arguments) => release(arguments, context).map(|()| ExitCode::SUCCESS),
        Action::Watch(arguments) => watch(arguments, context),
        Action::Guard(arguments) => guard(&arguments.lock, &arguments.words)
            .map_err(|error| Failure::new("cannot guard a program of a release", &error)),
    }
}

fn release(arguments: &RunArguments, context: &Context) -> Result<(), Failure> {
    let what = format!("cannot release `{}`", arguments.tag);
    let failed = |error: ReleaseError| error.failure(&what);
    let prepared = Prepared::of(&arguments.given, context, &what)?;
    let project = prepared.config.project(arguments.project.as_deref()).map_err(failed)?;
    let maker = prepared.maker(context, project);
    let order = maker.order(&arguments.tag, arguments.channel.as_ref()).map_err(failed)?;
    match arguments.dry_run {
        true => maker.rehearse(&order).map_err(failed),
        false => maker.make(&order).map(drop).map_err(failed),
    }
}

fn watch(arguments: &WatchArguments, context: &Context) -> Result<ExitCode, Failure> {
    let what = "cannot watch for tags";
    let prepared = Prepared::of(&arguments.given, context, what)?;
    let projects = match arguments.project.is_empty() {
        true => prepared.config.project.iter().collect(),
        false => {
            let named = arguments.project.iter().map(|name| prepared.config.project(Some(name)));
            named.collect::<Result<Vec<_>, _>>().map_err(|error| error.failure(what))?
        }
    };
    let state = &context.environment.state;
    let mut watchers = Vec::new();
    for project in projects {
        let watcher = Watcher::begin(prepared.maker(context, project), state);
        watchers.push(watcher.map_err(|error| error.failure(what))?);
    }
    let mut failures = thread::scope(|scope| {
        let threads: Vec<_> = watchers
            .iter_mut()
            .map(|watcher| {
                scope.spawn(|| match arguments.once {
                    true => watcher.look().failure,
                    false => watcher.watch(),
                })
            })
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("a watcher does not panic"));
        ended.flatten().collect::<Vec<Failure>>().into_iter()
    });
    // Told already, as it happened.
    Ok(failures.next().map_or(ExitCode::SUCCESS, |failure| ExitCode::from(failure.code as u8)))
}
