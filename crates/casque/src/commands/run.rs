//! `casque run`: an image as a container, without an engine.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use casque_image::read::Archive;
use casque_sandbox::{Exit, Helper, Network, Privileges, daemon};
use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::error::{self, Failure};
use crate::run::container::{Image, Output, Wishes, reserve, start};
use crate::run::environment::{Variable, read_file};
use crate::run::error::RunError;
use crate::run::image::unpacked;
use crate::run::name::Name;
use crate::run::publish::Publish;
use crate::run::state::Home;
use crate::run::user::User;

/// Run an image without an engine, in namespaces of its own
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Give the container this name [default: the image's]
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,

    /// Forward a port of this host into the container, on all addresses unless one is given
    #[arg(long, short = 'p', value_name = "[ADDRESS:]HOST:CONTAINER")]
    publish: Vec<Publish>,

    /// Keep the container's /data in this directory [default: one that is removed with the container]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Set an environment variable
    #[arg(long, short = 'e', value_name = "NAME=VALUE")]
    env: Vec<Variable>,

    /// Set the environment variables of this file, one NAME=VALUE per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Choose the network the container sees
    #[arg(long, value_enum, default_value = "own")]
    network: NetworkChoice,

    /// Return as soon as the container runs, and print its name
    #[arg(long, short = 'd', conflicts_with = "words")]
    detach: bool,

    /// Let the container write to /data, /run and /tmp alone
    #[arg(long)]
    read_only: bool,

    /// Run everything as this user [default: the image's, which for images of casque is root]
    #[arg(long, value_name = "UID[:GID]")]
    user: Option<User>,

    /// Take root's capabilities away
    #[arg(long, value_enum)]
    cap_drop: Option<Capabilities>,

    /// Let nothing inside get more rights than it has
    #[arg(long)]
    no_new_privileges: bool,

    /// Supervise a detached container
    #[arg(long, hide = true)]
    supervise: bool,

    /// An image archive, or a directory in OCI layout
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// Give the image's entrypoint these words instead of its own, on this terminal
    #[arg(value_name = "WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NetworkChoice {
    /// One of its own, reached through published ports alone
    Own,
    /// This host's
    Host,
}

/// Capabilities that can be taken away, in Docker's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Capabilities {
    /// Every one
    #[value(name = "ALL", alias = "all")]
    All,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<ExitCode, Failure> {
    let what = format!("cannot run `{}`", arguments.image.display());
    if arguments.network == NetworkChoice::Host && !arguments.publish.is_empty() {
        let hint = "leave `--publish` out: the container listens on this host's ports itself";
        let cause = "in the host's network no port can be published";
        return Err(Failure::usage(what, cause, Some(hint.to_owned())));
    }
    let result = match arguments.detach && !arguments.supervise {
        true => detach(arguments, context),
        false => supervise(arguments, context),
    };
    result.map_err(|error| failure(what, &error))
}

/// Starts a supervisor that outlives this program, and waits until the container runs.
fn detach(arguments: &Arguments, context: &Context) -> Result<ExitCode, RunError> {
    let mut supervisor = Command::new(Helper::this_program().program);
    // Variables may be secret, and arguments can be read by every user as long as a program runs.
    let (stdin, mut variables) = std::io::pipe().map_err(RunError::File)?;
    let text = serde_json::to_vec(&environment(arguments)?).expect("variables are plain text");
    supervisor.arg0("casque").args(repeat(arguments, context)).stdin(stdin).stdout(Stdio::piped());
    let mut running = supervisor.spawn().map_err(RunError::File)?;
    drop(supervisor);
    // A supervisor that has ended already has said why.
    let _ = variables.write_all(&text);
    drop(variables);
    let mut name = String::new();
    if let Some(mut stdout) = running.stdout.take() {
        // It says the name and lets go of the pipe once the container runs.
        stdout.read_to_string(&mut name).map_err(RunError::File)?;
    }
    if name.is_empty() {
        // It has said what is wrong, on the same stderr.
        let status = running.wait().map_err(RunError::File)?;
        return Ok(exit_code(status.code().unwrap_or(1)));
    }
    context.ui.line(name.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Returns the arguments of a supervisor that does what was asked of this program.
fn repeat(arguments: &Arguments, context: &Context) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--cache".into(), context.cache_directory().into()];
    words.extend(["run", "--supervise", "--detach"].map(OsString::from));
    let mut option = |name: &str, value: OsString| words.extend([name.into(), value]);
    if let Some(name) = &arguments.name {
        option("--name", name.as_str().into());
    }
    for publish in &arguments.publish {
        option("--publish", publish.to_string().into());
    }
    if let Some(data) = &arguments.data {
        option("--data", data.into());
    }
    if arguments.network == NetworkChoice::Host {
        option("--network", "host".into());
    }
    if arguments.read_only {
        words.push("--read-only".into());
    }
    if let Some(user) = arguments.user {
        words.extend(["--user".into(), user.to_string().into()]);
    }
    if arguments.cap_drop.is_some() {
        words.extend(["--cap-drop", "ALL"].map(OsString::from));
    }
    if arguments.no_new_privileges {
        words.push("--no-new-privileges".into());
    }
    words.extend(["--".into(), arguments.image.clone().into()]);
    words
}

/// Runs the container as a child of this program, until it ends.
fn supervise(arguments: &Arguments, context: &Context) -> Result<ExitCode, RunError> {
    if arguments.supervise {
        daemon::leave_session()?;
    }
    casque_sandbox::private_mounts()?;
    let archive = Archive::open(&arguments.image)?;
    let image_name = archive.names().first().cloned().unwrap_or_else(|| archive.image_id().oci());
    let one_shot = !arguments.words.is_empty();
    let name = arguments.name.clone().unwrap_or_else(|| {
        let name = Name::of_image(&image_name);
        // A question such as `casque run IMAGE settings` does not take the name of the product.
        if one_shot { name.with_number(std::process::id()) } else { name }
    });
    let home = Home::new(&context.environment.state)?;
    let reserved = reserve(home.place(&name), &arguments.publish)?;
    let begin = || context.ui.note(&format!("unpacking {image_name}"));
    let image = Image {
        files: unpacked(&archive, context.cache_directory(), begin)?,
        name: image_name.clone(),
        id: archive.image_id().oci(),
        config: archive.config(),
    };
    let wishes = Wishes {
        data: arguments.data.clone(),
        environment: if arguments.supervise { passed_environment()? } else { environment(arguments)? },
        words: arguments.words.clone(),
        network: match arguments.network {
            NetworkChoice::Own => Network::None,
            NetworkChoice::Host => Network::Host,
        },
        user: arguments.user,
        privileges: match arguments.cap_drop {
            None => Privileges::Container,
            Some(Capabilities::All) => Privileges::Nothing,
        },
        no_new_privileges: arguments.no_new_privileges,
        read_only: arguments.read_only,
        output: if one_shot { Output::Own } else { Output::Log },
    };
    let container = start(reserved, &image, wishes, &context.sandbox, context.now)?;
    if !one_shot {
        announce(&name, &container, arguments, context);
    }
    let exit = if arguments.supervise {
        context.ui.line(name.as_str());
        daemon::leave_output()?;
        container.supervise(&|_| ())?
    } else {
        container.supervise(&|line| context.ui.line(line))?
    };
    if one_shot {
        home.place(&name).forget()?;
    }
    Ok(exit_code_of(exit))
}

fn announce(
    name: &Name,
    container: &crate::run::container::Container,
    arguments: &Arguments,
    context: &Context,
) {
    let state = container.state();
    for port in &state.published {
        context.ui.note(&format!("{name}: {} leads to port {}", port.host, port.container));
    }
    if arguments.data.is_none() {
        let text = "its /data is removed when it ends; keep it with `--data DIR`";
        context.ui.note(&format!("{name}: {text}"));
    }
}

fn environment(arguments: &Arguments) -> Result<Vec<(String, String)>, RunError> {
    let mut variables = Vec::new();
    for path in &arguments.env_file {
        variables.extend(read_file(path)?);
    }
    variables.extend(arguments.env.iter().cloned());
    Ok(variables.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

/// Reads the variables that [`detach`] hands over.
fn passed_environment() -> Result<Vec<(String, String)>, RunError> {
    serde_json::from_reader(std::io::stdin())
        .map_err(|source| RunError::State { path: PathBuf::from("/dev/stdin"), source })
}

/// Turns a container's error into words.
pub(crate) fn failure(what: impl Into<String>, error: &RunError) -> Failure {
    let code = match error {
        RunError::Image(_) | RunError::Unpack(_) if error.is_damage() => error::ExitCode::Trust,
        _ if error.is_usage() => error::ExitCode::Manifest,
        _ => error::ExitCode::Unexpected,
    };
    Failure::new(what, error).judged(code, error.hint())
}

/// Returns the code to end with when a command inside ended so.
pub(crate) fn exit_code_of(exit: Exit) -> ExitCode {
    exit_code(exit.code())
}

/// Returns `code` as this program's own.
pub(crate) fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
