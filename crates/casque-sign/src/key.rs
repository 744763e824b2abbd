//! Key pairs, as minisign keeps them in two files.

use std::fmt;

use minisign::{KeyPair, PublicKeyBox, SecretKeyBox};

use crate::SignError;

/// More than minisign takes.
const LONGEST_PASSPHRASE: usize = 1024;

/// What protects a secret key. Nobody prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

/// The number of a key, as minisign shows it: 16 capital hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

/// A key that signs, opened.
pub struct SecretKey(pub(crate) minisign::SecretKey);

/// A key that verifies.
#[derive(Clone, Debug)]
pub struct PublicKey(pub(crate) minisign::PublicKey);

impl Passphrase {
    /// Takes a passphrase as it was typed, or the first line of a file.
    pub fn new(text: &str) -> Self {
        Self(text.lines().next().unwrap_or_default().to_owned())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(...)")
    }
}

impl KeyId {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl SecretKey {
    /// Makes a new key, and returns it with its file, which the passphrase protects.
    pub fn generate(passphrase: &Passphrase) -> Result<(Self, String), SignError> {
        if passphrase.0.is_empty() {
            return Err(SignError::PassphraseEmpty);
        }
        let made = KeyPair::generate_encrypted_keypair(Some(passphrase.0.clone())).map_err(make)?;
        let id = KeyId::from_bytes(made.pk.keynum());
        let file = made.sk.to_box(Some(&format!("casque secret key {id}, encrypted"))).map_err(make)?;
        let file = file.into_string();
        Ok((Self::open(&file, passphrase)?, file))
    }

    /// Opens a secret key's file.
    pub fn open(file: &str, passphrase: &Passphrase) -> Result<Self, SignError> {
        let refuse = |reason: String| SignError::NoSecretKey { reason };
        let parts = SecretKeyBox::from_string(file).map_err(|error| refuse(error.to_string()))?;
        let encoded = file.lines().nth(1).unwrap_or_default();
        if encoded.starts_with(UNPROTECTED) {
            return Err(refuse("it is not protected by a passphrase; `minisign -C` gives it one".to_owned()));
        }
        if encoded.len() != ENCODED_SECRET || !encoded.starts_with(ENCRYPTED) {
            return Err(refuse(
                "expected a comment and a line in Base64 that begins with `RWRTY0Iy`".to_owned(),
            ));
        }
        if passphrase.0.len() > LONGEST_PASSPHRASE {
            return Err(SignError::WrongPassphrase);
        }
        match parts.into_secret_key(Some(passphrase.0.clone())) {
            Ok(key) => Ok(Self(key)),
            Err(error) if matches!(error.kind(), minisign::ErrorKind::Verify) => {
                Err(SignError::WrongPassphrase)
            }
            Err(error) => Err(refuse(error.to_string())),
        }
    }

    /// Returns the key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(minisign::PublicKey::from_secret_key(&self.0).expect("a secret key holds its public one"))
    }

    /// Returns the number of the key.
    pub fn id(&self) -> KeyId {
        KeyId::from_bytes(self.0.keynum())
    }
}

/// `Ed`, `Sc`, `B2`: Ed25519, protected by scrypt, checked by BLAKE2b.
const ENCRYPTED: &str = "RWRTY0Iy";
/// The same without a passphrase.
const UNPROTECTED: &str = "RWQAAEIy";
/// 158 bytes in Base64.
const ENCODED_SECRET: usize = 212;

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id())
    }
}

impl PublicKey {
    /// Reads a public key: minisign's file of two lines, or its second line alone.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let refuse = |reason: String| SignError::NoPublicKey { reason };
        let text = text.trim();
        let key = match text.contains('\n') {
            true => PublicKeyBox::from_string(text).and_then(PublicKeyBox::into_public_key),
            false => minisign::PublicKey::from_base64(text),
        };
        let key = key.map_err(|error| refuse(error.to_string()))?;
        // The library reads whatever algorithm.
        match key.to_bytes().starts_with(b"Ed") {
            true => Ok(Self(key)),
            false => Err(refuse("it is of an algorithm other than Ed25519".to_owned())),
        }
    }

    /// Returns the file of the key, as minisign writes it.
    pub fn file(&self) -> String {
        format!("untrusted comment: minisign public key {}\n{}\n", self.id(), self.line())
    }

    /// Returns the key as one line, as `minisign -P` takes it.
    pub fn line(&self) -> String {
        self.0.to_base64()
    }

    /// Returns the number of the key.
    pub fn id(&self) -> KeyId {
        KeyId::from_bytes(self.0.keynum())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bytes() == other.0.to_bytes()
    }
}

impl Eq for PublicKey {}

pub(crate) fn make(error: minisign::PError) -> SignError {
    SignError::Make { reason: error.to_string() }
}
