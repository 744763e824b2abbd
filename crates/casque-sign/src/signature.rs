//! Signatures, as minisign keeps them beside what is signed.

use std::io::{self, Read, Seek};

use minisign::SignatureBox;

use crate::key::make;
use crate::{KeyId, PublicKey, SecretKey, SignError};

/// minisign reads no longer line.
pub(crate) const LONGEST_COMMENT: usize = 8191;

/// What a good signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who signed.
    pub key: KeyId,
    /// What the signer says of it, covered by the signature.
    pub trusted_comment: String,
}

impl SecretKey {
    /// Signs what `content` gives, and returns the file of the signature.
    pub fn sign(&self, content: impl Read, trusted_comment: &str) -> Result<String, SignError> {
        // minisign's own comments have tabs in them.
        let breaks = |character: char| character.is_control() && character != '\t';
        if trusted_comment.len() > LONGEST_COMMENT || trusted_comment.contains(breaks) {
            return Err(SignError::Comment);
        }
        let mut content = Watched { inner: content, failed: None };
        let comment = format!("signature by key {}", self.id());
        let trusted = Some(trusted_comment.trim());
        let signed = minisign::sign(None, &self.0, &mut content, trusted, Some(&comment));
        match content.failed {
            Some(error) => Err(SignError::Read(error)),
            None => Ok(signed.map_err(make)?.into_string()),
        }
    }
}

impl PublicKey {
    /// Verifies that the owner of this key signed what `content` gives.
    pub fn verify(&self, content: impl Read + Seek, signature: &str) -> Result<Verified, SignError> {
        let signature = parse(signature)?;
        self.verify_parsed(content, &signature)
    }

    pub(crate) fn verify_parsed(
        &self,
        content: impl Read + Seek,
        signature: &SignatureBox,
    ) -> Result<Verified, SignError> {
        let by = KeyId::from_bytes(signature.keynum());
        if by != self.id() {
            return Err(SignError::UnknownKey { by, trusted: vec![self.id()] });
        }
        let mut content = Watched { inner: content, failed: None };
        let (quiet, output, legacy) = (true, false, false);
        let fits = minisign::verify(&self.0, signature, &mut content, quiet, output, legacy);
        if let Some(error) = content.failed {
            return Err(SignError::Read(error));
        }
        fits.map_err(|_| SignError::Mismatch { by })?;
        let trusted_comment = signature.trusted_comment().map_err(|_| SignError::Mismatch { by })?;
        Ok(Verified { key: by, trusted_comment })
    }
}

/// Returns who is said to have made a signature, which is not verified.
pub fn signer(signature: &str) -> Result<KeyId, SignError> {
    Ok(KeyId::from_bytes(parse(signature)?.keynum()))
}

/// Reads the file of a signature. The library takes the lengths of its two encoded lines for granted.
pub(crate) fn parse(text: &str) -> Result<SignatureBox, SignError> {
    let refuse = |reason: &str| SignError::NoSignature { reason: reason.to_owned() };
    let lines: Vec<&str> = text.lines().take(5).collect();
    let &[_, signature, _, global] = lines.as_slice() else {
        return Err(refuse("expected four lines: comment, signature, trusted comment, its signature"));
    };
    let lengths = [signature.trim().len(), global.trim().len()];
    let padded = signature.trim().ends_with('=') && global.trim().ends_with("==");
    if lengths != [ENCODED_SIGNATURE, ENCODED_GLOBAL] || !padded {
        return Err(refuse("its lines in Base64 have other lengths"));
    }
    let parsed = SignatureBox::from_string(text).map_err(|error| refuse(&error.to_string()))?;
    match parsed.is_prehashed() {
        true => Ok(parsed),
        false => Err(refuse("it is of the old form, which is not over a hash")),
    }
}

/// 74 bytes in Base64: algorithm, number of the key, signature.
const ENCODED_SIGNATURE: usize = 100;
/// 64 bytes in Base64.
const ENCODED_GLOBAL: usize = 88;

/// Keeps the error of a reader, which the library makes a text of.
struct Watched<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }
}

impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, place: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(place)
    }
}
