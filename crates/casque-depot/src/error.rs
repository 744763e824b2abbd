//! What can be wrong, as facts; and for the command line as words, a hint and an exit code.

use std::error::Error;
use std::io;

use casque_format::digest::Digest;
use casque_format::release::Refused;
use casque_sign::SignError;

/// Why something of the depot could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// The database.
    #[error("cannot use the records")]
    Records(#[source] rusqlite::Error),
    /// Records of a later program.
    #[error("the records are of version {found}, and this program knows version {known}")]
    Later {
        /// What is there.
        found: u32,
        /// What this program reads.
        known: u32,
    },
    /// A file; its error names the path.
    #[error(transparent)]
    File(io::Error),
    /// No random numbers, or no memory for a hash.
    #[error("cannot make a secret: {reason}")]
    Secret {
        /// What the system or the library said.
        reason: String,
    },
    /// Something that is asked for by a name that nothing has.
    #[error("there is no {what} `{name}`")]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Something that is there already.
    #[error("there is a {what} `{name}` already")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A version that was released with other content.
    #[error("release `{release}` is there already, with other content")]
    Different {
        /// Which.
        release: String,
    },
    /// A record that is not taken.
    #[error(transparent)]
    Refused(Refused),
    /// A key or a signature.
    #[error(transparent)]
    Sign(SignError),
    /// The signature of a file of a release.
    #[error("the signature `{file}` of the release is not good")]
    FileSignature {
        /// Its name.
        file: String,
        /// Why.
        source: SignError,
    },
    /// A product without keys takes no release.
    #[error("product `{product}` has no key to verify releases with")]
    NoKey {
        /// Which.
        product: String,
    },
    /// A file whose name the depot makes itself.
    #[error("the release names a file `{name}`, which is the depot's own")]
    Reserved {
        /// The name.
        name: String,
    },
    /// Files that were not uploaded.
    #[error("{} of the release's files are not uploaded, the first of them `{}`", .names.len(), .names.first().map_or("", String::as_str))]
    NotUploaded {
        /// Their names.
        names: Vec<String>,
    },
    /// What was uploaded is something else.
    #[error("what was uploaded as {expected} has SHA-256 {found}")]
    Content {
        /// What it should have been.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A key in the configuration.
    #[error("cannot accept the configuration{place}")]
    Config {
        /// Where it was read, as words.
        place: String,
        /// What the parser said.
        source: toml::de::Error,
    },
    /// A certificate or its key.
    #[error("cannot use the certificate `{path}`: {reason}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Blobs that are not what they were.
    #[error("{damaged} of {all} stored files are damaged or missing")]
    Damaged {
        /// How many.
        damaged: usize,
        /// Of how many.
        all: usize,
    },
}

impl From<rusqlite::Error> for DepotError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Records(error)
    }
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Something nobody thought of.
    Unexpected = 1,
    /// The configuration or the arguments are wrong.
    Usage = 2,
    /// A signature, a digest or an expiry date is wrong.
    Trust = 3,
    /// The disk is full.
    Disk = 7,
}

impl DepotError {
    /// Returns how the program ends on this.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::File(error) if error.kind() == io::ErrorKind::StorageFull => ExitCode::Disk,
            Self::Records(_) | Self::File(_) | Self::Secret { .. } => ExitCode::Unexpected,
            Self::Refused(_)
            | Self::Sign(_)
            | Self::FileSignature { .. }
            | Self::Content { .. }
            | Self::Damaged { .. } => ExitCode::Trust,
            _ => ExitCode::Usage,
        }
    }

    /// Says what the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoKey { .. } => Some("`casque-depot key add PRODUCT FILE.pub` trusts the vendor's key"),
            Self::Sign(SignError::UnknownKey { .. }) => Some(
                "`casque-depot key add PRODUCT NEW.pub --signed NEW.pub.minisig` follows a key that was rotated",
            ),
            Self::Missing { what: "product", .. } => Some("`casque-depot product list` shows them"),
            Self::Missing { what: "customer", .. } => Some("`casque-depot customer list` shows them"),
            Self::Missing { what: "member of staff", .. } => Some("`casque-depot staff list` shows them"),
            Self::Damaged { .. } => Some("upload these files again, or bring them back from a backup"),
            _ => None,
        }
    }

    /// Returns the error with its causes, nearest first, as the lines for a terminal.
    pub fn text(&self, what: &str) -> String {
        let mut text = format!("error: {what}");
        let mut next: Option<&(dyn Error + 'static)> = Some(self);
        let mut last = String::new();
        while let Some(cause) = next {
            let words = cause.to_string();
            if words != last {
                text += &format!("\n  caused by: {}", words.trim_end().replace('\n', "\n    "));
            }
            last = words;
            next = cause.source();
        }
        match self.hint() {
            Some(hint) => text + &format!("\nhint: {hint}"),
            None => text,
        }
    }
}
