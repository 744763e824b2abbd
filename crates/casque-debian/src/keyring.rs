//! OpenPGP certificates and which of their keys may sign an archive's metadata.
//!
//! The `pgp` crate checks signatures; whether a key may be believed is decided here: self-signatures, key flags, the
//! binding of subkeys in both directions, revocation and expiry.

use std::io;
use std::path::{Path, PathBuf};

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag};
use thiserror::Error;
use time::OffsetDateTime;

use crate::date::from_timestamp;

/// Certificates that an archive is allowed to be signed with.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// Why a keyring cannot be used.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// The file could not be read; the path is in the message.
    #[error(transparent)]
    Read(io::Error),
    /// The file holds no OpenPGP certificate.
    #[error("`{}` holds no OpenPGP public key", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Why a key that made a good signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Distrust {
    /// Its owner took it back.
    #[error("was revoked")]
    Revoked,
    /// Its time is over.
    #[error("expired on {}", .since.date())]
    Expired {
        /// Since when.
        since: OffsetDateTime,
    },
    /// It is for other things than signing.
    #[error("may not sign")]
    CannotSign,
    /// Nothing ties it to its owner.
    #[error("is not bound to its owner by a valid signature")]
    Unbound,
}

const PUBLIC_KEY_BLOCK: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

impl Keyring {
    /// Reads keyring files, binary or armoured, each with any number of certificates.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, KeyringError> {
        let mut keyring = Self::default();
        for path in paths {
            let path = path.as_ref();
            let bytes = fs_err::read(path).map_err(KeyringError::Read)?;
            let before = keyring.certificates.len();
            keyring.add(&bytes);
            if keyring.certificates.len() == before {
                return Err(KeyringError::Empty { path: path.to_owned() });
            }
        }
        Ok(keyring)
    }

    /// Adds every certificate in `bytes`; one that is too old or too new to be understood is passed over.
    pub fn add(&mut self, bytes: &[u8]) {
        let armoured = std::str::from_utf8(bytes).ok().filter(|text| text.contains(PUBLIC_KEY_BLOCK));
        let Some(text) = armoured else {
            let parsed = SignedPublicKey::from_bytes_many(bytes);
            self.certificates.extend(parsed.into_iter().flatten().flatten());
            return;
        };
        // Several blocks may follow each other in one file, and only the first would be read.
        for block in text.split(PUBLIC_KEY_BLOCK).skip(1) {
            let block = format!("{PUBLIC_KEY_BLOCK}{block}");
            if let Ok((parsed, _)) = SignedPublicKey::from_armor_many(block.as_bytes()) {
                self.certificates.extend(parsed.flatten());
            }
        }
    }

    /// Returns the fingerprints of the certificates.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(|certificate| certificate.fingerprint().to_string()).collect()
    }

    /// Returns the keys that say they made `signature`.
    pub(crate) fn signers(&self, signature: &Signature) -> Vec<Signer<'_>> {
        let mut signers = Vec::new();
        for certificate in &self.certificates {
            if names(signature, &certificate.primary_key) {
                signers.push(Signer { certificate, subkey: None });
            }
            for subkey in &certificate.public_subkeys {
                if names(signature, &subkey.key) {
                    signers.push(Signer { certificate, subkey: Some(subkey) });
                }
            }
        }
        signers
    }
}

/// Returns what a signature says its key is.
pub(crate) fn issuer(signature: &Signature) -> String {
    if let Some(fingerprint) = signature.issuer_fingerprint().first() {
        return fingerprint.to_string();
    }
    signature.issuer_key_id().first().map_or_else(|| "unnamed".to_owned(), ToString::to_string)
}

fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if !fingerprints.is_empty() {
        return fingerprints.contains(&&key.fingerprint());
    }
    signature.issuer_key_id().contains(&&key.legacy_key_id())
}

/// A key that says it made a signature.
pub(crate) struct Signer<'a> {
    certificate: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

impl Signer<'_> {
    /// Tells whether this key made `signature` over `data`.
    pub(crate) fn made(&self, signature: &Signature, data: &[u8]) -> bool {
        match self.subkey {
            Some(subkey) => signature.verify(&subkey.key, data).is_ok(),
            None => signature.verify(&self.certificate.primary_key, data).is_ok(),
        }
    }

    pub(crate) fn fingerprint(&self) -> String {
        match self.subkey {
            Some(subkey) => subkey.key.fingerprint().to_string(),
            None => self.certificate.fingerprint().to_string(),
        }
    }

    /// Decides whether this key may be believed at `now`.
    pub(crate) fn judge(&self, now: OffsetDateTime) -> Result<(), Distrust> {
        let primary = &self.certificate.primary_key;
        let own = self.newest_self_signature().ok_or(Distrust::Unbound)?;
        let revoked = |signature: &Signature| {
            signature.typ() == Some(SignatureType::KeyRevocation) && signature.verify_key(primary).is_ok()
        };
        if self.certificate.details.revocation_signatures.iter().any(revoked) {
            return Err(Distrust::Revoked);
        }
        unexpired(primary, own, now)?;
        match self.subkey {
            Some(subkey) => self.judge_subkey(subkey, now),
            None if may_sign(own) => Ok(()),
            None => Err(Distrust::CannotSign),
        }
    }

    fn judge_subkey(&self, subkey: &SignedPublicSubKey, now: OffsetDateTime) -> Result<(), Distrust> {
        let primary = &self.certificate.primary_key;
        let valid = |kind: SignatureType| {
            subkey.signatures.iter().filter(move |signature| {
                signature.typ() == Some(kind)
                    && acceptable_hash(signature)
                    && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
            })
        };
        if valid(SignatureType::SubkeyRevocation).next().is_some() {
            return Err(Distrust::Revoked);
        }
        let binding = valid(SignatureType::SubkeyBinding)
            .max_by_key(|signature| signature.created())
            .ok_or(Distrust::Unbound)?;
        unexpired(&subkey.key, binding, now)?;
        if !may_sign(binding) {
            return Err(Distrust::CannotSign);
        }
        // Without the answer of the subkey, anyone could bind a stranger's signing key to his own certificate.
        let answer = binding.embedded_signature().ok_or(Distrust::Unbound)?;
        answer.verify_primary_key_binding(&subkey.key, primary).map_err(|_| Distrust::Unbound)
    }

    /// The newest valid self-signature decides on flags and expiry.
    fn newest_self_signature(&self) -> Option<&Signature> {
        let primary = &self.certificate.primary_key;
        let details = &self.certificate.details;
        let direct = details
            .direct_signatures
            .iter()
            .filter(|signature| acceptable_hash(signature) && signature.verify_key(primary).is_ok());
        let users = details.users.iter().flat_map(|user| {
            let certifies = |signature: &&Signature| {
                signature.is_certification()
                    && acceptable_hash(signature)
                    && names(signature, primary)
                    && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
            };
            user.signatures.iter().filter(certifies)
        });
        direct.chain(users).max_by_key(|signature| signature.created())
    }
}

/// A collision in SHA-1 does not help against a self-signature that exists already, and old archive keys have such;
/// MD5 is refused for everything.
fn acceptable_hash(signature: &Signature) -> bool {
    signature.hash_alg().is_some_and(|hash| hash != HashAlgorithm::Md5)
}

/// A signature without key flags restricts nothing.
fn may_sign(signature: &Signature) -> bool {
    let restricted = signature.config().is_some_and(|config| {
        config.hashed_subpackets().any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)))
    });
    !restricted || signature.key_flags().sign()
}

fn unexpired(key: &impl KeyDetails, signature: &Signature, now: OffsetDateTime) -> Result<(), Distrust> {
    let Some(lifetime) = signature.key_expiration_time().filter(|lifetime| lifetime.as_secs() > 0) else {
        return Ok(());
    };
    let since = from_timestamp(u64::from(key.created_at().as_secs()) + u64::from(lifetime.as_secs()));
    if since <= now { Err(Distrust::Expired { since }) } else { Ok(()) }
}
