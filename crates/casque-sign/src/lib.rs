//! Keys, signatures and chains of keys. The files are minisign's, so that a customer checks with a tool that they have.
//!
//! A signature covers the BLAKE2b-512 hash of what is signed, and a trusted comment that says what it is for. A new key is
//! signed by the one before: whoever trusts the first of a chain follows it to the last. An image archive carries the
//! signature of a record that names all of it; [`archive`] makes and verifies such ones.

pub mod archive;
mod key;
mod ring;
mod signature;

use std::io;

pub use key::{KeyId, Passphrase, PublicKey, SecretKey};
pub use ring::{KeyRing, rotate};
pub use signature::{Verified, signer};

/// What is wrong with a key or a signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Not a file as minisign writes it.
    #[error("this is no public key: {reason}")]
    NoPublicKey {
        /// What was found instead.
        reason: String,
    },
    /// Not a file as minisign writes it.
    #[error("this is no secret key: {reason}")]
    NoSecretKey {
        /// What was found instead.
        reason: String,
    },
    /// Not a file as minisign writes it.
    #[error("this is no signature: {reason}")]
    NoSignature {
        /// What was found instead.
        reason: String,
    },
    /// The key could not be opened with it.
    #[error("the passphrase is not that of this secret key")]
    WrongPassphrase,
    /// A new key needs one.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// Nothing that is trusted made this signature.
    #[error("the signature is by key {by}, which is not among those trusted: {}", list(.trusted))]
    UnknownKey {
        /// Who signed.
        by: KeyId,
        /// Whom the caller trusts.
        trusted: Vec<KeyId>,
    },
    /// What is there is not what was signed.
    #[error(
        "the signature by key {by} does not fit: the content, its trusted comment or the signature was changed"
    )]
    Mismatch {
        /// Who is said to have signed.
        by: KeyId,
    },
    /// A good signature that was made for something else.
    #[error("the signature by key {by} is not for a new key, but for `{comment}`")]
    NoRotation {
        /// Who signed.
        by: KeyId,
        /// What the signature is for.
        comment: String,
    },
    /// A comment is one line.
    #[error("a trusted comment is one line of at most {} bytes", signature::LONGEST_COMMENT)]
    Comment,
    /// The system gives no random numbers, or no memory.
    #[error("cannot make a key or a signature: {reason}")]
    Make {
        /// What the library said.
        reason: String,
    },
    /// What is to be signed or verified could not be read.
    #[error("cannot read the content")]
    Read(#[source] io::Error),
}

fn list(keys: &[KeyId]) -> String {
    let keys: Vec<String> = keys.iter().map(KeyId::to_string).collect();
    if keys.is_empty() { "none is".to_owned() } else { keys.join(", ") }
}
