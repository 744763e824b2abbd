//! Whom somebody trusts: keys, and those that follow them.

use std::io::{Cursor, Read, Seek};

use crate::signature::parse;
use crate::{KeyId, PublicKey, SecretKey, SignError, Verified};

/// What a signature under a new key says. Without it anything that was ever signed could be put forward as a key.
const ROTATION: &str = "casque key rotation: ";

/// What the first line of minisign's files begins with.
const COMMENT: &str = "untrusted comment:";

/// Signs a new key with the one before it, and returns the file of the signature.
pub fn rotate(old: &SecretKey, new: &PublicKey) -> Result<String, SignError> {
    old.sign(Cursor::new(new.file()), &format!("{ROTATION}{} follows {}", new.id(), old.id()))
}

/// The keys that somebody trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRing(Vec<PublicKey>);

impl KeyRing {
    /// Trusts these keys.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Reads a file of keys: minisign's files of two lines one after another, or the keys alone, one a line.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with(COMMENT)).map(PublicKey::parse);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        match keys.is_empty() {
            true => Err(SignError::NoPublicKey { reason: "there is no key in it".to_owned() }),
            false => Ok(Self(keys)),
        }
    }

    /// Trusts one more key, since one that is trusted already signed its file.
    pub fn follow(&mut self, file: &str, signature: &str) -> Result<KeyId, SignError> {
        let new = PublicKey::parse(file)?;
        // The signature covers the file as minisign and `rotate` write it, whatever became of its comment.
        let verified = match self.verify(Cursor::new(file), signature) {
            Err(SignError::Mismatch { .. }) => self.verify(Cursor::new(new.file()), signature)?,
            other => other?,
        };
        let expected = format!("{ROTATION}{} follows {}", new.id(), verified.key);
        if verified.trusted_comment != expected {
            return Err(SignError::NoRotation { by: verified.key, comment: verified.trusted_comment });
        }
        let id = new.id();
        if !self.0.contains(&new) {
            self.0.push(new);
        }
        Ok(id)
    }

    /// Verifies that one of the keys signed what `content` gives.
    pub fn verify(&self, content: impl Read + Seek, signature: &str) -> Result<Verified, SignError> {
        let signature = parse(signature)?;
        let by = KeyId::from_bytes(signature.keynum());
        match self.0.iter().find(|key| key.id() == by) {
            Some(key) => key.verify_parsed(content, &signature),
            None => Err(SignError::UnknownKey { by, trusted: self.ids() }),
        }
    }

    /// Returns the numbers of the keys, in the order they were trusted.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(PublicKey::id).collect()
    }

    /// Returns the keys, in the order they were trusted.
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }
}
