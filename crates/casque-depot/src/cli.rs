//! The command line.

use std::path::PathBuf;

use casque_format::release::{Channel, Product, ReleaseName};
use clap::{Args, Parser, Subcommand, ValueEnum};
use time::Date;
use time::macros::format_description;

/// Serve releases to customers, and take them from the vendor's builds
#[derive(Debug, Parser)]
#[command(name = "casque-depot", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The configuration [default: $CASQUE_DEPOT_CONFIG, or none]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until TERM or INT, then let downloads finish; HUP reads the certificate anew
    Serve,
    /// Add a product, or list products
    #[command(subcommand)]
    Product(ProductCommand),
    /// Trust keys that releases of a product are signed with
    #[command(subcommand)]
    Key(KeyCommand),
    /// Manage customers and what they may have
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// Manage who of the vendor's staff sees releases, customers and downloads at `/staff/`
    #[command(subcommand)]
    Staff(AccountCommand),
    /// Manage tokens with which builds upload
    #[command(subcommand)]
    Token(TokenCommand),
    /// List, withdraw, promote and prune releases
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Remove what broken uploads and pruned releases left
    Sweep,
    /// Read every file again and compare it with its digest
    Verify {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Copy the records into a new file while the server runs
    Backup {
        /// The file, which must not be there
        file: PathBuf,
    },
    /// Show who did what when
    Audit(AuditArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProductCommand {
    /// Add a product
    Add {
        /// The first part of its addresses
        name: Product,
        /// What people call it [default: its name]
        #[arg(long)]
        title: Option<String>,
        /// The line that runs its image, shown to customers; `{tag}` stands for the version, `{version}` for it without a `v`
        #[arg(long, default_value = "")]
        run: String,
    },
    /// List products
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Trust a public key
    Add {
        /// Of which product
        product: Product,
        /// The key, as `casque keygen` or minisign wrote it
        file: PathBuf,
        /// Trust it only if a key that is trusted already signed it in this file
        #[arg(long, value_name = "FILE.minisig")]
        signed: Option<PathBuf>,
    },
    /// Trust a key no longer; what it signed stays
    Remove {
        /// Of which product
        product: Product,
        /// The number of the key
        id: String,
    },
    /// List keys, the newest first
    List {
        /// Of which product
        product: Product,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// What customers and staff have in common.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Add somebody and show the password, once
    Add {
        /// The name to log in with, also of `curl -u`
        #[arg(value_parser = account)]
        name: String,
    },
    /// Give somebody nothing any more
    Disable {
        /// Whom
        name: String,
    },
    /// Undo `disable`
    Enable {
        /// Whom
        name: String,
    },
    /// Give somebody another password and show it, once
    Rotate {
        /// Whom
        name: String,
    },
    /// List who there is, customers with what they may have
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CustomerCommand {
    #[command(flatten)]
    Account(AccountCommand),
    /// Let a customer have a product
    Grant(GrantArguments),
    /// Take an entitlement back
    Revoke {
        /// Its number
        id: i64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct GrantArguments {
    /// Whom
    pub(crate) name: String,
    /// What
    pub(crate) product: Product,
    /// Only this channel
    #[arg(long)]
    pub(crate) channel: Option<Channel>,
    /// Only from this version on
    #[arg(long, value_name = "VERSION")]
    pub(crate) from: Option<ReleaseName>,
    /// Only versions below this
    #[arg(long, value_name = "VERSION")]
    pub(crate) below: Option<ReleaseName>,
    /// Until the end of this day, UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) until: Option<Date>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token that uploads for one product, and show it, once
    Add {
        /// What to call it
        #[arg(value_parser = account)]
        name: String,
        /// For which product
        product: Product,
    },
    /// Make a token worthless
    Revoke {
        /// Which
        name: String,
    },
    /// List tokens
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// List releases, the newest first
    List {
        /// Of which product
        product: Product,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Take a release back; whoever asks for it reads the reason
    Withdraw {
        /// Of which product
        product: Product,
        /// Which
        release: ReleaseName,
        /// Why, for customers
        #[arg(long)]
        reason: String,
    },
    /// Undo `withdraw`
    Restore {
        /// Of which product
        product: Product,
        /// Which
        release: ReleaseName,
    },
    /// Put a release into a further channel, such as from beta to stable
    Promote {
        /// Of which product
        product: Product,
        /// Which
        release: ReleaseName,
        /// Where to
        #[arg(long, default_value = "stable")]
        to: Channel,
    },
    /// Take all but the newest releases out of a channel; those in no channel are removed
    Prune {
        /// Of which product
        product: Product,
        /// From which channel
        #[arg(long)]
        channel: Channel,
        /// How many stay
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
        /// Only show which would go
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// By this customer, or `token:NAME`, or `operator`
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Of this product
    #[arg(long)]
    pub(crate) product: Option<Product>,
    /// From this day on, UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) since: Option<Date>,
    /// Until the end of this day, UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) until: Option<Date>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(crate) format: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    Text,
    /// For spreadsheets
    Csv,
    /// An object for each line
    Json,
}

/// Reads a name that can be a user: it is in audit logs, and `curl -u` ends it at a colon.
fn account(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@+".contains(&byte);
    match (1..=64).contains(&text.len()) && text.bytes().all(good) {
        true => Ok(text.to_owned()),
        false => Err("expected at most 64 letters, digits and `.-_@+`".to_owned()),
    }
}

fn day(text: &str) -> Result<Date, String> {
    let form = format_description!("[year]-[month]-[day]");
    Date::parse(text, form).map_err(|_| "expected a day such as 2027-01-31".to_owned())
}
