//! Whether signed text comes from whom it should.

use pgp::composed::{CleartextSignedMessage, Deserializable as _, DetachedSignature};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::date::from_timestamp;
use crate::keyring::{Distrust, Keyring, issuer};

/// How far ahead of ours the clock of a signer may be.
const CLOCK_TOLERANCE: Duration = Duration::minutes(10);

/// Why signed text is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// There is no signature around it, or it is damaged.
    #[error("it is not signed text: {reason}")]
    NotSigned {
        /// What the reader of signed text says.
        reason: String,
    },
    /// Other keys than the accepted ones signed it.
    #[error("signed by {}, accepted are {}", list(signed_by), list(accepted))]
    UnknownKey {
        /// Who says to have signed it.
        signed_by: Vec<String>,
        /// Fingerprints of the accepted certificates.
        accepted: Vec<String>,
    },
    /// An accepted key says something else was signed.
    #[error("the signature of key `{key}` does not match the text")]
    BadSignature {
        /// The key's fingerprint.
        key: String,
    },
    /// An accepted key signed it and may not be believed.
    #[error("key `{key}` {reason}")]
    Distrusted {
        /// The key's fingerprint.
        key: String,
        /// Why.
        reason: Distrust,
    },
    /// The signature itself is no longer, or not yet, or not strong enough to be believed.
    #[error("the signature of key `{key}` {reason}")]
    WeakSignature {
        /// The key's fingerprint.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn list(keys: &[String]) -> String {
    if keys.is_empty() {
        return "no keys at all".to_owned();
    }
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

/// Signed text that an accepted key vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The text alone, with plain line ends.
    pub text: String,
    /// Fingerprint of the key that vouches for it.
    pub key: String,
}

/// Checks text that carries its signatures inside, such as `InRelease`. One good signature is enough.
pub fn verify_clear_signed(
    bytes: &[u8],
    keyring: &Keyring,
    now: OffsetDateTime,
) -> Result<Verified, VerifyError> {
    let not_signed = |reason: String| VerifyError::NotSigned { reason };
    let text = std::str::from_utf8(bytes).map_err(|error| not_signed(error.to_string()))?;
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|error| not_signed(error.to_string()))?;
    let signed = message.signed_text();
    let key = accept(message.signatures(), signed.as_bytes(), keyring, now)?;
    // Only what was signed is handed on: anything around it in the file proves nothing.
    Ok(Verified { text: signed.replace("\r\n", "\n"), key })
}

/// Checks text whose signatures are in a file beside it, armoured or not, such as `Release` and `Release.gpg`.
pub fn verify_detached(
    bytes: &[u8],
    signatures: &[u8],
    keyring: &Keyring,
    now: OffsetDateTime,
) -> Result<Verified, VerifyError> {
    let not_signed = |reason: String| VerifyError::NotSigned { reason };
    let text = std::str::from_utf8(bytes).map_err(|error| not_signed(error.to_string()))?;
    let parsed: Result<Vec<DetachedSignature>, _> = if signatures.starts_with(b"-----BEGIN") {
        DetachedSignature::from_armor_many(signatures).and_then(|(parsed, _)| parsed.collect())
    } else {
        DetachedSignature::from_bytes_many(signatures).and_then(Iterator::collect)
    };
    let parsed = parsed.map_err(|error| not_signed(error.to_string()))?;
    let parsed: Vec<Signature> = parsed.into_iter().map(|detached| detached.signature).collect();
    let key = accept(&parsed, bytes, keyring, now)?;
    Ok(Verified { text: text.to_owned(), key })
}

/// Returns the fingerprint of the first accepted key whose signature over `data` is good.
fn accept(
    signatures: &[Signature],
    data: &[u8],
    keyring: &Keyring,
    now: OffsetDateTime,
) -> Result<String, VerifyError> {
    let mut refused = None;
    for signature in signatures {
        for signer in keyring.signers(signature) {
            let key = signer.fingerprint();
            let verdict = if !signer.made(signature, data) {
                Err(VerifyError::BadSignature { key: key.clone() })
            } else {
                signer
                    .judge(now)
                    .map_err(|reason| VerifyError::Distrusted { key: key.clone(), reason })
                    .and_then(|()| judge_signature(signature, &key, now))
            };
            match verdict {
                Ok(()) => return Ok(key),
                Err(error) => refused = Some(error),
            }
        }
    }
    Err(refused.unwrap_or_else(|| VerifyError::UnknownKey {
        signed_by: signatures.iter().map(issuer).collect(),
        accepted: keyring.fingerprints(),
    }))
}

fn judge_signature(signature: &Signature, key: &str, now: OffsetDateTime) -> Result<(), VerifyError> {
    let refuse = |reason| Err(VerifyError::WeakSignature { key: key.to_owned(), reason });
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return refuse("is not one over a document");
    }
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
        return refuse("uses a hash that is too weak");
    }
    let Some(created) = signature.created() else {
        return refuse("does not say when it was made");
    };
    let created = u64::from(created.as_secs());
    if from_timestamp(created) > now + CLOCK_TOLERANCE {
        return refuse("was made in the future");
    }
    match signature.signature_expiration_time() {
        Some(lifetime)
            if lifetime.as_secs() > 0 && from_timestamp(created + u64::from(lifetime.as_secs())) <= now =>
        {
            refuse("has expired")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
