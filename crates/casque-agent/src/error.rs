//! Turns facts into words and exit codes.

use std::io;
use std::path::PathBuf;

use casque_format::paths;
use casque_sign::archive::ArchiveError;
use thiserror::Error;

use crate::backup::{KeyError, Trouble};
use crate::bundle::BundleError;
use crate::hand_over::Refusal;
use crate::render::RenderError;
use crate::settings::{Origin, Problem};
use crate::stamp::StampError;

/// Why a command did not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The image's own plan cannot be read.
    #[error("cannot read the plan of this image: {0}")]
    Plan(io::Error),
    /// The image's own plan is not one.
    #[error("cannot understand the plan of this image `{}`: {source}", path.display())]
    PlanSyntax {
        /// Where it is.
        path: PathBuf,
        /// The parser's words.
        source: serde_json::Error,
    },
    /// Settings the customer has to change.
    #[error("{}", lines(.0))]
    Settings(Vec<Problem>),
    /// Marked files that cannot be rendered.
    #[error("{}", lines(.0))]
    Templates(Vec<TemplateProblem>),
    /// The volume is another's.
    #[error(transparent)]
    Stamp(StampError),
    /// Another user has written it.
    #[error("volume `{data}` was written as uid {}, this is uid {uid}; {}", .refusal.writer, .refusal.remedy, data = paths::DATA)]
    OtherUser {
        /// As whom this runs.
        uid: u32,
        /// Who has written it, and how it is handed over.
        refusal: Refusal,
    },
    /// A restore has begun in it and not ended.
    #[error("a restore into volume `{data}` has not ended; run it again, or start with another volume", data = paths::DATA)]
    Restoring,
    /// A backup is not made or not restored.
    #[error(transparent)]
    Backup(Trouble),
    /// A backup cannot be encrypted or decrypted as asked.
    #[error(transparent)]
    BackupKey(KeyError),
    /// A backup or a bundle would go to a terminal; the word that was given.
    #[error(
        "stdout is a terminal or closed: write to a file, as in `docker exec CONTAINER COMMAND {0} > FILE`, without `-t`"
    )]
    NoOutput(&'static str),
    /// There is no support bundle.
    #[error(transparent)]
    Bundle(BundleError),
    /// A backup would come from a terminal.
    #[error("stdin is a terminal or closed: give the backup there, as in `docker run --rm -i -v NAME:{data} IMAGE restore < FILE`, without `-t`", data = paths::DATA)]
    NoInput,
    /// There is nothing to back up.
    #[error("volume `{data}` has no data of this product yet", data = paths::DATA)]
    NoData,
    /// Services ran while they should not.
    #[error("{0}, and services may have run meanwhile; what was written is no backup, remove it")]
    NotHeld(String),
    /// A directory of the image cannot be put into the volume.
    #[error("cannot put what the image has in `{path}` into the volume: {source}")]
    Seed {
        /// Its usual path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The volume, or something of it, cannot be used.
    #[error("cannot use `{path}` as uid {uid}: {source}; {remedy}")]
    Volume {
        /// What could not be used.
        path: String,
        /// As whom.
        uid: u32,
        /// Why.
        source: io::Error,
        /// What to do about it.
        remedy: String,
    },
    /// A directory of the volume cannot be made.
    #[error("cannot make a directory of the volume: {0}")]
    Directory(io::Error),
    /// A secret cannot be made or stored.
    #[error("cannot keep the generated secret of setting `{setting}`: {source}")]
    Secret {
        /// Whose.
        setting: String,
        /// Why.
        source: io::Error,
    },
    /// HTTPS cannot be served.
    #[error(
        "cannot serve HTTPS: {reason}; the certificate is in `{}`, those that signed it below it, and its key in `{}`",
        paths::TLS_CERTIFICATE,
        paths::TLS_KEY
    )]
    Certificate {
        /// Why.
        reason: String,
    },
    /// An external service is of no use.
    #[error("cannot use what `{setting}` names: {reason}")]
    External {
        /// The setting.
        setting: String,
        /// What was reached, and what was refused.
        reason: String,
    },
    /// Nobody knows what this process may do.
    #[error("cannot ask for this process's capabilities: {0}")]
    Capabilities(io::Error),
    /// Root in name alone.
    #[error(
        "root of this container lacks the capabilities {}, which giving each service its own user takes; \
         start with `--user 1234567:0`, which needs none, or with `--cap-add {}`",
        .0.join(", "),
        .0.join(" --cap-add ")
    )]
    BareRoot(Vec<&'static str>),
    /// The product cannot work on this host.
    #[error("{}", lines(.0))]
    CannotWork(Vec<String>),
    /// Somebody asked whether it could, and it could not.
    #[error("this product does not work here: {} failed", .failed.join(", "))]
    Preflight {
        /// Names of the checks, each quoted.
        failed: Vec<String>,
    },
    /// No mail server to test.
    #[error("{0}")]
    NoMail(String),
    /// What no mail can be sent to.
    #[error(
        "`{0}` is no address of a mail: it looks like `name@example.com`, in ASCII and without `<` and `>`"
    )]
    NoAddress(String),
    /// A mail was not taken.
    #[error("{failure}; {remedy}")]
    Mail {
        /// Where it ended, in the server's words.
        failure: String,
        /// What usually helps.
        remedy: String,
    },
    /// Something below `/run/casque` cannot be written.
    #[error("cannot write `{}`: {source}; {}", path.display(), run_remedy(.source.kind()))]
    Run {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Changed files that a service would not take over.
    #[error("{}", .0.join("\n"))]
    Checks(Vec<String>),
    /// Changed settings that PID 1 did not take over, with what the preparation said.
    #[error("{}", .0.join("\n"))]
    NotTakenOver(Vec<String>),
    /// A service that does not run with changed settings.
    #[error("`{service}` does not run with it: {reason}; the settings are what they were before")]
    DoesNotRun {
        /// Which.
        service: String,
        /// What PID 1 knows of it.
        reason: String,
    },
    /// What the serving part needs cannot be read.
    #[error("cannot read the agent's configuration: {0}")]
    Config(io::Error),
    /// What the serving part needs is not understood.
    #[error("cannot understand the agent's configuration: {0}")]
    ConfigSyntax(serde_json::Error),
    /// The status page cannot be served.
    #[error("cannot serve on `{place}`: {source}")]
    Serve {
        /// A socket's path or descriptor.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// PID 1 is not there.
    #[error(
        "cannot reach PID 1 of this container: {0}; this command is for `docker exec` in a running container"
    )]
    Unreachable(io::Error),
    /// PID 1 did not answer as agreed.
    #[error("cannot understand the answer of PID 1")]
    Protocol,
    /// Somebody asked whether all is well, and it is not.
    #[error("{state}{}", list(.services))]
    Unwell {
        /// The state of the whole.
        state: &'static str,
        /// The services that are not ready, each with its state.
        services: Vec<String>,
    },
    /// PID 1 refuses.
    #[error("{0}")]
    Refused(String),
    /// A secret is asked for by somebody who may not have it.
    #[error("only root and the user of PID 1 may read a plain value; run this as uid {0}")]
    Forbidden(u32),
    /// The plan of PID 1 is asked for by somebody who may not have it.
    #[error("only root and the user of PID 1 may run a command as a service does")]
    ForbiddenPlan,
    /// No such service.
    #[error("this container runs no service `{name}`{}", suggestion(.closest.as_deref()))]
    UnknownService {
        /// What was asked for.
        name: String,
        /// What was most likely meant.
        closest: Option<String>,
    },
    /// Not all that a service has could be taken over.
    #[error("cannot run a command as service `{service}` does: cannot {what}: {source}")]
    Become {
        /// Which service.
        service: String,
        /// What could not be done.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No such setting.
    #[error("this product has no setting `{name}`{}", suggestion(.closest.as_deref()))]
    UnknownSetting {
        /// What was asked for.
        name: String,
        /// What was most likely meant.
        closest: Option<String>,
    },
    /// A secret that everybody on the host could read.
    #[error(
        "setting `{name}` is a secret: give its value on stdin, as in `settings set {name} < FILE`, not as an argument"
    )]
    SecretArgument {
        /// Which.
        name: String,
    },
    /// A value that the settings file cannot change.
    #[error(
        "setting `{name}` is decided by {origin} of this container: change it where the container is started"
    )]
    DecidedElsewhere {
        /// Which.
        name: String,
        /// What decides.
        origin: Origin,
    },
    /// A value that was to come from stdin.
    #[error("cannot read the value from stdin: {0}")]
    Input(io::Error),
    /// The settings file cannot be changed; the source names it.
    #[error("cannot change the settings file: {source}{}", mounted(source))]
    SettingsFile {
        /// Why.
        source: io::Error,
    },
    /// Everything works, and a later version may not understand it any more.
    #[error("this version would start, with {count} to change, as the warnings say")]
    Outdated {
        /// How many warnings there are.
        count: usize,
    },
    /// A setting without a value to print.
    #[error("setting `{name}` has no value: {reason}")]
    NoValue {
        /// Which.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// The image was built without a key.
    #[error(
        "this image has no key to verify an archive with; use `casque verify --archive` and the vendor's public key"
    )]
    NoKey,
    /// The plan of the image has something else in the place of a key.
    #[error("cannot use the key of this image: {0}")]
    Key(casque_sign::SignError),
    /// The archive of the next release is not to be installed.
    #[error("{}; {}", chain(.0), .0.remedy())]
    Archive(ArchiveError),
    /// No such command.
    #[error("unknown command `{word}`{}; commands are: {}", suggestion(.closest.as_deref()), .commands.join(", "))]
    UnknownCommand {
        /// What was typed.
        word: String,
        /// What was most likely meant.
        closest: Option<String>,
        /// What there is.
        commands: Vec<String>,
    },
    /// A program in the image cannot be run.
    #[error("cannot run `{program}`: {source}")]
    Exec {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// A marked file that cannot be rendered.
#[derive(Debug, Error)]
pub enum TemplateProblem {
    /// Its source in the image cannot be read; the source names it.
    #[error("cannot read the marked file `{path}`: {source}")]
    Read {
        /// Its place in the image.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A mark of it cannot be replaced.
    #[error("cannot render `{path}`: {source}")]
    Render {
        /// Its place in the image.
        path: String,
        /// Why.
        source: RenderError,
    },
}

/// Says what lets a start write below `/run`.
fn run_remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => {
            "start with group 0, as in `--user 1234567:0`, or with `--tmpfs /run:mode=1777`"
        }
        _ => "with a read-only root, start with `--tmpfs /run --tmpfs /tmp`",
    }
}

impl Error {
    /// Returns the exit code that PID 1 and scripts see.
    pub fn code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Templates(_) | Self::Checks(_) | Self::NotTakenOver(_) => 100,
            Self::DoesNotRun { .. } | Self::Certificate { .. } | Self::External { .. } => 100,
            Self::BareRoot(_) | Self::CannotWork(_) | Self::Run { .. } => 100,
            Self::Backup(Trouble::Unusable(_)) => 65,
            Self::Backup(Trouble::NotEmpty(_) | Trouble::NoRoom { .. } | Trouble::Busy) => 102,
            Self::Backup(Trouble::MayNotGive) => 102,
            Self::BackupKey(_) | Self::NoOutput(_) | Self::NoInput => 64,
            Self::Stamp(_)
            | Self::Restoring
            | Self::OtherUser { .. }
            | Self::Seed { .. }
            | Self::Volume { .. }
            | Self::Directory(_) => 102,
            Self::Outdated { .. } => 3,
            Self::UnknownCommand { .. }
            | Self::UnknownSetting { .. }
            | Self::UnknownService { .. }
            | Self::SecretArgument { .. }
            | Self::NoAddress(_) => 64,
            Self::Archive(ArchiveError::Read(_)) => 1,
            Self::Archive(ArchiveError::Empty) => 64,
            Self::Archive(_) => 65,
            Self::NoKey | Self::NoMail(_) => 78,
            Self::Unreachable(_) => 69,
            Self::Bundle(error) if error.is_forbidden() => 77,
            Self::Bundle(error) if error.is_of_settings() => 100,
            Self::Forbidden(_) | Self::ForbiddenPlan => 77,
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Exec { .. } | Self::Become { .. } => 126,
            _ => 1,
        }
    }
}

/// Puts an error and its causes into one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

fn lines(problems: &[impl ToString]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn list(services: &[String]) -> String {
    if services.is_empty() { String::new() } else { format!(": {}", services.join(", ")) }
}

/// Says what to do about a file that something outside of the container decides.
fn mounted(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ResourceBusy | io::ErrorKind::ReadOnlyFilesystem => {
            "; it is mounted from elsewhere, change it there"
        }
        _ => "",
    }
}

fn suggestion(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}
