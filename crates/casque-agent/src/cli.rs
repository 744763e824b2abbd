//! The words and options of the customer's command.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Look after this product
#[derive(Debug, Parser)]
#[command(
    disable_version_flag = true,
    subcommand_required = true,
    after_help = "Type it after `docker exec CONTAINER`, or `docker run --rm IMAGE` for settings, preflight, mail-test, run-line and docs.\n\
                  `docker run -it IMAGE bash` opens a shell."
)]
pub struct Cli {
    /// Take another directory for `/`
    #[arg(long, hide = true, default_value = "/")]
    pub root: PathBuf,
    #[command(subcommand)]
    pub word: Word,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Word {
    /// Show every service and its state
    Status {
        /// Print the document that `/status` shows with the token
        #[arg(long)]
        json: bool,
    },
    /// End with 0 if everything is ready
    Health,
    /// Show the newest log lines
    Logs {
        /// Only of this service
        service: Option<String>,
        /// At most this many lines
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: u32,
        /// Go on with each line as it comes, until the container ends
        #[arg(short, long)]
        follow: bool,
        /// Print one JSON document a line
        #[arg(long)]
        json: bool,
    },
    /// Show each change of state as it happens
    Events {
        /// Print one JSON document a line
        #[arg(long)]
        json: bool,
    },
    /// Run a command as a service does: its user, environment, directory and limits
    ///
    /// Only for root and the user of PID 1.
    ExecAs {
        /// Take it from the plan on stdin
        #[arg(long, hide = true)]
        plan: bool,
        /// Its name, as `status` shows it
        service: String,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Stop a service, start it, and wait until it is ready
    Restart(Service),
    /// Stop a service until it is started again
    Stop(Service),
    /// Start a stopped or failed service
    Start(Service),
    /// Show the settings, their values and where they come from, or change one
    #[command(args_conflicts_with_subcommands = true)]
    Settings {
        /// Print one JSON list
        #[arg(long)]
        json: bool,
        /// Show every place that has a value, the one that counts first
        #[arg(long, conflicts_with = "json")]
        origin: bool,
        #[command(subcommand)]
        action: Option<SettingsAction>,
    },
    /// Have what runs take over settings and certificates that were changed by hand
    Reload,
    /// Say whether the archive on stdin is this product's next release, signed by its vendor
    Verify {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Say whether this host has what the product needs, before anything is started or while it runs
    Preflight {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Send one mail as the product does, and show each line of it
    MailTest(MailTest),
    /// Write all data to stdout, the services being stopped meanwhile
    ///
    /// As in `docker exec CONTAINER COMMAND backup > FILE`, without `-t`. The services start again when it ends, however it ends.
    Backup(Backup),
    /// Read a backup from stdin into an empty volume
    ///
    /// As in `docker run --rm -i -v NAME:/data IMAGE restore < FILE`, without `-t`.
    Restore(Restore),
    /// Write what the vendor's support needs to stdout, without a secret in it
    ///
    /// As in `docker exec CONTAINER COMMAND support-bundle > FILE`, without `-t`; where no container runs,
    /// `docker run --rm -v NAME:/data IMAGE support-bundle > FILE`.
    SupportBundle(SupportBundle),
    /// Print the full line that starts this image in production
    RunLine,
    /// Print this product's handbook: installation, settings, ports, update, exit codes
    Docs {
        /// Print it as one HTML page rather than as Markdown
        #[arg(long)]
        html: bool,
    },
    /// Resolve the settings and write the plan for PID 1
    #[command(hide = true)]
    Prepare {
        /// Services run: have what changes under them checked first
        #[arg(long)]
        running: bool,
    },
    /// Wait until the external service that a setting names lets this product in
    #[command(hide = true)]
    External {
        /// The setting's name
        setting: String,
        /// Do not wait
        #[arg(long)]
        once: bool,
    },
    /// Serve the status page
    #[command(hide = true)]
    Serve,
    /// A program of the image
    #[command(external_subcommand)]
    Program(Vec<OsString>),
}

/// One mail.
#[derive(Debug, Args)]
pub struct MailTest {
    /// To whom
    pub address: String,
    /// By whom, in the place of what the setting `mail-from` says
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Which setting names the mail server, where there are several
    #[arg(long)]
    pub setting: Option<String>,
}

/// How to back up.
#[derive(Debug, Args)]
pub struct Backup {
    /// Encrypt it for this recipient of age, `age1...`; may be given several times
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Vec<String>,
    /// Encrypt it with the passphrase in this file of the container; CASQUE_BACKUP_PASSPHRASE is another way
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    pub passphrase_file: Option<PathBuf>,
    /// Take the log files, too
    #[arg(long)]
    pub logs: bool,
    /// Tell stderr each step as a JSON document a line
    #[arg(long)]
    pub json: bool,
    /// Give up when nobody has read for so many seconds
    #[arg(long, hide = true, default_value_t = 300)]
    pub patience: u32,
}

/// How to make a bundle.
#[derive(Debug, Args)]
pub struct SupportBundle {
    /// List what would be in it, and what was replaced; nothing is written
    #[arg(long)]
    pub preview: bool,
    /// Print the list as a JSON document
    #[arg(long, requires = "preview")]
    pub json: bool,
    /// Give a part up when nothing has come of it for so many seconds
    #[arg(long, hide = true, default_value_t = 5)]
    pub patience: u64,
}

/// How to restore.
#[derive(Debug, Args)]
pub struct Restore {
    /// Decrypt it with the identities of age in this file of the container
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Decrypt it with the passphrase in this file of the container; CASQUE_BACKUP_PASSPHRASE is another way
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Give the volume an instance number of its own: it becomes another one beside the first
    #[arg(long)]
    pub new_instance: bool,
    /// Read it to its end and say whether it is whole; nothing is written
    #[arg(long, conflicts_with = "new_instance")]
    pub check: bool,
    /// Tell stderr each step as a JSON document a line
    #[arg(long)]
    pub json: bool,
}

/// One service.
#[derive(Debug, Args)]
pub struct Service {
    /// Its name, as `status` shows it
    pub service: String,
    /// Print its state afterwards as a JSON document
    #[arg(long)]
    pub json: bool,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum SettingsAction {
    /// Print one value, a secret too; for root and the user of PID 1
    Get {
        /// The setting's name, as `settings` shows it
        name: String,
    },
    /// Write a value into the settings file, and have what runs take it over; a wrong one changes nothing
    Set {
        /// The setting's name, as `settings` shows it
        name: String,
        /// The value; left out, and for a secret always, it is read from stdin
        #[arg(allow_hyphen_values = true)]
        value: Option<String>,
    },
    /// Take a value out of the settings file, and have what runs do without it
    Unset {
        /// The setting's name, as `settings` shows it
        name: String,
    },
    /// Say whether this image would start with these settings and this volume
    Check,
}
