//! What can go wrong between a URL and the store.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use casque_format::digest::Digest;
use thiserror::Error;

/// Why a file could not be had.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The certificate bundle could not be read; the path is in the message.
    #[error(transparent)]
    CaBundle(io::Error),
    /// The certificate bundle holds no usable certificate.
    #[error("`{}` holds no certificate in PEM form", path.display())]
    NoCertificates {
        /// The bundle.
        path: PathBuf,
    },
    /// The proxy is not a URL that can be used.
    #[error("`{proxy}` is not the address of a proxy, such as `http://proxy.example.com:3128`")]
    Proxy {
        /// What was given.
        proxy: String,
    },
    /// The URL is not one that can be fetched.
    #[error("`{url}` is not an http or https address")]
    Url {
        /// What was given.
        url: String,
    },
    /// The server says there is no such file.
    #[error("`{url}` does not exist")]
    NotFound {
        /// Where it was asked for.
        url: String,
    },
    /// The server answered with something else than the file.
    #[error("`{url}` was answered with status {status}")]
    Status {
        /// Where it was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server says why it does not do what was asked.
    #[error("`{url}` was answered with status {status}: {text}")]
    Refused {
        /// Where it was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        text: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// What is to be uploaded could not be read; the path is in the message.
    #[error("cannot read what is to be uploaded")]
    Source(#[source] io::Error),
    /// Redirections follow each other without end.
    #[error("`{url}` leads from one redirection to the next without end")]
    Redirections {
        /// Where it was asked for.
        url: String,
    },
    /// A redirection leads from an encrypted connection to one that everybody can read.
    #[error("`{url}` is redirected to `{host}` without encryption")]
    Downgrade {
        /// Where it was asked for.
        url: String,
        /// Where it leads to.
        host: String,
    },
    /// Whoever started this does not want anything to be asked of the network.
    #[error("`{url}` is not asked for, since this is to be done without a network")]
    Offline {
        /// What would have been asked for.
        url: String,
    },
    /// The proxy would not connect.
    #[error("the proxy does not lead to `{url}`: {answer}")]
    ProxyRefused {
        /// Where it was asked for.
        url: String,
        /// What it said.
        answer: String,
    },
    /// No answer was had at all.
    #[error("cannot reach `{url}`")]
    Connect {
        /// Where it was asked for.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// The answer ended before the file did.
    #[error("`{url}` broke off after {received} bytes")]
    Truncated {
        /// Where it was asked for.
        url: String,
        /// What came.
        received: u64,
        /// Why, when the connection said so.
        source: Option<io::Error>,
    },
    /// The answer is larger than what was allowed.
    #[error("`{url}` is larger than the {limit} bytes that were expected at most")]
    TooLarge {
        /// Where it was asked for.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The file is whole and has another size than the one wanted.
    #[error("`{url}` has {received} bytes instead of {expected}")]
    SizeMismatch {
        /// Where it was asked for.
        url: String,
        /// The size wanted.
        expected: u64,
        /// What came.
        received: u64,
    },
    /// The file is whole and is another one than the one wanted.
    #[error("`{url}` has SHA-256 {received} instead of {expected}")]
    HashMismatch {
        /// Where it was asked for.
        url: String,
        /// The digest wanted.
        expected: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// The address holds a newer file than the one wanted, as is to be expected of it.
    #[error("`{url}` has been replaced since")]
    Superseded {
        /// Where it was asked for.
        url: String,
    },
    /// A file is wanted and nothing says where it is.
    #[error("no address is known")]
    NoUrl,
    /// The store could not be read or written; the path is in the message.
    #[error("cannot use the store of downloads")]
    Disk(#[source] io::Error),
    /// What was named as a store is none.
    #[error("`{}` is not a store of downloads", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// One of several files could not be had.
    #[error("cannot fetch `{label}`")]
    File {
        /// What the file is to people.
        label: String,
        /// Why.
        source: Box<FetchError>,
    },
    /// Another file failed first. Never returned by [`crate::fetch_all`].
    #[error("stopped because another download could not be completed")]
    Stopped,
}

impl FetchError {
    /// Returns the error itself, without the file it happened to.
    pub fn root(&self) -> &Self {
        match self {
            Self::File { source, .. } => source.root(),
            other => other,
        }
    }

    /// Tells whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Truncated { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            // Of two who upload the same file one goes on where the other was.
            Self::Refused { status, .. } => matches!(status, 408 | 409 | 425 | 429 | 500..=506 | 508..=599),
            _ => false,
        }
    }

    /// Tells whether another address cannot help either.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Stopped)
    }

    /// Ranks errors by how much they tell: of several addresses, the most telling failure is the one to report.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::Url { .. } | Self::Offline { .. } => 0,
            Self::Connect { .. } | Self::ProxyRefused { .. } => 1,
            // One server that answered knows more than another that could not be asked.
            Self::NotFound { .. } | Self::Superseded { .. } => 2,
            Self::Status { .. } => 3,
            Self::Truncated { .. } => 4,
            _ => 5,
        }
    }
}
